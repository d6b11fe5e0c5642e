// The panel of one stream: shows its state, and sends requests to the server for the buttons.

import { formatClock, formatDelay, makeAxis } from "./axis.js";
import { drawCurve } from "./curve.js";
import { makeElement, setText, styleByLabel } from "./elements.js";
import { BoundaryList } from "./boundary_list.js";
import { LevelMeter } from "./meter.js";
import { showReport } from "./report.js";
import { drawRibbon, sectionAt } from "./ribbon.js";
import { describeEarlier, labelName, nowAt, openSection } from "./state.js";
import { fitCanvas } from "./theme.js";

const MAX_DRAW_HZ = 30; // drawing more often only uses power
const MAX_EXTRAPOLATION_S = 1.2; // how far the ribbon may grow between two messages
const STATUS = { waiting: "waiting for sound", live: "live", lost: "source lost", stopped: "stopped" };
const ALARMS = { silence: "Silence", clipping: "Clipping", mono: "Both channels the same", frozen: "Frozen sound" };

export class Panel {
  #s = null;
  #root;
  #request;
  #window = "1m";
  #chosenKey = null; // the section whose report is pinned
  #hoveredKey = null;
  #clock = { t: 0, epoch: null, seen_ms: 0 };
  #lastShown = {}; // what each part shows now
  #boundaryList;
  #meter;
  #control = false;
  #connected = false;
  #onScreen = true;

