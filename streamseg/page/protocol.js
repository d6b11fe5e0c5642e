// The connection: handshake, resume, requests. Knows the protocol and nothing of the page.

import { sign } from "./hmac.js";

const SUBPROTOCOL = "streamseg.v1.json";
const VERSION = 1;
const SUBSCRIBE = ["boundary", "section", "sound", "alarm", "stream", "label", "history", "meter", "novelty"];
const PAST = 1500; // events before a snapshot that are asked for, over all streams
const PASTS = 20; // streams whose past is asked for: two requests each, and a server takes about 60 messages at once
const REQUEST_TIMEOUT_MS = 10_000;
const SETTLED_MS = 10_000; // a connection that lived this long starts the back-off anew

// Trying again with the same words cannot mend these.
const REFUSED = {
  4002: "The server could not read what this page said. Reload the page.",
  4003: "The server missed a field in what this page said. Reload the page.",
  4004: "The server found a wrong type in what this page said. Reload the page.",
  4005: "The server found a wrong value in what this page said. Reload the page.",
  4006: "The server does not know an operation this page uses. Reload the page.",
  4007: "The server says this page did not introduce itself. Reload the page.",
  4008: "The server says this page introduced itself twice. Reload the page.",
  4010: "The server speaks another version of the protocol. Reload the page.",
};
const NOT_AUTHORISED = 4009;
const TOO_MANY = 4029;
const INSUFFICIENT_STATE = 4310;

const streamOf = ({ source }) => source.slice("/streams/".length);

/** Milliseconds to wait before attempt n (0, 1, …): doubling to half a minute, half of it chance, so that
 * a thousand pages do not return in the same moment. */
export function backoffMs(attempt, random = Math.random) {
  return Math.min(30_000, 500 * 2 ** attempt) * (0.5 + random() / 2);
}

/** Where we are in each stream, and whether an event is news. Epochs are ULIDs: later ones sort higher. */
export class Cursors {
  #at = new Map();

  /** True, and the cursor moves, when the event was not seen before. */
  admits(stream, { epoch, offset }) {
    const at = this.#at.get(stream);
    if (at && (epoch < at.epoch || (epoch === at.epoch && offset !== undefined && offset <= at.offset))) return false;
    if (offset !== undefined) this.#at.set(stream, { epoch, offset });
    return true;
  }

  /** A heartbeat comes after everything before it: the holes of a partial subscription are skipped. */
  heard(stream, { epoch, offset }) {
    const at = this.#at.get(stream);
    if (epoch && (!at || epoch > at.epoch || (epoch === at.epoch && offset > at.offset)))
      this.#at.set(stream, { epoch, offset });
  }

  set(stream, { epoch, offset }) {
    if (epoch) this.#at.set(stream, { epoch, offset });
    else this.#at.delete(stream);
  }

  clear() {
    this.#at.clear();
  }

