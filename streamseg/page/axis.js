// The time axis: which second is at which pixel.

export const WINDOWS = { "1m": 60, "10m": 600, all: Infinity };
const MARGIN = 0.03; // of the width, right of now
const TICKS_S = [5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400, 604_800];
const TICK_PX = 72;

/** Make the visible part of the axis. oldest, now: axis seconds. width: CSS pixels. */
export function makeAxis(windowName, oldest, now, width) {
  const span = Math.min(WINDOWS[windowName], Math.max(20, now - oldest));
  const from = now - span;
  const scale = (width * (1 - MARGIN)) / span;
  return {
    from,
    to: from + width / scale,
    now,
    width,
    scale,
    x: (at) => (at - from) * scale,
    at: (x) => from + x / scale,
  };
}

/** Return the tick labels [{x, text}] of the run that started at `base`. */
export function makeTicks({ from, to, now, scale, x }, base) {
  const step = TICKS_S.find((s) => s * scale >= TICK_PX) ?? TICKS_S.at(-1);
  const ticks = [];
  for (let t = Math.max(0, Math.ceil((from - base) / step) * step); base + t <= Math.min(to, now); t += step) {
    ticks.push({ x: x(base + t), text: formatClock(t) });
  }
  return ticks;
}

/** Format seconds as 0:07, 12:34 or 1:02:03; with tenths where wanted. */
export function formatClock(t, tenths = false) {
  const s = tenths ? Math.round(t * 10) / 10 : Math.floor(t);
  const [hours, minutes, seconds] = [Math.floor(s / 3600), Math.floor((s % 3600) / 60), s % 60];
  const tail = tenths ? seconds.toFixed(1).padStart(4, "0") : String(seconds).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

/** Format a delay in seconds as 40 ms or 2.5 s; "–" where there is none. */
export function formatDelay(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
}
