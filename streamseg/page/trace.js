// A curve that may run for months in bounded memory.

const THIN_EVERY = 256;
const FINENESS = 1500; // a point is never wider than its age over this: under a pixel in any window that ends now
const MOST = 20_000; // months; the bound that FINENESS gives grows with the logarithm of the age

/** Points {from, to, value, threshold}; the older, the wider. Merged points keep the highest value, so that a
 * peak is still a peak in the widest window. */
export class Trace {
  points = [];
  #added = 0;

  push(at, value, threshold) {
    const last = this.points.at(-1);
    if (last && at <= last.to) return;
    // A hole stays a hole: only points that follow each other share an edge.
    this.points.push({ from: last && at - last.to < 1 ? last.to : at - 0.2, to: at, value, threshold });
    if (++this.#added % THIN_EVERY === 0) this.#thin(at);
  }

  #thin(now) {
    const kept = [];
    for (const point of this.points) {
      const before = kept.at(-1);
      if (before && point.from === before.to && point.to - before.from <= (now - point.to) / FINENESS) {
        before.to = point.to;
        before.value = Math.max(before.value, point.value);
        before.threshold = point.threshold;
      } else kept.push(point);
    }
    this.points = kept.slice(-MOST);
  }
}
