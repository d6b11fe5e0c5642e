// The report of a section: of `section.closed`, or what is known so far of a section that is still open.

import { formatClock } from "./axis.js";
import { makeChip, makeElement } from "./elements.js";
import { describeEarlier, labelName } from "./state.js";

const formatNumber = (digits, unit) => (value) => `${value.toFixed(digits)} ${unit}`;
const formatHz = (value) => (value >= 1000 ? `${(value / 1000).toFixed(1)} kHz` : `${Math.round(value)} Hz`);
const PITCH_CLASSES = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];

// [field, name, formatter, meaning]
const ROWS = [
  ["integrated_lufs", "Loudness", formatNumber(1, "LUFS"), "integrated, EBU R 128"],
  ["loudness_range_lu", "Loudness range", formatNumber(1, "LU"), "EBU Tech 3342"],
  ["true_peak_db", "True peak", formatNumber(1, "dB"), "ITU-R BS.1770"],
  ["tempo_bpm", "Tempo", formatNumber(1, "BPM"), ""],
  [
    "key",
    "Key",
    (key, report) => (report.camelot ? `${key} · ${report.camelot}` : key),
    "with its position on the Camelot wheel",
  ],
  ["pitch_median_hz", "Pitch", formatHz, "median of the voiced frames"],
  ["centroid_hz", "Brightness", formatHz, "spectral centroid"],
  ["bandwidth_hz", "Bandwidth", formatHz, "spectral bandwidth"],
  ["flatness", "Noisiness", formatNumber(3, ""), "spectral flatness: 0 a tone, 1 white noise"],
  ["onset_rate_hz", "Onsets", formatNumber(1, "/s"), "attacks a second"],
];
const SHARES = [
  ["speech_fraction", "speech"],
  ["music_fraction", "music"],
  ["silence_fraction", "silence"],
  ["voiced_fraction", "voiced"],
];

/** Fill `target` with the report of a section, and of the one before it where it is still open.
 * onName: (label, name) => void; null where names may not be given. */
export function showReport(target, s, section, onName) {
  const parts = section.report ? makeReport(section.report) : [makeOpenSection(section)];
  target.replaceChildren(makeHeading(s, section), ...parts);
  if (onName && section.label !== null) target.append(makeNameForm(section.label, labelName(s, section), onName));
  const before = section.end === null ? s.sections.findLast(({ report }) => report) : null;
  if (before)
    target.append(makeElement("div", { className: "before" }, makeHeading(s, before), ...makeReport(before.report)));
}

function makeHeading(s, section) {
  const name = labelName(s, section);
  const length_s = (section.end ?? s.t) - section.start;
  const span =
    section.end === null
      ? `since ${formatClock(section.start, true)}`
      : `${formatClock(section.start, true)} – ${formatClock(section.end, true)}, ${formatClock(length_s, true)} long`;
  const ended = { gap: "ended by a gap in the sound", end: "ended with the stream" }[section.ended_by];
  const earlier = describeEarlier(s, section);
  const certainty =
    section.label_confidence == null ? null : `label ${Math.round(section.label_confidence * 100)} % certain`;
  const role = section.role ? `${section.role}? ${Math.round(section.role_confidence * 100)} %` : null;
  return makeElement(
    "header",
    {},
    makeChip(section.label, "large"),
    makeElement(
      "div",
      {},
      makeElement("h4", {}, name ?? (section.label === null ? "Not known yet" : `Section ${section.label}`)),
      makeElement("p", {}, [span, earlier, certainty, role, ended].filter(Boolean).join(" · ")),
    ),
  );
}

const isKnown = (value) => value !== null && value !== undefined;

function makeReport(report) {
  const rows = ROWS.filter(([field]) => isKnown(report[field])).map(([field, name, write, meaning]) =>
    makeElement(
      "div",
      { title: meaning },
      makeElement("dt", {}, name),
      makeElement("dd", {}, write(report[field], report)),
    ),
  );
  const missing = ROWS.filter(([field]) => !isKnown(report[field])).map(([, name]) => name.toLowerCase());
  return [
    makeElement("dl", {}, ...rows),
    missing.length ? makeElement("p", { className: "hint" }, `Could not be measured: ${missing.join(", ")}.`) : null,
    makeShares(report),
    report.chroma ? makeChroma(report.chroma) : null,
  ].filter(Boolean);
}

function makeShares(report) {
  const bars = SHARES.filter(([field]) => isKnown(report[field])).map(([field, name]) => makeBar(name, report[field]));
  return makeElement("div", { className: "shares" }, ...bars);
}

function makeOpenSection(section) {
  const likely = Object.entries(section.label_probabilities ?? {})
    .sort((a, b) => b[1] - a[1])
    .slice(0, 4);
  const intro = makeElement("p", { className: "hint" }, "This section is still open; its report appears when it ends.");
  return makeElement(
    "div",
    { className: "shares" },
    intro,
    ...likely.map(([label, probability]) => makeBar(label, probability)),
  );
}

function makeBar(name, fraction) {
  const filled = makeElement("i");
  filled.style.setProperty("--fraction", fraction);
  return makeElement(
    "div",
    { className: "bar" },
    makeElement("span", {}, name),
    filled,
    makeElement("b", {}, `${Math.round(fraction * 100)} %`),
  );
}

function makeChroma(values) {
  const most = Math.max(...values, 1e-9);
  const bars = values.map((value, n) => {
    const bar = makeElement("span", { title: `${PITCH_CLASSES[n]} ${(value / most).toFixed(2)}` }, PITCH_CLASSES[n]);
    bar.style.setProperty("--fraction", value / most);
    return bar;
  });
  return makeElement(
    "div",
    { className: "chroma", role: "img", ariaLabel: "Strength of the twelve pitch classes" },
    ...bars,
  );
}

function makeNameForm(label, name, onName) {
  const input = makeElement("input", {
    name: "name",
    value: name ?? "",
    placeholder: "Chorus, Ads, …",
    maxLength: 80,
    autocomplete: "off",
    ariaLabel: `Name for label ${label}`,
  });
  const form = makeElement(
    "form",
    { className: "naming" },
    makeElement("span", {}, `Name every “${label}”`),
    input,
    makeElement("button", {}, "Save"),
  );
  form.onsubmit = (event) => {
    event.preventDefault();
    if (input.value.trim()) onName(label, input.value.trim());
  };
  return form;
}
