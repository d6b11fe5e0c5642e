// Coming back where the server could not replay what was missed: its snapshot, joined with what is known here.

import {
  applyEvent,
  closedSection,
  emptyStream,
  endRun,
  findSection,
  newRun,
  nowAt,
  openedSection,
  provisional,
  raise,
} from "./state.js";

/** The state after a snapshot. `known` is the state so far, perhaps empty; `past` are events before the snapshot that
 * the server still has. What is settled never changes, so whatever was known of it is kept; what was open or
 * undecided is as the snapshot says. */
export function rejoined(known, { epoch, snapshot, past }) {
  if (!epoch) return known;
  const goesOn = known.epoch === epoch;
  if (!goesOn && known.epoch !== null) endRun(known);
  const s = emptyStream(known.name, goesOn ? known.base : nowAt(known));
  for (const envelope of past) applyEvent(s, envelope);
  if (epoch !== s.epoch) newRun(s, epoch);
  const older = thisRun(snapshot).filter((d) => !findSection(s, epoch, d.section_id));
  s.sections.unshift(...older.map((d) => closedSection(s, d)));
  unite(s, known);
  s.boundaries = byTime([...s.boundaries, ...unseen(s, snapshot.section)]);
  now(s, snapshot);
  return s;
}

/** `recent` goes on over restarts; the sections of this run are those at its end whose times still rise. */
function thisRun({ recent, section, t }) {
  let limit = section?.start ?? t;
  let first = recent.length;
  while (first > 0 && recent[first - 1].end <= limit + 0.01) limit = recent[--first].start;
  return recent.slice(first);
}

/** Add to `s` what was settled before. */
function unite(s, known) {
  const missing = (list, others) => others.filter(({ key }) => !list.some((item) => item.key === key));
  s.sections = byTime([
    ...s.sections,
    ...missing(
      s.sections,
      known.sections.filter(({ end }) => end !== null),
    ),
  ]);
  s.boundaries = byTime([
    ...s.boundaries,
    ...missing(
      s.boundaries,
      known.boundaries.filter(({ state }) => state === "confirmed"),
    ),
  ]);
  s.marks = byTime([...s.marks, ...missing(s.marks, known.marks)]);
  s.sounds = [...known.sounds.filter(({ at }) => !s.sounds.length || at < s.sounds[0].at), ...s.sounds];
  s.names = new Map([...known.names, ...s.names]);
  s.about ??= known.epoch === s.epoch ? known.about : null;
  Object.assign(s, { novelty: known.novelty, level: known.level, version: known.version + 1 });
}

/** What is open, undecided or sounding is as the snapshot says, whatever the past said before. */
function now(s, { state, t, watermark, section, sound, alarms, open }) {
  s.status = state;
  s.t = Math.max(s.t, t);
  s.watermark = watermark;
  if (section) {
    const { section_id, start, label, name } = section;
    Object.assign(openedSection(s, section_id, start), { label, name });
  }
  const last = s.sounds.at(-1);
  if (sound && !(last && last.speech === sound.speech && last.music === sound.music && last.silence === sound.silence))
    s.sounds.push({ at: nowAt(s), ...sound });
  s.alarms = new Map();
  for (const alarm of alarms) raise(s, alarm);
  s.boundaries = s.boundaries.filter((boundary) => boundary.state === "confirmed");
  for (const undecided of open) provisional(s, undecided);
}

const byTime = (list) => list.sort((a, b) => a.base + (a.start ?? a.t) - (b.base + (b.start ?? b.t)));

/** Boundaries that only the sections around them tell of; how sure they were is not known. */
function unseen(s, open) {
  const begins = open?.start > 0 && s.sections.at(-1)?.ended_by !== "gap" ? [open.start] : [];
  const ends = s.sections
    .filter(({ epoch, ended_by }) => epoch === s.epoch && ended_by === "boundary")
    .map(({ end }) => end);
  const known = (t) => s.boundaries.some((b) => b.epoch === s.epoch && b.t === t && b.state === "confirmed");
  return [...new Set([...ends, ...begins])]
    .filter((t) => !known(t))
    .map((t) => ({ key: `${s.epoch}/at ${t}`, epoch: s.epoch, base: s.base, t, state: "confirmed" }));
}
