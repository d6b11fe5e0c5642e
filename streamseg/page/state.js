// The state of one stream, computed from the server's events. Uses no clock, no page and no socket.
//
// A run of a stream (an epoch) counts its seconds from 0. Runs follow each other on one axis, so that the time before a
// restart stays visible: `at` is axis seconds, `t` (as in the protocol) is seconds of its own run, and at = base + t.
// Every item of a list has a `key` that is unique over all runs.

import { formatClock } from "./axis.js";
import { Trace } from "./trace.js";

const MAX_SECTIONS = 4000; // of each list; the oldest are dropped
const MAX_BOUNDARIES = 4000;
const MAX_SOUNDS = 4000;
const MAX_MARKS = 1000;
const GAP_ENDS_SECTION_S = 2;
const RETRACTED_S = 30; // how long a retracted boundary stays, to be drawn while it fades

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
    historyFailure: null, // why the history is not written
    novelty: new Trace(),
    version: 0, // rises with every change but those of meter, novelty and time
  };
}

/** Axis seconds of now. */
export const nowAt = (s) => s.base + s.t;
export const openSection = (s) => (s.sections.at(-1)?.end === null ? s.sections.at(-1) : null);
export const labelName = (s, section) => s.names.get(section.label) ?? section.name ?? null;
/** "heard before at 1:20", or "" for a new label. Where a snapshot does not tell, the earlier sections do. Beside a name
 * the text tells the label: the name may be that of a jingle, and the label was heard before without the jingle. */
export function describeEarlier(s, section) {
  const findEarlier = () =>
    s.sections.findLast(
      (other) => other.base + other.start < section.base + section.start && other.label === section.label,
    );
  const earlier = section.seen_before === undefined && section.label !== null ? findEarlier() : null;
  if (!section.seen_before && !earlier) return "";
  const last = section.last_seen ?? earlier?.end;
  const before = last === undefined ? "before" : `before at ${formatClock(last)}`;
  const when = section.last_seen === null ? "in an earlier run" : before;
  return `${labelName(s, section) ? `label ${section.label} ` : ""}heard ${when}`;
}

export const findSection = (s, epoch, id) => s.sections.findLast((section) => section.key === `${epoch}/${id}`);

/** Apply one event of the protocol to the state. */
export function applyEvent(s, { type, epoch, offset, data, time }) {
  if (epoch !== s.epoch) {
    if (offset === undefined) return; // levels are sent before events that wait for the history; they start no run
    startRun(s, epoch);
  }
  const [kind, version] = [type.slice("streamseg.".length, type.lastIndexOf(".")), type.slice(type.lastIndexOf("."))];
  if (version !== ".v1" || !(kind in HANDLERS)) return; // from a newer server
  s.t = Math.max(s.t, data.decided_t ?? data.t ?? data.end ?? data.since ?? 0);
  HANDLERS[kind](s, data, { offset, time });
  if (offset !== undefined) s.version++;
}

export function applyHeartbeat(s, { epoch, t, watermark, lag_s, dropped_samples, kept }) {
  if (epoch && epoch !== s.epoch) startRun(s, epoch);
  s.t = Math.max(s.t, t ?? 0);
  Object.assign(s, { watermark, lag_s, dropped_samples });
  if (kept === false && !s.historyFailure) [s.historyFailure, s.version] = ["it cannot be written", s.version + 1];
}

