// The level meter: rms, peak with a short hold, and the loudness of EBU R 128.

import { say } from "./elements.js";

const FLOOR_DB = -60;
const HOLD_MS = 1500;

const fraction = (db) => Math.min(1, Math.max(0, 1 - (db ?? FLOOR_DB) / FLOOR_DB));

/** One meter in the `.meter` of a panel. */
export class LevelMeter {
  #root;
  #held = { db: -Infinity, until: 0 };

  constructor(root) {
    this.#root = root;
  }

  /** meter: the data of a `meter` event, or null. now_ms: any steady clock. */
  show(meter, now_ms) {
    const part = (name) => this.#root.querySelector(`.${name}`);
    const write = (name, value, unit) => {
      const known = value !== null && value !== undefined;
      part(name).parentElement.hidden = !known; // what is not measured takes no room
      say(part(name), known ? `${value.toFixed(1)} ${unit}` : "");
    };
    const peak = meter?.peak_db ?? FLOOR_DB;
    if (peak >= this.#held.db || now_ms > this.#held.until) this.#held = { db: peak, until: now_ms + HOLD_MS };
    const bar = part("level");
    bar.style.setProperty("--rms", fraction(meter?.rms_db).toFixed(3));
    bar.style.setProperty("--peak", fraction(this.#held.db).toFixed(3));
    bar.dataset.hot = this.#held.db > -1;
    bar.ariaValueNow = Math.round(meter?.rms_db ?? FLOOR_DB);
    write("rms", meter?.rms_db, "dB");
    write("peak", meter?.peak_db, "dB");
    write("momentary", meter?.momentary_lufs, "LUFS");
    write("short-term", meter?.short_term_lufs, "LUFS");
    const heard = [
      meter?.tempo_bpm && `${Math.round(meter.tempo_bpm)} BPM`,
      meter?.key,
      meter?.pitch_hz && `${Math.round(meter.pitch_hz)} Hz`,
    ];
    say(part("heard"), heard.filter(Boolean).join(" · "));
  }
}
