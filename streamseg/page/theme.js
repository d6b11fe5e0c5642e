// The colours of style.css for canvases, and the patterns that distinguish labels where colours cannot.

import { COLOURS } from "./labels.js";

/** Read the colours; again after a change between light and dark. dpr: device pixels per CSS pixel. */
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
    patterns: PATTERNS.map((draw) => makePattern(draw, dpr)),
    font: style.fontFamily,
  };
}

const PATTERNS = [
  null,
  (c) =>
    drawStrokes(c, [
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
    drawStrokes(c, [
      [0, 2, 8, 2],
      [0, 6, 8, 6],
    ]), // level
  (c) =>
    drawStrokes(c, [
      [-2, -2, 10, 10],
      [-2, 6, 2, 10],
      [6, -2, 10, 2],
    ]), // falling
];

function drawStrokes(c, lines) {
  c.beginPath();
  for (const [x0, y0, x1, y1] of lines) {
    c.moveTo(x0, y0);
    c.lineTo(x1, y1);
  }
  c.stroke();
}

function makePattern(draw, dpr) {
  if (!draw) return null;
  const tile = document.createElement("canvas");
  tile.width = tile.height = Math.round(8 * dpr);
  const c = tile.getContext("2d");
  c.scale(tile.width / 8, tile.width / 8);
  c.strokeStyle = c.fillStyle = "rgb(0 0 0 / .2)";
  c.lineWidth = 1.2;
  draw(c);
  const repeated = c.createPattern(tile, "repeat");
  repeated.setTransform(new DOMMatrix().scale(8 / tile.width));
  return repeated;
}

/** Fit a canvas to its CSS size; returns a context in CSS pixels, null where the canvas is not shown. */
export function fitCanvas(canvas, dpr) {
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width || !height) return null;
  const [w, h] = [Math.round(width * dpr), Math.round(height * dpr)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const c = canvas.getContext("2d");
  c.setTransform(dpr, 0, 0, dpr, 0, 0);
  c.clearRect(0, 0, width, height);
  return { c, width, height };
}
