// Where the server cannot replay the missed events: combine its snapshot with the state of the page.

import {
  applyEvent,
  makeClosedSection,
  emptyStream,
  endRun,
  findSection,
  startRun,
  nowAt,
  openSection,
  startSection,
  addProvisional,
  raiseAlarm,
} from "./state.js";

/** Return the state after a snapshot. `known` is the state so far, perhaps empty; `past` are events before the snapshot
 * that the server still has. Closed sections and confirmed boundaries never change, so the known ones stay; what was
 * open or provisional is replaced by the snapshot. */
export function applySnapshot(known, { epoch, snapshot, past }) {
  if (!epoch) return known;
  const isSameRun = known.epoch === epoch;
  if (!isSameRun && known.epoch !== null) endRun(known);
  const s = emptyStream(known.name, isSameRun ? known.base : nowAt(known));
  for (const envelope of past) applyEvent(s, envelope);
  if (epoch !== s.epoch) startRun(s, epoch);
  const older = sectionsOfRun(snapshot).filter((d) => !findSection(s, epoch, d.section_id));
  s.sections.unshift(...older.map((d) => makeClosedSection(s, d)));
  mergeKnown(s, known);
  s.boundaries = sortByTime([...s.boundaries, ...inferBoundaries(s, snapshot.section)]);
  applyPresent(s, snapshot);
  return s;
}

/** Return the sections of this run. `recent` continues over restarts; they are those at its end whose times rise. */
function sectionsOfRun({ recent, section, t }) {
  let limit = section?.start ?? t;
  let first = recent.length;
  while (first > 0 && recent[first - 1].end <= limit + 0.01) limit = recent[--first].start;
  return recent.slice(first);
}

/** Add the closed sections, confirmed boundaries and marks that were known before. */
function mergeKnown(s, known) {
  const missing = (list, others) => others.filter(({ key }) => !list.some((item) => item.key === key));
  s.sections = sortByTime([
    ...s.sections,
    ...missing(
      s.sections,
      known.sections.filter(({ end }) => end !== null),
    ),
  ]);
  s.boundaries = sortByTime([
    ...s.boundaries,
    ...missing(
      s.boundaries,
      known.boundaries.filter(({ state }) => state === "confirmed"),
    ),
  ]);
  s.marks = sortByTime([...s.marks, ...missing(s.marks, known.marks)]);
  s.sounds = [...known.sounds.filter(({ at }) => !s.sounds.length || at < s.sounds[0].at), ...s.sounds];
  s.names = new Map([...known.names, ...s.names]);
  s.about ??= known.epoch === s.epoch ? known.about : null;
  Object.assign(s, { novelty: known.novelty, level: known.level, version: known.version + 1 });
}

/** Set what is open, provisional or sounding now to what the snapshot has. */
function applyPresent(s, { state, t, watermark, section, sound, alarms, open }) {
  s.status = state;
  s.t = Math.max(s.t, t);
  s.watermark = watermark;
  if (section) {
    const { section_id, start, label, name } = section;
    Object.assign(startSection(s, section_id, start), { label, name });
  } else if (["live", "lost"].includes(state) && !openSection(s)) {
    startSection(s, null, s.sections.findLast(({ epoch }) => epoch === s.epoch)?.end ?? 0); // not identified yet
  }
  const last = s.sounds.at(-1);
  if (sound && !(last && last.speech === sound.speech && last.music === sound.music && last.silence === sound.silence))
    s.sounds.push({ at: nowAt(s), ...sound });
  s.alarms = new Map();
  for (const alarm of state === "stopped" ? [] : alarms) raiseAlarm(s, alarm);
  s.boundaries = s.boundaries.filter((boundary) => boundary.state === "confirmed");
  for (const boundary of open) addProvisional(s, boundary);
}

const sortByTime = (list) => list.sort((a, b) => a.base + (a.start ?? a.t) - (b.base + (b.start ?? b.t)));

/** Return the boundaries that only the sections around them show; their confidence is not known. */
function inferBoundaries(s, open) {
  const begins = open?.start > 0 && s.sections.at(-1)?.ended_by !== "gap" ? [open.start] : [];
  const ends = s.sections
    .filter(({ epoch, ended_by }) => epoch === s.epoch && ended_by === "boundary")
    .map(({ end }) => end);
  const known = (t) => s.boundaries.some((b) => b.epoch === s.epoch && b.t === t && b.state === "confirmed");
  return [...new Set([...ends, ...begins])]
    .filter((t) => !known(t))
    .map((t) => ({ key: `${s.epoch}/at ${t}`, epoch: s.epoch, base: s.base, t, state: "confirmed" }));
}
