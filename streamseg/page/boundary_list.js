// The list of boundaries, newest first, with the other marks of the stream (gaps, titles, restarts) between them.

import { formatClock } from "./axis.js";
import { makeElement, setText, styleByLabel } from "./elements.js";
import { describeEarlier, findSection, labelName } from "./state.js";

const MAX_ROWS = 200; // older boundaries are still in the ribbon and in the history
const EVIDENCE = ["timbre", "harmony", "rhythm", "level"];
const MIN_EVIDENCE = 0.5; // of a feature group that is listed

/** onChoose(section key): a boundary was clicked. onMark(boundary, verdict): the user gave feedback on one. */
export class BoundaryList {
  #list;
  #rows = new Map(); // key -> {row, content}
  #onChoose;
  #onMark;

  constructor(list, onChoose, onMark) {
    this.#list = list;
    this.#onChoose = onChoose;
    this.#onMark = onMark;
  }

  /** Show the boundaries and marks of `s`; rows that did not change keep their focus. */
  show(s, control) {
    const entries = [...s.boundaries.filter((b) => b.state !== "retracted"), ...s.marks]
      .sort((a, b) => b.base + b.t - (a.base + a.t))
      .slice(0, MAX_ROWS);
    const keys = new Set(entries.map(({ key }) => key));
    for (const [key, { row }] of this.#rows) {
      if (keys.has(key)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    let before = null;
    for (const entry of entries) {
      const row = entry.kind ? this.#markRow(entry) : this.#boundaryRow(s, entry, control);
      const next = before ? before.nextElementSibling : this.#list.firstElementChild;
      if (row !== next) this.#list.insertBefore(row, next);
      before = row;
    }
  }

  #markRow({ key, kind, t, text }) {
    return this.#findOrMakeRow(key, "", () =>
      makeElement(
        "li",
        { className: "mark", dataset: { key, kind } },
        makeElement("time", {}, formatClock(t)),
        makeElement("span", {}, text),
      ),
    );
  }

  #boundaryRow(s, b, control) {
    const section = b.next
      ? findSection(s, b.epoch, b.next.section_id)
      : s.sections.findLast(({ base, start }) => base === b.base && start === b.t);
    const name = section ? labelName(s, section) : null;
    const mayMark = control && b.epoch === s.epoch;
    const content = JSON.stringify([
      b.t,
      b.state,
      b.stability,
      b.verdict,
      section?.label,
      name,
      mayMark,
      section?.seen_before,
    ]);
    return this.#findOrMakeRow(b.key, content, (row) => this.#fillBoundaryRow(s, row, b, section, name, mayMark));
  }

  #findOrMakeRow(key, content, make) {
    const entry = this.#rows.get(key);
    if (entry?.content === content) return entry.row;
    const row = make(entry?.row);
    if (entry && entry.row !== row) entry.row.replaceWith(row);
    this.#rows.set(key, { row, content });
    return row;
  }

  #fillBoundaryRow(s, existing, b, section, name, mayMark) {
    const row = existing ?? makeBlankRow();
    row.dataset.key = b.key;
    row.dataset.state = b.state;
    const part = (name) => row.querySelector(`.${name}`);
    const label = section?.label ?? b.next?.label ?? null;
    const isConfirmed = b.state === "confirmed";
    const earlier = isConfirmed && section ? describeEarlier(s, section) : "";
    styleByLabel(part("chip"), isConfirmed ? label : null);
    setText(part("when"), formatClock(b.t, true));
    const title = name ?? (label === null ? "New section" : `Section ${label}`);
    setText(part("what"), isConfirmed ? title : "Possible boundary…");
    setText(part("seen"), earlier && `↺ ${earlier}`);
    setText(part("why"), isConfirmed ? describeReasons(b) : "");
    const probability = isConfirmed ? b.confidence : b.stability;
    part("sure").hidden = probability === undefined;
    setText(part("percent"), probability === undefined ? "" : `${Math.round(probability * 100)} %`);
    part("sure").style.setProperty("--fraction", probability ?? 0);
    part("sure").title = isConfirmed ? "confidence" : "stability so far";
    part("choose").onclick = () => section && this.#onChoose(section.key);
    this.#fillMarking(part("marking"), b, isConfirmed && mayMark);
    return row;
  }

  #fillMarking(target, b, isAllowed) {
    if (!isAllowed) return target.replaceChildren();
    if (!target.childElementCount) {
      const button = (verdict, sign, title) =>
        makeElement("button", { type: "button", title, ariaLabel: title, dataset: { verdict } }, sign);
      target.append(button("confirm", "✓", "This boundary is right"), button("reject", "✗", "This boundary is wrong"));
    }
    for (const button of target.children) {
      button.ariaPressed = String(b.verdict === button.dataset.verdict);
      button.onclick = () => this.#onMark(b, button.dataset.verdict);
    }
  }
}

function makeBlankRow() {
  const span = (className, ...children) => makeElement("span", { className }, ...children);
  return makeElement(
    "li",
    { className: "boundary" },
    makeElement(
      "button",
      { type: "button", className: "choose" },
      span("chip"),
      makeElement("time", { className: "when" }),
      span("text", span("what"), span("seen"), span("why")),
      span("sure", makeElement("i"), span("percent")),
    ),
    span("marking"),
  );
}

function describeReasons({ evidence, decided_t, t, snapped_to }) {
  if (!evidence) return "";
  const strong = EVIDENCE.filter((kind) => evidence[kind] >= MIN_EVIDENCE).sort((a, b) => evidence[b] - evidence[a]);
  const parts = [
    strong.length ? `by ${strong.join(", ")}` : "",
    `confirmed after ${(decided_t - t).toFixed(1)} s`,
    snapped_to ? `aligned with ${snapped_to}` : "",
  ];
  return parts.filter(Boolean).join(" · ");
}
