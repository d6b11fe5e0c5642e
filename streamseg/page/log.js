// The boundary list, newest first, with what else happened to the stream between its lines.

import { clock } from "./axis.js";
import { dress, element, say } from "./elements.js";
import { findSection, heardBefore, labelName } from "./state.js";

const SHOWN = 200; // lines; older ones are still in the ribbon and in the history
const EVIDENCE = ["timbre", "harmony", "rhythm", "level"];
const BEYOND_DOUBT = 0.5; // evidence worth a word

/** One list. onChoose(section key); onMark(boundary, verdict) or null where marking is not allowed. */
export class Log {
  #list;
  #rows = new Map(); // key -> {row, said}
  #onChoose;
  #onMark;

  constructor(list, onChoose, onMark) {
    this.#list = list;
    this.#onChoose = onChoose;
    this.#onMark = onMark;
  }

  /** Bring the list up to date; rows that did not change keep their focus. */
  show(s, control) {
    const entries = [...s.boundaries.filter((b) => b.state !== "retracted"), ...s.marks]
      .sort((a, b) => b.base + b.t - (a.base + a.t))
      .slice(0, SHOWN);
    const keys = new Set(entries.map(({ key }) => key));
    for (const [key, { row }] of this.#rows) {
      if (keys.has(key)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    let before = null;
    for (const entry of entries) {
      const row = entry.kind ? this.#mark(entry) : this.#boundary(s, entry, control);
      const place = before ? before.nextElementSibling : this.#list.firstElementChild;
      if (row !== place) this.#list.insertBefore(row, place);
      before = row;
    }
  }

  #mark({ key, kind, t, text }) {
    return this.#row(key, "", () =>
      element(
        "li",
        { className: "mark", dataset: { key, kind } },
        element("time", {}, clock(t)),
        element("span", {}, text),
      ),
    );
  }

  #boundary(s, b, control) {
    const section = b.next
      ? findSection(s, b.epoch, b.next.section_id)
      : s.sections.findLast(({ base, start }) => base === b.base && start === b.t);
    const name = section ? labelName(s, section) : null;
    const mayMark = control && b.epoch === s.epoch;
    const said = JSON.stringify([
      b.t,
      b.state,
      b.stability,
      b.verdict,
      section?.label,
      name,
      mayMark,
      section?.seen_before,
    ]);
    return this.#row(b.key, said, (old) => this.#boundaryRow(s, old, b, section, name, mayMark));
  }

  #row(key, said, make) {
    const known = this.#rows.get(key);
    if (known?.said === said) return known.row;
    const row = make(known?.row);
    if (known && known.row !== row) known.row.replaceWith(row);
    this.#rows.set(key, { row, said });
    return row;
  }

  #boundaryRow(s, old, b, section, name, mayMark) {
    const row = old ?? blankRow();
    row.dataset.key = b.key;
    row.dataset.state = b.state;
    const part = (name) => row.querySelector(`.${name}`);
    const label = section?.label ?? b.next?.label ?? null;
    const firm = b.state === "confirmed";
    const seen = firm && section ? heardBefore(s, section) : "";
    dress(part("chip"), firm ? label : null);
    say(part("when"), clock(b.t, true));
    say(part("what"), firm ? (name ?? (label === null ? "New section" : `Section ${label}`)) : "Perhaps a change…");
    say(part("seen"), seen && `↺ ${seen}`);
    say(part("why"), firm ? why(b) : "");
    const sure = firm ? b.confidence : b.stability;
    part("sure").hidden = sure === undefined;
    say(part("percent"), sure === undefined ? "" : `${Math.round(sure * 100)} %`);
    part("sure").style.setProperty("--fraction", sure ?? 0);
    part("sure").title = firm ? "confidence" : "stability so far";
    part("choose").onclick = () => section && this.#onChoose(section.key);
    this.#marking(part("marking"), b, firm && mayMark);
    return row;
  }

  #marking(target, b, allowed) {
    if (!allowed) return target.replaceChildren();
    if (!target.childElementCount) {
      const button = (verdict, sign, title) =>
        element("button", { type: "button", title, ariaLabel: title, dataset: { verdict } }, sign);
      target.append(button("confirm", "✓", "This boundary is right"), button("reject", "✗", "This boundary is wrong"));
    }
    for (const button of target.children) {
      button.ariaPressed = String(b.verdict === button.dataset.verdict);
      button.onclick = () => this.#onMark(b, button.dataset.verdict);
    }
  }
}

function blankRow() {
  const span = (className, ...children) => element("span", { className }, ...children);
  return element(
    "li",
    { className: "boundary" },
    element(
      "button",
      { type: "button", className: "choose" },
      span("chip"),
      element("time", { className: "when" }),
      span("text", span("what"), span("seen"), span("why")),
      span("sure", element("i"), span("percent")),
    ),
    span("marking"),
  );
}

function why({ evidence, decided_t, t, snapped_to }) {
  if (!evidence) return "";
  const strong = EVIDENCE.filter((kind) => evidence[kind] >= BEYOND_DOUBT).sort((a, b) => evidence[b] - evidence[a]);
  const parts = [
    strong.length ? `by ${strong.join(", ")}` : "",
    `certain after ${(decided_t - t).toFixed(1)} s`,
    snapped_to ? `on the ${snapped_to}` : "",
  ];
  return parts.filter(Boolean).join(" · ");
}
