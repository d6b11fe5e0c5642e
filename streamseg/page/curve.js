// The novelty curve: how new the sound is, and the threshold above which it counts as a change.

import { makeTicks } from "./axis.js";

const AXIS = 18;

/** Draw the novelty of stream `s`, and the time axis below it. */
export function drawCurve({ c, width, height }, s, axis, theme) {
  const foot = height - AXIS;
  drawTicks(c, width, foot, makeTicks(axis, s.base), theme);
  const columns = reduceToPixels(s.novelty.points, axis);
  drawLegend(c, theme);
  if (!columns.length) return;
  const top = 1.15 * columns.reduce((most, { value, threshold }) => Math.max(most, value, threshold ?? 0), 1e-9);
  const y = (value) => foot - (Math.max(0, value) / top) * (foot - 6);
  c.fillStyle = theme.accent;
  c.globalAlpha = 0.16;
  fillUnder(
    c,
    columns,
    () => true,
    ({ value }) => y(value),
    foot,
  );
  c.globalAlpha = 0.4;
  fillUnder(
    c,
    columns,
    ({ value, threshold }) => value > (threshold ?? Infinity),
    ({ value }) => y(value),
    foot,
  );
  c.globalAlpha = 1;
  strokeCurve(c, columns, ({ value }) => y(value), theme.accent, 1.75, []);
  strokeCurve(c, columns, ({ threshold }) => y(threshold ?? 0), theme.warn, 1.25, [6, 4]);
}

function drawLegend(c, theme) {
  c.font = `500 11px ${theme.font}`;
  c.textBaseline = "top";
  c.textAlign = "left";
  const writeText = (text, colour, x) => {
    c.fillStyle = colour;
    c.fillText(text, x, 3);
    return x + c.measureText(text).width;
  };
  writeText("╌ threshold", theme.warn, writeText("━ novelty", theme.accent, 6) + 12);
}

/** Reduce to the highest point of each pixel: [{x, value, threshold, isJoined}]; isJoined is false after a gap. */
function reduceToPixels(points, axis) {
  const columns = [];
  for (const { from, to, value, threshold } of points) {
    if (to < axis.from) continue;
    const x = axis.x(to);
    const last = columns.at(-1);
    if (last && x - last.x < 1) {
      if (value > last.value) last.value = value;
      last.threshold = threshold;
    } else columns.push({ x, value, threshold, isJoined: last !== undefined && axis.x(from) - last.x < 3 });
  }
  return columns;
}

/** Fill the area under the curve wherever `isChosen` is true for both ends of a step. */
function fillUnder(c, columns, isChosen, y, foot) {
  c.beginPath();
  let open = null;
  columns.forEach((column, n) => {
    const goesOn = n > 0 && column.isJoined && isChosen(column) && isChosen(columns[n - 1]);
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

function strokeCurve(c, columns, y, colour, width, dash) {
  c.beginPath();
  for (const column of columns) {
    if (column.isJoined) c.lineTo(column.x, y(column));
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