  /** request(type, fields): sends a request and returns a promise. */
  constructor(name, request) {
    this.#root = document.getElementById("panel").content.firstElementChild.cloneNode(true);
    this.#request = request;
    this.#root.dataset.stream = name;
    setText(this.#part("name"), name);
    this.#boundaryList = new BoundaryList(
      this.#part("boundaries"),
      (key) => this.#chooseSection(key),
      (b, verdict) => this.#markBoundary(b, verdict),
    );
    this.#meter = new LevelMeter(this.#part("meter"));
    this.#connectInputs(name);
    new IntersectionObserver(([entry]) => (this.#onScreen = entry.isIntersecting)).observe(this.#root);
  }

  get root() {
    return this.#root;
  }

  #part(name) {
    return this.#root.querySelector(`.${name}`);
  }

  #connectInputs(name) {
    for (const input of this.#root.querySelectorAll(".zoom input")) {
      input.name = `window of ${name}`;
      input.onchange = () => (this.#window = input.value);
    }
    const ribbon = this.#part("ribbon");
    const under = (event) =>
      sectionAt(this.#s, this.#makeAxis(ribbon.clientWidth).at(event.offsetX), nowAt(this.#s))?.key ?? null;
    ribbon.onpointermove = (event) => event.pointerType === "mouse" && (this.#hoveredKey = under(event));
    ribbon.onpointerleave = () => (this.#hoveredKey = null);
    ribbon.onclick = (event) => this.#chooseSection(under(event));
    ribbon.onkeydown = (event) => this.#onKey(event);
    this.#part("follow").onclick = () => this.#chooseSection(null);
    this.#part("boundary-here").onclick = () =>
      this.#sendRequest("mark", { t: this.#currentTime(), verdict: "boundary" }, "Marked");
    for (const type of ["finish", "reset"])
      this.#needTwoClicks(this.#part(type), () => this.#sendRequest(type, {}, "Done"));
  }

  #onKey(event) {
    const { sections } = this.#s;
    const at = this.#chosenKey ? sections.findIndex(({ key }) => key === this.#chosenKey) : sections.length - 1;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: sections.length - 1 }[event.key];
    if (event.key === "Escape") this.#chooseSection(null);
    else if (to !== undefined)
      this.#chooseSection(sections[Math.min(sections.length - 1, Math.max(0, to))]?.key ?? null);
    else return;
    event.preventDefault();
  }

  #chooseSection(key) {
    const open = openSection(this.#s);
    this.#chosenKey = key === open?.key ? null : key; // the open one is followed, not pinned
  }

  /** Make a button need two clicks, for requests that cannot be undone. */
  #needTwoClicks(button, action) {
    const text = button.textContent;
    let timer = 0;
    button.onclick = () => {
      const isArmed = button.classList.toggle("sure-now");
      clearTimeout(timer);
      setText(button, isArmed ? `Really ${text.toLowerCase()}?` : text);
      if (isArmed)
        timer = setTimeout(
          () => button.classList.contains("sure-now") && (button.classList.remove("sure-now"), setText(button, text)),
          4000,
        );
      else action();
    };
  }

  async #sendRequest(type, fields, done) {
    const answer = this.#part("answer");
    try {
      await this.#request(type, fields);
      setText(answer, done);
      return true;
    } catch (error) {
      setText(answer, `Not done: ${error.message}`);
      return false;
    } finally {
      setTimeout(() => setText(answer, ""), 5000);
    }
  }

  async #markBoundary(boundary, verdict) {
    const done = verdict === "confirm" ? "Noted as right" : "Noted as wrong";
    if (!(await this.#sendRequest("mark", { t: boundary.t, verdict }, done))) return;
    boundary.verdict = verdict;
    this.#s.version++;
  }

  /** Stream seconds now: the newest time of the server, and a little more while sound arrives. */
  #currentTime() {
    const s = this.#s;
    if (this.#clock.epoch !== s.epoch || this.#clock.t !== s.t) {
      const before = this.#clock;
      this.#clock = {
        t: s.t,
        epoch: s.epoch,
        seen_ms: performance.now(),
        shown: before.epoch === s.epoch ? before.shown : 0,
      };
    }
    const running = this.#connected && s.status === "live";
    const ahead_s = running ? Math.min(MAX_EXTRAPOLATION_S, (performance.now() - this.#clock.seen_ms) / 1000) : 0;
    return (this.#clock.shown = Math.max(this.#clock.shown ?? 0, s.t + ahead_s)); // never backwards
  }

  #makeAxis(width) {
    const [first] = this.#s.sections;
    const oldest = first ? first.base + first.start : this.#s.base;
    return makeAxis(this.#window, oldest, this.#s.base + this.#currentTime(), width);
  }

  /** Show the state `s`. Called once a frame. */
  draw(s, { theme, still, control, connected }) {
    [this.#s, this.#connected] = [s, connected];
    if (this.#control !== control || this.#lastShown.version !== s.version || this.#lastShown.state !== s) {
      this.#control = control;
      Object.assign(this.#lastShown, { version: s.version, state: s });
      this.#showFacts();
    }
    if (!this.#onScreen) return;
    this.#showTime();
    if (this.#lastShown.meter !== s.meter) {
      this.#lastShown.meter = s.meter;
      this.#meter.show(s.meter, performance.now());
    }
    this.#showReport();
    this.#drawTimeline(theme, still);
  }

  #showFacts() {
    const s = this.#s;
    this.#root.dataset.status = s.status;
    setText(this.#part("status"), STATUS[s.status]);
    const { about } = s;
    setText(
      this.#part("about"),
      about
        ? `${about.source} · ${about.profile} · ${(about.sample_rate / 1000).toFixed(1)} kHz · ${about.channels} ch`
        : "",
    );
    setText(this.#part("unkept"), s.historyFailure ? `Not recorded in the history: ${s.historyFailure}` : "");
    const sound = s.sounds.at(-1);
    for (const badge of this.#root.querySelectorAll(".sound li")) {
      const on = Boolean(sound?.[badge.dataset.sound]) && s.status === "live";
      badge.dataset.on = on;
      badge.querySelector(".state").textContent = on ? "yes" : "no";
    }
    const open = openSection(s) ?? s.sections.at(-1);
    if (open) {
      styleByLabel(this.#part("current-chip"), open.label);
      setText(
        this.#part("current-name"),
        labelName(s, open) ?? (open.label === null ? "Not known yet" : `Section ${open.label}`),
      );
    }
    for (const control of this.#root.querySelectorAll(".control")) control.hidden = !this.#control;
    this.#boundaryList.show(s, this.#control);
    this.#showAlarms();
  }

  #showAlarms() {
    const rows = [...this.#s.alarms].map(([kind, { since, level_db, by }]) => {
      const text = [
        since === null ? "" : `since ${formatClock(since)}`,
        level_db === null ? "" : `${level_db.toFixed(1)} dB`,
        by ? `acknowledged by ${by}` : "",
      ];
      const button = makeElement("button", { type: "button" }, "Acknowledge");
      button.onclick = () => this.#sendRequest("acknowledge", { alarm: kind }, "Acknowledged");
      return makeElement(
        "div",
        { className: "alarm", dataset: { alarm: kind, acknowledged: Boolean(by) } },
        makeElement("strong", {}, `⚠ ${ALARMS[kind] ?? kind}`),
        makeElement("span", {}, text.filter(Boolean).join(" · ")),
        this.#control && !by ? button : null,
      );
    });
    const content = JSON.stringify([...this.#s.alarms, this.#control]);
    if (this.#lastShown.alarms !== content) this.#part("alarms").replaceChildren(...rows);
    this.#lastShown.alarms = content;
  }

  #showTime() {
    const s = this.#s;
    const t = this.#currentTime();
    setText(this.#part("t"), formatClock(t));
    this.#part("lag").parentElement.hidden = s.lag_s === null || s.status === "stopped";
    setText(this.#part("lag"), formatDelay(s.lag_s));
    setText(this.#part("lost"), s.dropped_samples ? `${s.dropped_samples} samples` : "none");
    this.#part("lost").dataset.bad = s.dropped_samples > 0;
    const open = openSection(s);
    const earlier = open ? describeEarlier(s, open) : "";
    setText(
      this.#part("current-since"),
      open
        ? `for ${formatClock(Math.max(0, t - open.start))}${earlier && ` · ↺ ${earlier}`}`
        : s.status === "stopped"
          ? "was the last section"
          : "",
    );
  }

  #showReport() {
    const s = this.#s;
    const key = this.#hoveredKey ?? this.#chosenKey;
    const section = s.sections.find((candidate) => candidate.key === key) ?? openSection(s) ?? s.sections.at(-1);
    this.#part("follow").hidden = this.#chosenKey === null;
    if (!section) return;
    const content = JSON.stringify([
      section.key,
      section.label,
      section.end,
      labelName(s, section),
      this.#control,
      section.end === null && s.version,
    ]);
    const target = this.#part("report");
    if (this.#lastShown.report === content || target.contains(document.activeElement)) return; // a name is being typed
    this.#lastShown.report = content;
    const ribbon = this.#part("ribbon");
    ribbon.ariaValueMax = s.sections.length;
    ribbon.ariaValueNow = s.sections.indexOf(section) + 1;
    const name = labelName(s, section) ?? section.label ?? "not known yet";
    ribbon.ariaValueText = `${name}, from ${formatClock(section.start)}`;
    showReport(
      target,
      s,
      section,
      this.#control ? (label, name) => this.#sendRequest("name", { label, name }, `Named ${name}`) : null,
    );
  }

  /** Draw only when a pixel would differ. */
  #drawTimeline(theme, still) {
    const ribbon = this.#part("ribbon");
    const visible = this.#makeAxis(ribbon.clientWidth);
    const chosen = this.#hoveredKey ?? this.#chosenKey;
    const steps = still ? 1 : Math.min(MAX_DRAW_HZ, visible.scale * theme.dpr);
    const signature = [
      Math.floor(visible.now * Math.max(steps, 0.5)),
      visible.from === 0,
      this.#window,
      this.#s.version,
      ribbon.clientWidth,
      chosen,
      theme,
    ].join();
    if (this.#lastShown.timeline === signature) return;
    this.#lastShown.timeline = signature;
    const [surface, plot] = [fitCanvas(ribbon, theme.dpr), fitCanvas(this.#part("curve"), theme.dpr)];
    if (surface) drawRibbon(surface, this.#s, visible, theme, { chosen, flash: !still });
    if (plot) drawCurve(plot, this.#s, visible, theme);
  }
}