const HANDLERS = {
  "stream.started": (s, d) => {
    s.about = d;
    s.status = "live";
    startSection(s, null, 0);
    if (s.base > 0) addMark(s, "started", 0, "started again");
  },
  "stream.gap": (s, d) => {
    const end = d.t + d.missing_s;
    s.t = Math.max(s.t, end);
    addMark(s, "gap", d.t, `${d.missing_s.toFixed(2)} s of sound missing (${d.cause})`, d.missing_s);
    const open = openSection(s);
    if (d.missing_s > GAP_ENDS_SECTION_S && open && open.id === null) open.start = Math.max(open.start, end);
  },
  "stream.lost": (s, d) => {
    s.status = "lost";
    addMark(s, "lost", d.t, `source lost: ${d.reason}`);
  },
  "stream.resumed": (s, d) => {
    s.status = "live";
    addMark(s, "resumed", d.t, `source back after ${d.away_s.toFixed(1)} s`);
  },
  "stream.stopped": (s, d) => {
    s.status = "stopped";
    endRun(s);
    addMark(s, "stopped", d.t, `stopped: ${d.reason}`);
  },
  "stream.title": (s, d) => addMark(s, "title", d.t, d.title),
  "boundary.provisional": (s, d) => addProvisional(s, d),
  "boundary.confirmed": (s, d) => {
    Object.assign(findOrAddBoundary(s, d), { ...d, state: "confirmed" });
    const open = openSection(s);
    if (open) open.end = d.t;
    startSection(s, d.next.section_id, d.t).label = d.next.label;
    Object.assign(openSection(s), { seen_before: d.next.seen_before, last_seen: d.next.last_seen });
  },
  "boundary.retracted": (s, d) => {
    const boundary = s.boundaries.findLast((b) => b.key === `${s.epoch}/${d.boundary_id}`);
    if (boundary) Object.assign(boundary, { state: "retracted", retracted_t: s.t });
  },
  "section.updated": (s, d) => {
    const section = findSection(s, s.epoch, d.section_id) ?? identifyFirstSection(s, d.section_id);
    if (section) Object.assign(section, d);
  },
  "section.closed": (s, d) => {
    const section = findSection(s, s.epoch, d.section_id) ?? identifyFirstSection(s, d.section_id);
    if (section) Object.assign(relabel(section, d.label), makeClosedSection(s, d));
    else s.sections.push(makeClosedSection(s, d));
    s.sections.sort((a, b) => a.base + a.start - (b.base + b.start));
    if (d.ended_by === "gap" && !openSection(s)) startSection(s, null, Math.max(d.end, s.t));
  },
  "section.relabelled": (s, d) => {
    const section = findSection(s, s.epoch, d.section_id);
    if (section) relabel(section, d.label);
  },
  "sound.changed": (s, d) =>
    pushBounded(s.sounds, { at: s.base + d.t, speech: d.speech, music: d.music, silence: d.silence }, MAX_SOUNDS),
  "alarm.raised": (s, d) => raiseAlarm(s, d),
  "alarm.cleared": (s, d) => s.alarms.delete(d.alarm),
  "alarm.acknowledged": (s, d) => {
    const alarm = s.alarms.get(d.alarm);
    if (alarm) alarm.by = d.by;
  },
  "label.named": (s, d) => s.names.set(d.label, d.name),
  "history.failed": (s, d) => (s.historyFailure = d.reason),
  "history.restored": (s) => (s.historyFailure = null),
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

/** Start another run of the stream at the end of the last one. */
export function startRun(s, epoch) {
  if (s.epoch !== null) endRun(s);
  Object.assign(s, { epoch, base: nowAt(s), t: 0, watermark: null, meter: null, status: "live" });
  s.version++;
}

/** End a run: close its open section, drop its alarms and provisional boundaries, even where it was interrupted. */
export function endRun(s) {
  const open = openSection(s);
  if (open) open.end = Math.max(open.start, s.t);
  s.meter = null;
  s.alarms = new Map(); // an alarm tells what is wrong now
  s.boundaries = s.boundaries.filter((b) => b.state === "confirmed");
}

export function startSection(s, id, start) {
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
  pushBounded(s.sections, section, MAX_SECTIONS);
  return section;
}

/** Give the first section of a run its id: no boundary names it, the first event about it does. */
function identifyFirstSection(s, id) {
  const open = openSection(s);
  return open && open.id === null ? startSection(s, id, open.start) : null;
}

/** Give a section its final label. When another one was last heard says nothing about it. */
function relabel(section, label) {
  if (section.label !== label) Object.assign(section, { label, seen_before: undefined, last_seen: undefined });
  return section;
}

export function makeClosedSection(s, d) {
  return { ...d, key: `${s.epoch}/${d.section_id}`, epoch: s.epoch, id: d.section_id, base: s.base };
}

function findOrAddBoundary(s, { boundary_id }) {
  const key = `${s.epoch}/${boundary_id}`;
  const known = s.boundaries.findLast((b) => b.key === key);
  if (known) return known;
  s.boundaries = s.boundaries.filter(
    (b) => b.state !== "retracted" || s.epoch !== b.epoch || s.t - b.retracted_t < RETRACTED_S,
  );
  return pushBounded(s.boundaries, { key, epoch: s.epoch, base: s.base }, MAX_BOUNDARIES);
}

export function addProvisional(s, d) {
  const boundary = findOrAddBoundary(s, d);
  if (boundary.state !== "confirmed") Object.assign(boundary, d, { state: "provisional" });
}

export function raiseAlarm(s, { alarm, since, level_db, acknowledged_by }) {
  s.alarms.set(alarm, { since, level_db, by: acknowledged_by ?? null });
}

function addMark(s, kind, t, text, length_s = 0) {
  pushBounded(s.marks, { key: `${s.epoch}/${kind}/${t}`, kind, t, base: s.base, text, length_s }, MAX_MARKS);
}

function pushBounded(list, item, limit) {
  if (list.push(item) > limit) list.splice(0, Math.ceil(limit / 8));
  return item;
}
