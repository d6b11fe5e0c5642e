// The ribbon: sections as coloured bands that grow to the right, boundaries over them (provisional ones dashed), and
// the kind of sound below.

import { labelLook } from "./labels.js";
import { labelName } from "./state.js";

const TOP = 32; // height of titles, and below them the heads of boundaries
const SOUND = 18; // height of the lane of sounds
const SPACE = 5;
const RADIUS = 6;
const FLASH_S = 1.6; // how long the confirmation or retraction of a boundary is animated
const FLOOR_DB = -60;

/** Draw stream `s` on a canvas context of width × height CSS pixels. chosen: key of the outlined section. */
export function drawRibbon({ c, width, height }, s, axis, theme, { chosen, flash }) {
  const band = { top: TOP, height: height - TOP - SOUND - SPACE, width };
  for (const section of s.sections) {
    const [x0, x1] = [
      axis.x(section.base + section.start),
      axis.x(section.end === null ? axis.now : section.base + section.end),
    ];
    if (x1 < 0 || x0 > width) continue;
    drawSection(c, band, x0, x1, section, s, theme, section.key === chosen);
  }
  drawLevel(c, band, s.level.points, axis);
  drawMarks(c, band, s.marks, axis, theme);
  for (const boundary of s.boundaries) {
    const x = axis.x(boundary.base + boundary.t);
    if (x > -20 && x < width + 20) drawBoundary(c, band, x, boundary, axis, theme, flash);
  }
  drawSounds(c, { top: height - SOUND, height: SOUND, width }, s, axis, theme);
  drawNow(c, axis.x(axis.now), band, s, theme);
}

/** Return the section at axis second `at`, or undefined. */
export function sectionAt(s, at, now) {
  return s.sections.find(({ base, start, end }) => base + start <= at && at < (end === null ? now : base + end));
}

function drawSection(c, band, x0, x1, section, s, theme, chosen) {
  const { colour, pattern, letters } = labelLook(section.label);
  const [left, right] = [Math.max(x0 + 0.75, -20), Math.min(x1 - (section.end === null ? 0 : 0.75), band.width + 20)];
  if (right - left < 0.5) return;
  const radius = Math.min(RADIUS, (right - left) / 3);
  c.beginPath();
  c.roundRect(left, band.top, right - left, band.height, section.end === null ? [radius, 0, 0, radius] : radius);
  c.fillStyle = colour === null ? theme.unknown : theme.labels[colour];
  c.fill();
  if (theme.patterns[pattern]) {
    c.fillStyle = theme.patterns[pattern];
    c.fill();
  }
  if (chosen) {
    c.strokeStyle = theme.ink;
    c.lineWidth = 2.5;
    c.stroke();
  }
  drawSectionText(c, band, left, right, letters, labelName(s, section), theme);
}

function drawSectionText(c, band, left, right, letters, name, theme) {
  // The label of a section that started before the window is drawn at the window's edge.
  const [from, to] = [Math.max(left, 0), Math.min(right, band.width)];
  const x = from + 9;
  const room = to - x - 4;
  c.fillStyle = theme.onLabel;
  c.textBaseline = "alphabetic";
  c.textAlign = "left";
  c.font = `700 17px ${theme.font}`;
  if (c.measureText(letters).width <= room) c.fillText(letters, x, band.top + 22);
  else return drawSmall(c, letters, from, to, band.top + 20, theme);
  if (!name) return;
  c.font = `500 12px ${theme.font}`;
  const fitting = shortenText(c, name, room);
  if (fitting) c.fillText(fitting, x, band.top + 39);
}

function drawSmall(c, letters, from, to, y, theme) {
  c.font = `700 11px ${theme.font}`;
  c.textAlign = "center";
  if (c.measureText(letters).width <= to - from - 1) c.fillText(letters, (from + to) / 2, y);
}

function shortenText(c, text, room) {
  if (c.measureText(text).width <= room) return text;
  for (let n = text.length - 1; n > 1; n--) {
    const cut = `${text.slice(0, n).trimEnd()}…`;
    if (c.measureText(cut).width <= room) return cut;
  }
  return null;
}

/** Draw the level as a dark area at the foot of the ribbon. */
function drawLevel(c, band, points, axis) {
  const foot = band.top + band.height;
  c.beginPath();
  let pen = null;
  let peak = -Infinity;
  for (const { from, to, value } of points) {
    if (to < axis.from) continue;
    const x = axis.x(to);
    if (pen === null || axis.x(from) - pen > 2) {
      if (pen !== null) c.lineTo(pen, foot);
      c.moveTo(axis.x(from), foot);
      [pen, peak] = [axis.x(from), -Infinity];
    }
    peak = Math.max(peak, value);
    if (x - pen < 1) continue;
    c.lineTo(x, foot - Math.max(0, 1 - peak / FLOOR_DB) * band.height * 0.5);
    [pen, peak] = [x, -Infinity];
  }
  if (pen === null) return;
  c.lineTo(pen, foot);
  c.fillStyle = "rgb(0 0 0 / .2)";
  c.fill();
}

