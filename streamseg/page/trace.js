// A curve of unlimited duration in bounded memory.

const THIN_EVERY = 256;
const RESOLUTION = 1500; // a point is at most its age / this wide: below a pixel in any window that ends now
const MAX_POINTS = 20_000; // for months; the number that RESOLUTION allows grows with the logarithm of the age

/** Points {from, to, value, threshold}; older ones are merged into wider ones. Merged points keep the highest value, so
 * that peaks stay visible in the widest window. */
export class Trace {
  points = [];
  #added = 0;

  push(at, value, threshold) {
    const last = this.points.at(-1);
    if (last && at <= last.to) return;
    // Only points that follow each other closely share an edge; a gap stays visible.
    this.points.push({ from: last && at - last.to < 1 ? last.to : at - 0.2, to: at, value, threshold });
    if (++this.#added % THIN_EVERY === 0) this.#thin(at);
  }

  #thin(now) {
    const thinned = [];
    for (const point of this.points) {
      const before = thinned.at(-1);
      if (before && point.from === before.to && point.to - before.from <= (now - point.to) / RESOLUTION) {
        before.to = point.to;
        before.value = Math.max(before.value, point.value);
        before.threshold = point.threshold;
      } else thinned.push(point);
    }
    this.points = thinned.slice(-MAX_POINTS);
  }
}
