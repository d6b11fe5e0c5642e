// The novelty curve: how new the sound is, against the threshold above which it counts as a change.

import { ticks } from "./axis.js";

const AXIS = 18;

/** Draw the novelty of stream `s`, and the time axis below it. */
export function drawCurve({ c, width, height }, s, axis, theme) {
  const foot = height - AXIS;
  drawTicks(c, width, foot, ticks(axis, s.base), theme);
  const columns = perPixel(s.novelty.points, axis);
  drawLegend(c, theme);
  if (!columns.length) return;
  const top = 1.15 * columns.reduce((most, { value, threshold }) => Math.max(most, value, threshold ?? 0), 1e-9);
  const y = (value) => foot - (Math.max(0, value) / top) * (foot - 6);
  c.fillStyle = theme.accent;
  c.globalAlpha = 0.16;
  fill(
    c,
    columns,
    () => true,
    ({ value }) => y(value),
    foot,
  );
  c.globalAlpha = 0.4;
  fill(
    c,
    columns,
    ({ value, threshold }) => value > (threshold ?? Infinity),
    ({ value }) => y(value),
    foot,
  );
  c.globalAlpha = 1;
  stroke(c, columns, ({ value }) => y(value), theme.accent, 1.75, []);
  stroke(c, columns, ({ threshold }) => y(threshold ?? 0), theme.warn, 1.25, [6, 4]);
}

function drawLegend(c, theme) {
  c.font = `500 11px ${theme.font}`;
  c.textBaseline = "top";
  c.textAlign = "left";
  const written = (text, colour, x) => {
    c.fillStyle = colour;
    c.fillText(text, x, 3);
    return x + c.measureText(text).width;
  };
  written("╌ threshold", theme.warn, written("━ novelty", theme.accent, 6) + 12);
}

/** One point a pixel, the highest: [{x, value, threshold, joined}]; `joined` is false after a hole. */
function perPixel(points, axis) {
  const columns = [];
  for (const { from, to, value, threshold } of points) {
    if (to < axis.from) continue;
    const x = axis.x(to);
    const last = columns.at(-1);
    if (last && x - last.x < 1) {
      if (value > last.value) last.value = value;
      last.threshold = threshold;
    } else columns.push({ x, value, threshold, joined: last !== undefined && axis.x(from) - last.x < 3 });
  }
  return columns;
}

/** Fill under the curve wherever `chosen` holds for both ends of a step. */
function fill(c, columns, chosen, y, foot) {
  c.beginPath();
  let open = null;
  columns.forEach((column, n) => {
    const goesOn = n > 0 && column.joined && chosen(column) && chosen(columns[n - 1]);
    if (goesOn && !open) {
      c.moveTo(columns[n - 1].x, foot);
      c.lineTo(columns[n - 1].x, y(columns[n - 1]));
    }
    if (goesOn) c.lineTo(column.x, y(column));
    else if (open) c.lineTo(open.x, foot);
    open = goesOn ? column : null;
  });
  if (open) c.lineTo(open.x, foot);
  c.fill();
}

function stroke(c, columns, y, colour, width, dash) {
  c.beginPath();
  for (const column of columns) {
    if (column.joined) c.lineTo(column.x, y(column));
    else c.moveTo(column.x, y(column));
  }
  c.setLineDash(dash);
  c.lineWidth = width;
  c.lineJoin = "round";
  c.strokeStyle = colour;
  c.stroke();
  c.setLineDash([]);
}

function drawTicks(c, width, foot, marks, theme) {
  c.fillStyle = theme.line;
  c.fillRect(0, foot, width, 1);
  c.font = `500 11px ${theme.font}`;
  c.textBaseline = "alphabetic";
  c.textAlign = "center";
  for (const { x, text } of marks) {
    c.fillStyle = theme.line;
    c.fillRect(x, 0, 1, foot + 4);
    c.fillStyle = theme.muted;
    if (x > 14 && x < width - 14) c.fillText(text, x, foot + 15);
  }
}
