// Time on the screen: which second lies at which pixel.

export const WINDOWS = { "1m": 60, "10m": 600, all: Infinity };
const AHEAD = 0.03; // of the width, right of now
const TICKS_S = [5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400, 604_800];
const TICK_PX = 72;

/** The part of the axis a window shows. oldest, now: axis seconds. width: CSS pixels. */
export function axis(windowName, oldest, now, width) {
  const span = Math.min(WINDOWS[windowName], Math.max(20, now - oldest));
  const from = now - span;
  const scale = (width * (1 - AHEAD)) / span;
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

/** Where to write times: [{x, text}] for the run that began at `base`. */
export function ticks({ from, to, now, scale, x }, base) {
  const step = TICKS_S.find((s) => s * scale >= TICK_PX) ?? TICKS_S.at(-1);
  const found = [];
  for (let t = Math.max(0, Math.ceil((from - base) / step) * step); base + t <= Math.min(to, now); t += step) {
    found.push({ x: x(base + t), text: clock(t) });
  }
  return found;
}

/** 0:07, 12:34, 1:02:03; with tenths when asked. */
export function clock(t, tenths = false) {
  const s = tenths ? Math.round(t * 10) / 10 : Math.floor(t);
  const [hours, minutes, seconds] = [Math.floor(s / 3600), Math.floor((s % 3600) / 60), s % 60];
  const tail = tenths ? seconds.toFixed(1).padStart(4, "0") : String(seconds).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}
