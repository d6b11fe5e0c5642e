// What a section was: the report of `section.closed`, or what is known so far of one that is still open.

import { clock } from "./axis.js";
import { chip, element } from "./elements.js";
import { heardBefore, labelName } from "./state.js";

const number = (digits, unit) => (value) => `${value.toFixed(digits)} ${unit}`;
const kilo = (value) => (value >= 1000 ? `${(value / 1000).toFixed(1)} kHz` : `${Math.round(value)} Hz`);
const PITCH_CLASSES = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];

// [field, what people call it, how it is written, what it means]
const ROWS = [
  ["integrated_lufs", "Loudness", number(1, "LUFS"), "integrated, EBU R 128"],
  ["loudness_range_lu", "Loudness range", number(1, "LU"), "EBU Tech 3342"],
  ["true_peak_db", "True peak", number(1, "dB"), "ITU-R BS.1770"],
  ["tempo_bpm", "Tempo", number(1, "BPM"), ""],
  [
    "key",
    "Key",
    (key, report) => (report.camelot ? `${key} · ${report.camelot}` : key),
    "with its place on the Camelot wheel",
  ],
  ["pitch_median_hz", "Pitch", kilo, "median of what is voiced"],
  ["centroid_hz", "Brightness", kilo, "spectral centroid"],
  ["bandwidth_hz", "Bandwidth", kilo, "spectral bandwidth"],
  ["flatness", "Noisiness", number(3, ""), "spectral flatness: 0 a tone, 1 white noise"],
  ["onset_rate_hz", "Onsets", number(1, "/s"), "attacks a second"],
];
const SHARES = [
  ["speech_fraction", "speech"],
  ["music_fraction", "music"],
  ["silence_fraction", "silence"],
  ["voiced_fraction", "voiced"],
];

/** Fill `target` with the report of a section; with one that is still open goes the one before it.
 * naming: null, or (label, name) => void where names may be given. */
export function showReport(target, s, section, naming) {
  target.replaceChildren(heading(s, section), ...(section.report ? closed(section.report) : [stillOpen(section)]));
  if (naming && section.label !== null) target.append(namingForm(section.label, labelName(s, section), naming));
  const before = section.end === null ? s.sections.findLast(({ report }) => report) : null;
  if (before) target.append(element("div", { className: "before" }, heading(s, before), ...closed(before.report)));
}

function heading(s, section) {
  const name = labelName(s, section);
  const length_s = (section.end ?? s.t) - section.start;
  const span =
    section.end === null
      ? `since ${clock(section.start, true)}`
      : `${clock(section.start, true)} – ${clock(section.end, true)}, ${clock(length_s, true)} long`;
  const ended = { gap: "ended by a gap in the sound", end: "ended with the stream" }[section.ended_by];
  const returned = heardBefore(s, section);
  const sure =
    section.label_confidence == null ? null : `label ${Math.round(section.label_confidence * 100)} % certain`;
  const role = section.role ? `${section.role}? ${Math.round(section.role_confidence * 100)} %` : null;
  return element(
    "header",
    {},
    chip(section.label, "large"),
    element(
      "div",
      {},
      element("h4", {}, name ?? (section.label === null ? "Not known yet" : `Section ${section.label}`)),
      element("p", {}, [span, returned, sure, role, ended].filter(Boolean).join(" · ")),
    ),
  );
}

const known = (value) => value !== null && value !== undefined;

function closed(report) {
  const rows = ROWS.filter(([field]) => known(report[field])).map(([field, name, write, meaning]) =>
    element("div", { title: meaning }, element("dt", {}, name), element("dd", {}, write(report[field], report))),
  );
  const missing = ROWS.filter(([field]) => !known(report[field])).map(([, name]) => name.toLowerCase());
  return [
    element("dl", {}, ...rows),
    missing.length ? element("p", { className: "hint" }, `Could not be measured: ${missing.join(", ")}.`) : null,
    shares(report),
    report.chroma ? chroma(report.chroma) : null,
  ].filter(Boolean);
}

function shares(report) {
  const bars = SHARES.filter(([field]) => known(report[field])).map(([field, name]) => bar(name, report[field]));
  return element("div", { className: "shares" }, ...bars);
}

function stillOpen(section) {
  const likely = Object.entries(section.label_probabilities ?? {})
    .sort((a, b) => b[1] - a[1])
    .slice(0, 4);
  const intro = element("p", { className: "hint" }, "Still playing; its report comes when it ends.");
  return element(
    "div",
    { className: "shares" },
    intro,
    ...likely.map(([label, probability]) => bar(label, probability)),
  );
}

function bar(name, fraction) {
  const filled = element("i");
  filled.style.setProperty("--fraction", fraction);
  return element(
    "div",
    { className: "bar" },
    element("span", {}, name),
    filled,
    element("b", {}, `${Math.round(fraction * 100)} %`),
  );
}

function chroma(values) {
  const most = Math.max(...values, 1e-9);
  const bars = values.map((value, n) => {
    const made = element("span", { title: `${PITCH_CLASSES[n]} ${(value / most).toFixed(2)}` }, PITCH_CLASSES[n]);
    made.style.setProperty("--fraction", value / most);
    return made;
  });
  return element(
    "div",
    { className: "chroma", role: "img", ariaLabel: "Strength of the twelve pitch classes" },
    ...bars,
  );
}

function namingForm(label, name, naming) {
  const input = element("input", {
    name: "name",
    value: name ?? "",
    placeholder: "Chorus, Ads, …",
    maxLength: 80,
    autocomplete: "off",
    ariaLabel: `Name for label ${label}`,
  });
  const form = element(
    "form",
    { className: "naming" },
    element("span", {}, `Name every “${label}”`),
    input,
    element("button", {}, "Save"),
  );
  form.onsubmit = (event) => {
    event.preventDefault();
    if (input.value.trim()) naming(label, input.value.trim());
  };
  return form;
}
