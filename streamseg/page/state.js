// What is known of one stream: a fold of the server's facts. No clock, no page, no socket.
//
// A run of a stream (an epoch) counts its seconds from 0. Runs are laid end to end on one axis, so that what was
// heard before a restart stays in view: `at` is axis seconds, `t` (as in the protocol) is seconds of its own run,
// and at = base + t. Everything in a list has a `key` that no other run shares.

import { clock } from "./axis.js";
import { Trace } from "./trace.js";

const SECTIONS = 4000; // what is kept of each list; the oldest go first
const BOUNDARIES = 4000;
const SOUNDS = 4000;
const MARKS = 1000;
const GAP_ENDS_SECTION_S = 2;
const RETRACTED_SHOWN_S = 30; // long enough to be seen vanishing

export function emptyStream(name, base = 0) {
  return {
    name,
    epoch: null,
    base,
    t: 0,
    watermark: null,
    lag_s: null,
    dropped_samples: 0,
    status: "waiting", // waiting, live, lost, stopped
    about: null, // the data of stream.started
    sections: [], // {key, id, base, start, end|null, label, name, …}, the last one without end is open
    boundaries: [], // {key, id, epoch, base, t, state: provisional|confirmed|retracted, …}
    sounds: [], // {at, speech, music, silence}
    marks: [], // {key, base, t, kind: gap|lost|resumed|title|started|stopped, text, length_s}
    alarms: new Map(), // kind -> {since, level_db, by|null}
    names: new Map(), // label -> name
    meter: null,
    level: new Trace(), // rms_db
    unkept: null, // why the history is not written
    novelty: new Trace(),
    version: 0, // rises with everything but meter, novelty and time
  };
}

/** Axis seconds of now. */
export const nowAt = (s) => s.base + s.t;
export const openSection = (s) => (s.sections.at(-1)?.end === null ? s.sections.at(-1) : null);
export const labelName = (s, section) => s.names.get(section.label) ?? section.name ?? null;
/** "heard before at 1:20", or "" for a label that is new. The snapshot does not say it, but what came before does. */
export function heardBefore(s, section) {
  const earlier = () =>
    s.sections.findLast(
      (other) => other.base + other.start < section.base + section.start && other.label === section.label,
    );
  const seen = section.seen_before === undefined && section.label !== null ? earlier() : null;
  if (!section.seen_before && !seen) return "";
  const last = section.last_seen ?? seen?.end;
  return last === null || last === undefined ? "heard before" : `heard before at ${clock(last)}`;
}

export const findSection = (s, epoch, id) => s.sections.findLast((section) => section.key === `${epoch}/${id}`);

/** Take in one event object of the protocol. */
export function applyEvent(s, { type, epoch, offset, data, time }) {
  if (epoch !== s.epoch) {
    if (offset === undefined) return; // meters overtake what is being written to the history; they begin no run
    newRun(s, epoch);
  }
  const [kind, version] = [type.slice("streamseg.".length, type.lastIndexOf(".")), type.slice(type.lastIndexOf("."))];
  if (version !== ".v1" || !(kind in FOLD)) return; // from a newer server
  s.t = Math.max(s.t, data.decided_t ?? data.t ?? data.end ?? data.since ?? 0);
  FOLD[kind](s, data, { offset, time });
  if (offset !== undefined) s.version++;
}

export function applyHeartbeat(s, { epoch, t, watermark, lag_s, dropped_samples, kept }) {
  if (epoch && epoch !== s.epoch) newRun(s, epoch);
  s.t = Math.max(s.t, t ?? 0);
  Object.assign(s, { watermark, lag_s, dropped_samples });
  if (kept === false && !s.unkept) [s.unkept, s.version] = ["it cannot be written", s.version + 1];
}

