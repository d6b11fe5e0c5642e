// The panel of one stream: puts its state on the page, and what is pressed there back to the server.

import { axis, clock } from "./axis.js";
import { drawCurve } from "./curve.js";
import { chip, dress, element, say } from "./elements.js";
import { Log } from "./log.js";
import { LevelMeter } from "./meter.js";
import { showReport } from "./report.js";
import { drawRibbon, sectionAt } from "./ribbon.js";
import { heardBefore, labelName, nowAt, openSection } from "./state.js";
import { fit } from "./theme.js";

const MOST_DRAWN_HZ = 30; // more is not seen, only felt by the battery
const AHEAD_S = 1.2; // how far the ribbon may grow on by itself between two messages
const STATUS = { waiting: "waiting for sound", live: "live", lost: "source lost", stopped: "stopped" };
const ALARMS = { silence: "Silence", clipping: "Clipping", mono: "Both channels the same", frozen: "Frozen sound" };

export class Panel {
  #s = null;
  #root;
  #request;
  #window = "1m";
  #chosen = null; // the section whose report is pinned
  #hovered = null;
  #clock = { t: 0, epoch: null, seen_ms: 0 };
  #shown = {}; // what each part last showed
  #log;
  #meter;
  #control = false;
  #connected = false;
  #onScreen = true;