  resume(streams) {
    return Object.fromEntries(streams.filter((name) => this.#at.has(name)).map((name) => [name, this.#at.get(name)]));
  }
}

/** One server, for as long as the page lives.
 *
 * `listener` is told: state(name, detail) with `connecting`, `live`, `waiting` {retry_ms, why}, `token` {wrong},
 * `refused` {why}; hello(d); joined(stream, {epoch, snapshot, past}) where it could not
 * resume; event(stream, envelope);
 * heartbeat(stream, position); dropped(type, n).
 */
export class Connection {
  #url;
  #listener;
  #socket = null;
  #token = null;
  #cursors = new Cursors();
  #held = new Map(); // stream -> messages that wait until its past is loaded
  #joining = Promise.resolve(); // the streams that begin from snapshots, one after the other
  #most = 0; // events of the past that are asked for of each of them
  #pasts = 0; // of how many more it is asked for
  #requests = new Map();
  #requestId = 0;
  #attempt = 0;
  #retry = 0;
  #watchdog = 0;
  #heartbeat_s = 15;
  #openedAt = 0;
  control = false;

  constructor(url, listener) {
    this.#url = url;
    this.#listener = listener;
    addEventListener("online", () => this.#retry && this.connect());
  }

  /** Connect, and sign with this token from now on; null asks the server to let us read as we are. */
  set token(token) {
    this.#token = token;
    this.connect();
  }

  connect() {
    clearTimeout(this.#retry);
    this.#retry = 0;
    this.#abandon();
    this.#listener.state("connecting");
    const socket = (this.#socket = new WebSocket(this.#url, SUBPROTOCOL));
    this.#openedAt = Date.now();
    socket.onmessage = ({ data }) => socket === this.#socket && this.#receive(JSON.parse(data));
    socket.onclose = ({ code, reason }) => socket === this.#socket && this.#closed(code, reason);
    this.#watch();
  }

  /** Ask the server; resolves with its answer, rejects with its message. */
  request(type, stream, fields = {}) {
    return new Promise((resolve, reject) => {
      if (this.#socket?.readyState !== WebSocket.OPEN) return reject(new Error("not connected"));
      const id = ++this.#requestId;
      const timer = setTimeout(
        () => this.#answer({ id, error: { message: "the server did not answer" } }),
        REQUEST_TIMEOUT_MS,
      );
      this.#requests.set(id, { resolve, reject, timer });
      this.#send("request", { id, type, stream, ...fields });
    });
  }

  #send(op, d) {
    this.#socket.send(JSON.stringify({ op, d }));
  }

  #receive({ op, d }) {
    this.#watch();
    if (op === "event") this.#inOrder(streamOf(d), () => this.#event(d));
    else if (op === "heartbeat")
      for (const [name, at] of Object.entries(d.streams)) this.#inOrder(name, () => this.#heartbeat(name, at));
    else if (op === "response") this.#answer(d);
    else if (op === "dropped") this.#listener.dropped(d.type, d.n);
    else if (op === "hello") this.#hello(d);
    else if (op === "identified") this.#identified(d);
    else if (op === "snapshot") this.#begin(d.stream, d);
    // Anything else is from a newer server; a client reads over what it does not know.
  }

  async #hello(d) {
    this.#listener.hello(d);
    this.#heartbeat_s = d.heartbeat_s;
    if (d.min_protocol > VERSION) return this.#refuse(REFUSED[4010]);
    const identify = {
      protocol: VERSION,
      client: "page/1",
      streams: d.streams,
      subscribe: SUBSCRIBE,
      min_state: "provisional",
    };
    identify.resume = this.#cursors.resume(d.streams);
    const socket = this.#socket;
    if (d.auth && this.#token !== null) identify.auth = await sign(this.#token, d.auth.challenge);
    if (socket === this.#socket) this.#send("identify", identify);
  }

  #identified(d) {
    this.control = d.role === "control";
    this.#listener.state("live");
    const strange = Object.entries(d.streams).filter(([, at]) => !at.recovered);
    this.#most = Math.ceil(PAST / Math.max(1, strange.length));
    this.#pasts = PASTS;
    // A snapshot that is not here follows as a message of its own.
    for (const [name, at] of strange) if (at.snapshot) this.#begin(name, at);
  }

  /** Begin a stream from its snapshot; its live events wait meanwhile. */
  #begin(name, at) {
    const socket = this.#socket;
    this.#held.set(name, []);
    const failed = (error) => console.error(`stream ${name} could not be begun`, error); // the others begin all the same
    this.#joining = this.#joining.then(() => this.#join(name, at, socket)).catch(failed);
  }

  /** With what the history still knows before the snapshot. One stream after the other, and only some, because a server
   * counts what a client asks in a second; for the others the snapshot is all. */
  async #join(name, { epoch, offset, snapshot }, socket) {
    if (socket !== this.#socket) return;
    const past = epoch && this.#pasts-- > 0 ? await this.#past(name, epoch, offset, this.#most) : [];
    if (socket !== this.#socket) return;
    this.#cursors.set(name, { epoch, offset });
    const held = this.#held.get(name);
    this.#held.delete(name);
    try {
      this.#listener.joined(name, { epoch, snapshot, past });
    } finally {
      for (const deliver of held) deliver();
    }
  }

  /** The events of this epoch up to `to`, oldest first, as many as fit. Without a history there are none. */
  async #past(stream, epoch, to, most) {
    const past = [];
    const load = async (from, last) => {
      for (let next = from; next && next <= last;) {
        const answer = await this.request("history", stream, { epoch, from: next, to: last });
        past.push(...answer.events);
        next = answer.next > next ? answer.next : null; // the server says where to go on, if it did not fit
      }
    };
    try {
      if (to > most) await load(1, 1); // how it started
      await load(Math.max(1, to - most + 1), to);
    } catch {
      // The snapshot alone is a legal beginning: the history may be switched off, pruned or failing.
    }
    return past;
  }

  #inOrder(stream, deliver) {
    const held = this.#held.get(stream);
    if (held) held.push(deliver);
    else deliver();
  }

  #event(envelope) {
    const stream = streamOf(envelope);
    if (this.#cursors.admits(stream, envelope)) this.#listener.event(stream, envelope);
  }

  #heartbeat(stream, position) {
    this.#cursors.heard(stream, position);
    this.#listener.heartbeat(stream, position);
  }

  #answer({ id, ok, error, ...answer }) {
    const request = this.#requests.get(id);
    if (!request) return;
    this.#requests.delete(id);
    clearTimeout(request.timer);
    if (ok) request.resolve(answer);
    else request.reject(new Error(error?.message ?? "the server refused"));
  }

  #closed(code, reason) {
    if (Date.now() - this.#openedAt > SETTLED_MS) this.#attempt = 0;
    if (code === NOT_AUTHORISED) return this.#askToken(this.#token !== null);
    if (code in REFUSED || (code >= 4500 && code < 4600))
      return this.#refuse(REFUSED[code] ?? (reason || `closed with ${code}`));
    if (code === INSUFFICIENT_STATE) this.#cursors.clear();
    if (code === TOO_MANY) this.#attempt = Math.max(this.#attempt, 4);
    this.#wait(reason || "the connection was lost");
  }

  #wait(why) {
    this.#abandon();
    const retry_ms = backoffMs(this.#attempt++);
    this.#listener.state("waiting", { retry_ms, why });
    this.#retry = setTimeout(() => this.connect(), retry_ms);
  }

  #askToken(wrong) {
    this.#token = null;
    this.#abandon();
    this.#listener.state("token", { wrong });
  }

  #refuse(why) {
    this.#abandon();
    this.#listener.state("refused", { why });
  }

  /** A link that died without a word (a laptop that slept, a lost router) sends no close. */
  #watch() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#wait("the server fell silent"), (2 * this.#heartbeat_s + 5) * 1000);
  }

  /** Let go of the socket without waiting for its closing handshake. */
  #abandon() {
    clearTimeout(this.#watchdog);
    const socket = this.#socket;
    this.#socket = null;
    this.control = false;
    this.#held.clear();
    for (const { reject, timer } of this.#requests.values()) {
      clearTimeout(timer);
      reject(new Error("the connection was lost"));
    }
    this.#requests.clear();
    socket?.close();
  }
}