const FOLD = {
  "stream.started": (s, d) => {
    s.about = d;
    s.status = "live";
    openedSection(s, null, 0);
    if (s.base > 0) mark(s, "started", 0, "started again");
  },
  "stream.gap": (s, d) => {
    const end = d.t + d.missing_s;
    s.t = Math.max(s.t, end);
    mark(s, "gap", d.t, `${d.missing_s.toFixed(2)} s of sound missing (${d.cause})`, d.missing_s);
    const open = openSection(s);
    if (d.missing_s > GAP_ENDS_SECTION_S && open && open.id === null) open.start = Math.max(open.start, end);
  },
  "stream.lost": (s, d) => {
    s.status = "lost";
    mark(s, "lost", d.t, `source lost: ${d.reason}`);
  },
  "stream.resumed": (s, d) => {
    s.status = "live";
    mark(s, "resumed", d.t, `source back after ${d.away_s.toFixed(1)} s`);
  },
  "stream.stopped": (s, d) => {
    s.status = "stopped";
    endRun(s);
    mark(s, "stopped", d.t, `stopped: ${d.reason}`);
  },
  "stream.title": (s, d) => mark(s, "title", d.t, d.title),
  "boundary.provisional": (s, d) => provisional(s, d),
  "boundary.confirmed": (s, d) => {
    Object.assign(boundary(s, d), { ...d, state: "confirmed" });
    const open = openSection(s);
    if (open) open.end = d.t;
    openedSection(s, d.next.section_id, d.t).label = d.next.label;
    Object.assign(openSection(s), { seen_before: d.next.seen_before, last_seen: d.next.last_seen });
  },
  "boundary.retracted": (s, d) => {
    const found = s.boundaries.findLast((b) => b.key === `${s.epoch}/${d.boundary_id}`);
    if (found) Object.assign(found, { state: "retracted", retracted_t: s.t });
  },
  "section.updated": (s, d) => {
    const section = findSection(s, s.epoch, d.section_id) ?? adopted(s, d.section_id);
    if (section) Object.assign(section, d);
  },
  "section.closed": (s, d) => {
    const section = findSection(s, s.epoch, d.section_id) ?? adopted(s, d.section_id);
    if (section) Object.assign(section, closedSection(s, d));
    else s.sections.push(closedSection(s, d));
    s.sections.sort((a, b) => a.base + a.start - (b.base + b.start));
    if (d.ended_by === "gap" && !openSection(s)) openedSection(s, null, Math.max(d.end, s.t));
  },
  "section.relabelled": (s, d) => {
    const section = findSection(s, s.epoch, d.section_id);
    if (section) section.label = d.label;
  },
  "sound.changed": (s, d) =>
    push(s.sounds, { at: s.base + d.t, speech: d.speech, music: d.music, silence: d.silence }, SOUNDS),
  "alarm.raised": (s, d) => raise(s, d),
  "alarm.cleared": (s, d) => s.alarms.delete(d.alarm),
  "alarm.acknowledged": (s, d) => {
    const alarm = s.alarms.get(d.alarm);
    if (alarm) alarm.by = d.by;
  },
  "label.named": (s, d) => s.names.set(d.label, d.name),
  "history.failed": (s, d) => (s.unkept = d.reason),
  "history.restored": (s) => (s.unkept = null),
  meter: (s, d) => {
    s.meter = d;
    if (d.rms_db !== null) s.level.push(s.base + d.t, d.rms_db, null);
  },
  novelty: (s, d) => {
    s.novelty.push(s.base + d.t, d.value, d.threshold);
    const open = openSection(s);
    if (open) open.label_probabilities = d.label_probabilities;
  },
};

/** Another run of the stream begins where the last one was heard to. */
export function newRun(s, epoch) {
  if (s.epoch !== null) endRun(s);
  Object.assign(s, { epoch, base: nowAt(s), t: 0, watermark: null, meter: null, status: "live" });
  s.alarms = new Map();
  s.version++;
}

/** A run that ended leaves nothing open or undecided, even when it was cut short. */
export function endRun(s) {
  const open = openSection(s);
  if (open) open.end = Math.max(open.start, s.t);
  s.meter = null;
  s.boundaries = s.boundaries.filter((b) => b.state === "confirmed");
}

export function openedSection(s, id, start) {
  const open = openSection(s);
  if (open && (open.id === id || open.id === null)) return Object.assign(open, { id, key: `${s.epoch}/${id}`, start });
  if (open) open.end = start;
  const section = {
    key: `${s.epoch}/${id}`,
    epoch: s.epoch,
    id,
    base: s.base,
    start,
    end: null,
    label: null,
    name: null,
  };
  push(s.sections, section, SECTIONS);
  return section;
}

/** The first section of a run has no boundary that names it; the first thing said about it does. */
function adopted(s, id) {
  const open = openSection(s);
  return open && open.id === null ? openedSection(s, id, open.start) : null;
}

export function closedSection(s, d) {
  return { ...d, key: `${s.epoch}/${d.section_id}`, epoch: s.epoch, id: d.section_id, base: s.base };
}

function boundary(s, { boundary_id }) {
  const key = `${s.epoch}/${boundary_id}`;
  const found = s.boundaries.findLast((b) => b.key === key);
  if (found) return found;
  s.boundaries = s.boundaries.filter(
    (b) => b.state !== "retracted" || s.epoch !== b.epoch || s.t - b.retracted_t < RETRACTED_SHOWN_S,
  );
  return push(s.boundaries, { key, epoch: s.epoch, base: s.base }, BOUNDARIES);
}

export function provisional(s, d) {
  const found = boundary(s, d);
  if (found.state !== "confirmed") Object.assign(found, d, { state: "provisional" });
}

export function raise(s, { alarm, since, level_db, acknowledged_by }) {
  s.alarms.set(alarm, { since, level_db, by: acknowledged_by ?? null });
}

function mark(s, kind, t, text, length_s = 0) {
  push(s.marks, { key: `${s.epoch}/${kind}/${t}`, kind, t, base: s.base, text, length_s }, MARKS);
}

function push(list, item, most) {
  if (list.push(item) > most) list.splice(0, Math.ceil(most / 8));
  return item;
}