  /** request(type, fields) → promise. */
  constructor(name, request) {
    this.#root = document.getElementById("panel").content.firstElementChild.cloneNode(true);
    this.#request = request;
    this.#root.dataset.stream = name;
    say(this.#part("name"), name);
    this.#log = new Log(
      this.#part("boundaries"),
      (key) => this.#choose(key),
      (b, verdict) => this.#mark(b, verdict),
    );
    this.#meter = new LevelMeter(this.#part("meter"));
    this.#listen(name);
    new IntersectionObserver(([entry]) => (this.#onScreen = entry.isIntersecting)).observe(this.#root);
  }

  get root() {
    return this.#root;
  }

  #part(name) {
    return this.#root.querySelector(`.${name}`);
  }

  #listen(name) {
    for (const input of this.#root.querySelectorAll(".zoom input")) {
      input.name = `window of ${name}`;
      input.onchange = () => (this.#window = input.value);
    }
    const ribbon = this.#part("ribbon");
    const under = (event) =>
      sectionAt(this.#s, this.#axis(ribbon.clientWidth).at(event.offsetX), nowAt(this.#s))?.key ?? null;
    ribbon.onpointermove = (event) => event.pointerType === "mouse" && (this.#hovered = under(event));
    ribbon.onpointerleave = () => (this.#hovered = null);
    ribbon.onclick = (event) => this.#choose(under(event));
    ribbon.onkeydown = (event) => this.#key(event);
    this.#part("follow").onclick = () => this.#choose(null);
    this.#part("boundary-here").onclick = () => this.#ask("mark", { t: this.#t(), verdict: "boundary" }, "Marked");
    for (const type of ["finish", "reset"]) this.#twice(this.#part(type), () => this.#ask(type, {}, "Done"));
  }

  #key(event) {
    const { sections } = this.#s;
    const at = this.#chosen ? sections.findIndex(({ key }) => key === this.#chosen) : sections.length - 1;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: sections.length - 1 }[event.key];
    if (event.key === "Escape") this.#choose(null);
    else if (to !== undefined) this.#choose(sections[Math.min(sections.length - 1, Math.max(0, to))]?.key ?? null);
    else return;
    event.preventDefault();
  }

  #choose(key) {
    const open = openSection(this.#s);
    this.#chosen = key === open?.key ? null : key; // the open one is followed, not pinned
  }

  /** A button that must be pressed twice, for what cannot be undone. */
  #twice(button, act) {
    const text = button.textContent;
    let timer = 0;
    button.onclick = () => {
      const sure = button.classList.toggle("sure-now");
      clearTimeout(timer);
      say(button, sure ? `Really ${text.toLowerCase()}?` : text);
      if (sure)
        timer = setTimeout(
          () => button.classList.contains("sure-now") && (button.classList.remove("sure-now"), say(button, text)),
          4000,
        );
      else act();
    };
  }

  async #ask(type, fields, done) {
    const answer = this.#part("answer");
    try {
      await this.#request(type, fields);
      say(answer, done);
      return true;
    } catch (error) {
      say(answer, `Not done: ${error.message}`);
      return false;
    } finally {
      setTimeout(() => say(answer, ""), 5000);
    }
  }

  async #mark(boundary, verdict) {
    const done = verdict === "confirm" ? "Noted as right" : "Noted as wrong";
    if (!(await this.#ask("mark", { t: boundary.t, verdict }, done))) return;
    boundary.verdict = verdict;
    this.#s.version++;
  }

  /** Stream seconds now: what was said last, and a little further while sound runs on. */
  #t() {
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
    const ahead_s = running ? Math.min(AHEAD_S, (performance.now() - this.#clock.seen_ms) / 1000) : 0;
    return (this.#clock.shown = Math.max(this.#clock.shown ?? 0, s.t + ahead_s)); // never back
  }

  #axis(width) {
    const [first] = this.#s.sections;
    const oldest = first ? first.base + first.start : this.#s.base;
    return axis(this.#window, oldest, this.#s.base + this.#t(), width);
  }

  /** Called once a frame. */
  draw(s, { theme, still, control, connected }) {
    [this.#s, this.#connected] = [s, connected];
    if (this.#control !== control || this.#shown.version !== s.version || this.#shown.state !== s) {
      this.#control = control;
      this.#shown.version = s.version;
      this.#shown.state = s;
      this.#showFacts();
    }
    if (!this.#onScreen) return;
    this.#showTime();
    if (this.#shown.meter !== s.meter) {
      this.#shown.meter = s.meter;
      this.#meter.show(s.meter, performance.now());
    }
    this.#showReport();
    this.#drawTimeline(theme, still);
  }

  #showFacts() {
    const s = this.#s;
    this.#root.dataset.status = s.status;
    say(this.#part("status"), STATUS[s.status]);
    const { about } = s;
    say(
      this.#part("about"),
      about
        ? `${about.source} · ${about.profile} · ${(about.sample_rate / 1000).toFixed(1)} kHz · ${about.channels} ch`
        : "",
    );
    say(this.#part("unkept"), s.unkept ? `Not kept in the history: ${s.unkept}` : "");
    const sound = s.sounds.at(-1);
    for (const badge of this.#root.querySelectorAll(".sound li")) {
      const on = Boolean(sound?.[badge.dataset.sound]) && s.status === "live";
      badge.dataset.on = on;
      badge.querySelector(".state").textContent = on ? "yes" : "no";
    }
    const open = openSection(s) ?? s.sections.at(-1);
    if (open) {
      dress(this.#part("current-chip"), open.label);
      say(
        this.#part("current-name"),
        labelName(s, open) ?? (open.label === null ? "Listening…" : `Section ${open.label}`),
      );
    }
    for (const control of this.#root.querySelectorAll(".control")) control.hidden = !this.#control;
    this.#log.show(s, this.#control);
    this.#showAlarms();
  }

  #showAlarms() {
    const rows = [...this.#s.alarms].map(([kind, { since, level_db, by }]) => {
      const text = [
        since === null ? "" : `since ${clock(since)}`,
        level_db === null ? "" : `${level_db.toFixed(1)} dB`,
        by ? `acknowledged by ${by}` : "",
      ];
      const button = element("button", { type: "button" }, "Acknowledge");
      button.onclick = () => this.#ask("acknowledge", { alarm: kind }, "Acknowledged");
      return element(
        "div",
        { className: "alarm", dataset: { alarm: kind, acknowledged: Boolean(by) } },
        element("strong", {}, `⚠ ${ALARMS[kind] ?? kind}`),
        element("span", {}, text.filter(Boolean).join(" · ")),
        this.#control && !by ? button : null,
      );
    });
    const said = JSON.stringify([...this.#s.alarms, this.#control]);
    if (this.#shown.alarms !== said) this.#part("alarms").replaceChildren(...rows);
    this.#shown.alarms = said;
  }

  #showTime() {
    const s = this.#s;
    const t = this.#t();
    say(this.#part("t"), clock(t));
    say(
      this.#part("lag"),
      s.lag_s === null || s.lag_s === undefined
        ? "–"
        : s.lag_s < 1
          ? `${Math.round(s.lag_s * 1000)} ms`
          : `${s.lag_s.toFixed(1)} s`,
    );
    say(this.#part("lost"), s.dropped_samples ? `${s.dropped_samples} samples` : "none");
    this.#part("lost").dataset.bad = s.dropped_samples > 0;
    const open = openSection(s);
    const seen = open ? heardBefore(s, open) : "";
    say(
      this.#part("current-since"),
      open
        ? `for ${clock(Math.max(0, t - open.start))}${seen && ` · ↺ ${seen}`}`
        : s.status === "stopped"
          ? "was the last one"
          : "",
    );
  }

  #showReport() {
    const s = this.#s;
    const key = this.#hovered ?? this.#chosen;
    const section = s.sections.find((candidate) => candidate.key === key) ?? openSection(s) ?? s.sections.at(-1);
    this.#part("follow").hidden = this.#chosen === null;
    if (!section) return;
    const said = JSON.stringify([
      section.key,
      section.label,
      section.end,
      labelName(s, section),
      this.#control,
      section.end === null && s.version,
    ]);
    const target = this.#part("report");
    if (this.#shown.report === said || target.contains(document.activeElement)) return; // somebody is writing
    this.#shown.report = said;
    const ribbon = this.#part("ribbon");
    ribbon.ariaValueMax = s.sections.length;
    ribbon.ariaValueNow = s.sections.indexOf(section) + 1;
    ribbon.ariaValueText = `${labelName(s, section) ?? section.label ?? "not known yet"}, from ${clock(section.start)}`;
    showReport(
      target,
      s,
      section,
      this.#control ? (label, name) => this.#ask("name", { label, name }, `Named ${name}`) : null,
    );
  }

  /** Draw only when a pixel would differ. */
  #drawTimeline(theme, still) {
    const ribbon = this.#part("ribbon");
    const seen = this.#axis(ribbon.clientWidth);
    const steps = still ? 1 : Math.min(MOST_DRAWN_HZ, seen.scale * theme.dpr);
    const signature = [
      Math.floor(seen.now * Math.max(steps, 0.5)),
      seen.from === 0,
      this.#window,
      this.#s.version,
      ribbon.clientWidth,
      this.#hovered ?? this.#chosen,
      theme,
    ].join();
    if (this.#shown.timeline === signature) return;
    this.#shown.timeline = signature;
    const [surface, plot] = [fit(ribbon, theme.dpr), fit(this.#part("curve"), theme.dpr)];
    if (surface) drawRibbon(surface, this.#s, seen, theme, { chosen: this.#hovered ?? this.#chosen, flash: !still });
    if (plot) drawCurve(plot, this.#s, seen, theme);
  }
}
