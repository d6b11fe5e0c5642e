// The level meter: RMS, peak with a short hold, and the loudness of EBU R 128.

import { setText } from "./elements.js";

const FLOOR_DB = -60;
const HOLD_MS = 1500;

const fraction = (db) => Math.min(1, Math.max(0, 1 - (db ?? FLOOR_DB) / FLOOR_DB));

/** One meter in the `.meter` of a panel. */
export class LevelMeter {
  #root;
  #peakHold = { db: -Infinity, until: 0 };

  constructor(root) {
    this.#root = root;
  }

  /** Show levels. meter: the data of a `meter` event, or null. now_ms: of a monotonic clock. */
  show(meter, now_ms) {
    const part = (name) => this.#root.querySelector(`.${name}`);
    const write = (name, value, unit) => {
      const isMeasured = value !== null && value !== undefined;
      part(name).parentElement.hidden = !isMeasured;
      setText(part(name), isMeasured ? `${value.toFixed(1)} ${unit}` : "");
    };
    const peak = meter?.peak_db ?? FLOOR_DB;
    const { db, until } = this.#peakHold;
    if (peak >= db || now_ms > until) this.#peakHold = { db: peak, until: now_ms + HOLD_MS };
    const bar = part("level");
    bar.style.setProperty("--rms", fraction(meter?.rms_db).toFixed(3));
    bar.style.setProperty("--peak", fraction(this.#peakHold.db).toFixed(3));
    bar.dataset.hot = this.#peakHold.db > -1;
    bar.ariaValueNow = Math.round(meter?.rms_db ?? FLOOR_DB);
    write("rms", meter?.rms_db, "dB");
    write("peak", meter?.peak_db, "dB");
    write("momentary", meter?.momentary_lufs, "LUFS");
    write("short-term", meter?.short_term_lufs, "LUFS");
    const measurements = [
      meter?.tempo_bpm && `${Math.round(meter.tempo_bpm)} BPM`,
      meter?.key,
      meter?.pitch_hz && `${Math.round(meter.pitch_hz)} Hz`,
    ];
    setText(part("heard"), measurements.filter(Boolean).join(" · "));
  }
}
