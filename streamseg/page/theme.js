// The colours of style.css, for canvases; and the patterns that carry a label where colour cannot.

import { COLOURS } from "./labels.js";

/** Read anew whenever light turns to dark. dpr: device pixels per CSS pixel. */
export function readTheme(dpr) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    dpr,
    labels: Array.from({ length: COLOURS }, (_, n) => colour(`label-${n}`)),
    unknown: colour("unknown"),
    ink: colour("ink"),
    muted: colour("muted"),
    line: colour("line"),
    surface: colour("surface"),
    accent: colour("accent"),
    warn: colour("warn"),
    onLabel: colour("on-label"),
    patterns: PATTERNS.map((draw) => pattern(draw, dpr)),
    font: style.fontFamily,
  };
}

const PATTERNS = [
  null,
  (c) =>
    strokes(c, [
      [-2, 10, 10, -2],
      [-2, 2, 2, -2],
      [6, 10, 10, 6],
    ]), // rising
  (c) =>
    [
      [2, 2],
      [6, 6],
    ].forEach(([x, y]) => c.fillRect(x - 0.9, y - 0.9, 1.8, 1.8)), // dots
  (c) =>
    strokes(c, [
      [0, 2, 8, 2],
      [0, 6, 8, 6],
    ]), // level
  (c) =>
    strokes(c, [
      [-2, -2, 10, 10],
      [-2, 6, 2, 10],
      [6, -2, 10, 2],
    ]), // falling
];

function strokes(c, lines) {
  c.beginPath();
  for (const [x0, y0, x1, y1] of lines) {
    c.moveTo(x0, y0);
    c.lineTo(x1, y1);
  }
  c.stroke();
}

function pattern(draw, dpr) {
  if (!draw) return null;
  const tile = document.createElement("canvas");
  tile.width = tile.height = Math.round(8 * dpr);
  const c = tile.getContext("2d");
  c.scale(tile.width / 8, tile.width / 8);
  c.strokeStyle = c.fillStyle = "rgb(0 0 0 / .2)";
  c.lineWidth = 1.2;
  draw(c);
  const made = c.createPattern(tile, "repeat");
  made.setTransform(new DOMMatrix().scale(8 / tile.width));
  return made;
}

/** Fit a canvas to its CSS size and hand back a context that counts in CSS pixels; null when it is not shown. */
export function fit(canvas, dpr) {
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width || !height) return null;
  const [w, h] = [Math.round(width * dpr), Math.round(height * dpr)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const c = canvas.getContext("2d");
  c.setTransform(dpr, 0, 0, dpr, 0, 0);
  c.clearRect(0, 0, width, height);
  return { c, width, height };
}