function drawBoundary(c, band, x, boundary, axis, theme, flash) {
  const { state, stability, decided_t, retracted_t, t_uncertainty, base } = boundary;
  const age = (since) => axis.now - base - since;
  const bottom = band.top + band.height;
  if (state === "confirmed") {
    const freshness = flash && decided_t !== undefined ? Math.max(0, 1 - age(decided_t) / FLASH_S) : 0;
    if (freshness > 0) drawLine(c, x, band.top - 6, bottom + 3, theme.ink, 1.5 + 3 * freshness, []);
    drawHead(c, x, band.top - 3, theme.ink, true);
    if (t_uncertainty * axis.scale > 4) {
      c.fillStyle = theme.muted;
      c.fillRect(x - t_uncertainty * axis.scale, band.top - 2.5, 2 * t_uncertainty * axis.scale, 1.5);
    }
    return;
  }
  const left = state === "retracted" ? (flash ? 1 - age(retracted_t) / FLASH_S : 0) : 1;
  if (left <= 0) return;
  c.globalAlpha = left * (0.55 + 0.45 * Math.min(1, stability ?? 0));
  drawLine(c, x, band.top, bottom, theme.surface, 5, []);
  drawLine(c, x, band.top - 6, bottom + 3, theme.ink, 2, [5, 4]);
  drawHead(c, x, band.top - 3, theme.ink, false);
  c.globalAlpha = 1;
}

function drawLine(c, x, top, bottom, colour, width, dash) {
  c.beginPath();
  c.setLineDash(dash);
  c.moveTo(x, top);
  c.lineTo(x, bottom);
  c.lineWidth = width;
  c.strokeStyle = colour;
  c.stroke();
  c.setLineDash([]);
}

/** Draw the head of a boundary: filled for a confirmed one, hollow for a provisional one. */
function drawHead(c, x, y, colour, filled) {
  c.beginPath();
  c.moveTo(x, y);
  c.lineTo(x - 4.5, y - 8);
  c.lineTo(x + 4.5, y - 8);
  c.closePath();
  c.lineWidth = 1.5;
  c.fillStyle = c.strokeStyle = colour;
  if (filled) c.fill();
  else c.stroke();
}

const MARK_SIGNS = { gap: "⚠", lost: "⚠", resumed: "↩", started: "⟳", stopped: "■", title: "♪" };

function drawMarks(c, band, marks, axis, theme) {
  c.font = `500 11px ${theme.font}`;
  c.textAlign = "left";
  let free = -Infinity;
  for (const { kind, base, t, length_s, text } of marks) {
    const [x, end] = [axis.x(base + t), axis.x(base + t + length_s)];
    if (end < -200 || x > band.width) continue;
    if (kind === "gap" && end > x) {
      c.fillStyle = theme.surface;
      c.fillRect(x, band.top, Math.max(2, end - x), band.height);
      c.fillStyle = theme.patterns[1];
      c.fillRect(x, band.top, Math.max(2, end - x), band.height);
    }
    if (kind === "started" || kind === "lost")
      drawLine(c, x, band.top - 4, band.top + band.height, theme.muted, 1, [2, 2]);
    if (x < free) continue; // in the widest window signs would overlap
    c.fillStyle = theme.muted;
    const sign = kind === "title" ? shortenText(c, `${MARK_SIGNS.title} ${text}`, 180) : MARK_SIGNS[kind];
    c.fillText(sign, Math.max(2, x - 4), band.top - 19);
    free = x + c.measureText(sign).width + 16;
  }
}

const SOUND_NAMES = ["speech", "music", "silence"];

function drawSounds(c, lane, s, axis, theme) {
  c.font = `500 11px ${theme.font}`;
  c.textBaseline = "middle";
  c.textAlign = "left";
  s.sounds.forEach((sound, n) => {
    const x0 = axis.x(sound.at);
    const x1 = axis.x(s.sounds[n + 1]?.at ?? axis.now);
    if (x1 < 0 || x0 > lane.width) return;
    const kinds = SOUND_NAMES.filter((kind) => sound[kind]);
    const [left, right] = [Math.max(x0, 0), Math.min(x1, lane.width)];
    c.fillStyle = theme.line;
    c.fillRect(Math.max(x0, -2), lane.top + 1, 1, lane.height - 2);
    if (sound.speech || sound.music) {
      c.fillStyle = theme.muted;
      c.globalAlpha = sound.speech && sound.music ? 0.45 : sound.music ? 0.3 : 0.18;
      c.fillRect(left + 1, lane.top + 1, Math.max(0, right - left - 1), lane.height - 2);
      c.globalAlpha = 1;
    }
    const texts = [kinds.join(" + ") || "other sound", kinds.map((kind) => kind.slice(0, 2)).join("+")];
    const fitting = texts.find((text) => c.measureText(text).width < right - left - 10);
    if (!fitting) return;
    c.fillStyle = theme.ink;
    c.fillText(fitting, left + 6, lane.top + lane.height / 2 + 0.5);
  });
}

function drawNow(c, x, band, s, theme) {
  if (s.status === "stopped") return;
  c.fillStyle = theme.accent;
  c.fillRect(x - 1, band.top - 4, 2, band.height + 8);
  c.beginPath();
  c.arc(x, band.top - 6, 3.5, 0, 2 * Math.PI);
  c.fill();
}
