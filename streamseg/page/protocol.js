// The connection to the server: handshake, resume, requests. Uses nothing of the page.

import { sign } from "./hmac.js";

const SUBPROTOCOL = "streamseg.v1.json";
const VERSION = 1;
const SUBSCRIBE = ["boundary", "section", "sound", "alarm", "stream", "label", "history", "meter", "novelty"];
const MAX_PAST_EVENTS = 1500; // events before a snapshot that are requested, over all streams
const MAX_PAST_STREAMS = 20; // whose past is requested, with two requests each; a server accepts about 60 at once
const REQUEST_TIMEOUT_MS = 10_000;
const STABLE_MS = 10_000; // a connection that lasted this long resets the back-off

// Close codes after which the same messages would be refused again.
const FATAL_CLOSES = {
  4002: "The server could not read a message of this page. Reload the page.",
  4003: "A message of this page lacks a field. Reload the page.",
  4004: "A message of this page has a value of the wrong type. Reload the page.",
  4005: "A message of this page has a wrong value. Reload the page.",
  4006: "The server does not know an operation that this page uses. Reload the page.",
  4007: "This page did not identify itself to the server. Reload the page.",
  4008: "This page identified itself to the server twice. Reload the page.",
  4010: "The server speaks another version of the protocol. Reload the page.",
};
const NOT_AUTHORISED = 4009;
const TOO_MANY_REQUESTS = 4029;
const INSUFFICIENT_STATE = 4310;

const streamOf = ({ source }) => source.slice("/streams/".length);

/** Return the milliseconds to wait before attempt n (0, 1, …): doubling to half a minute, half of it random, so that a
 * thousand pages do not reconnect at the same moment. */
export function backoffMs(attempt, random = Math.random) {
  return Math.min(30_000, 500 * 2 ** attempt) * (0.5 + random() / 2);
}

/** The cursor of each stream: the last event received. Epochs are ULIDs, so later ones sort higher. */
export class Cursors {
  #at = new Map();

  /** Move the cursor to an event; returns false where it was received before. */
  advance(stream, { epoch, offset }) {
    const at = this.#at.get(stream);
    if (at && (epoch < at.epoch || (epoch === at.epoch && offset !== undefined && offset <= at.offset))) return false;
    if (offset !== undefined) this.#at.set(stream, { epoch, offset });
    return true;
  }

  /** Move the cursor to that of a heartbeat, over the events that are not subscribed to. */
  skipTo(stream, { epoch, offset }) {
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

/** The connection to one server, which reconnects for as long as the page is open.
 *
 * It calls `listener`: state(name, detail) with `connecting`, `live`, `waiting` {retry_ms, why}, `token` {isWrong},
 * `refused` {why}; hello(d); joined(stream, {epoch, snapshot, past}) where it could not resume; event(stream, envelope);
 * heartbeat(stream, position); dropped(type, n).
 */
export class Connection {
  #url;
  #listener;
  #socket = null;
  #token = null;
  #cursors = new Cursors();
  #queues = new Map(); // stream -> messages that wait until its past is loaded
  #loads = Promise.resolve(); // of the streams that start from snapshots, one after the other
  #pastLimit = 0; // past events that are requested of each of them
  #pastsLeft = 0; // streams whose past may still be requested
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

  /** Connect, and prove this token from now on; null connects without one. */
  set token(token) {
    this.#token = token;
    this.connect();
  }

  connect() {
    clearTimeout(this.#retry);
    this.#retry = 0;
    this.#dropSocket();
    this.#listener.state("connecting");
    const socket = (this.#socket = new WebSocket(this.#url, SUBPROTOCOL));
    this.#openedAt = Date.now();
    socket.onmessage = ({ data }) => socket === this.#socket && this.#receive(JSON.parse(data));
    socket.onclose = ({ code, reason }) => socket === this.#socket && this.#onClose(code, reason);
    this.#restartWatchdog();
  }

  /** Send a request; resolves with the response, rejects with its error message. */
  request(type, stream, fields = {}) {
    return new Promise((resolve, reject) => {
      if (this.#socket?.readyState !== WebSocket.OPEN) return reject(new Error("not connected"));
      const id = ++this.#requestId;
      const timer = setTimeout(
        () => this.#settleRequest({ id, error: { message: "the server did not answer" } }),
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
    this.#restartWatchdog();
    if (op === "event") this.#deliverInOrder(streamOf(d), () => this.#onEvent(d));
    else if (op === "heartbeat")
      for (const [name, at] of Object.entries(d.streams)) this.#deliverInOrder(name, () => this.#onHeartbeat(name, at));
    else if (op === "response") this.#settleRequest(d);
    else if (op === "dropped") this.#listener.dropped(d.type, d.n);
    else if (op === "hello") this.#onHello(d);
    else if (op === "identified") this.#onIdentified(d);
    else if (op === "snapshot") this.#startStream(d.stream, d);
    // Any other operation is from a newer server, and is ignored.
  }

  async #onHello(d) {
    this.#listener.hello(d);
    this.#heartbeat_s = d.heartbeat_s;
    if (d.min_protocol > VERSION) return this.#giveUp(FATAL_CLOSES[4010]);
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

  #onIdentified(d) {
    this.control = d.role === "control";
    this.#listener.state("live");
    const fresh = Object.entries(d.streams).filter(([, at]) => !at.recovered);
    this.#pastLimit = Math.ceil(MAX_PAST_EVENTS / Math.max(1, fresh.length));
    this.#pastsLeft = MAX_PAST_STREAMS;
    // A snapshot that is not here follows as a message of its own.
    for (const [name, at] of fresh) if (at.snapshot) this.#startStream(name, at);
  }

  /** Start a stream from its snapshot; its live events wait in a queue until that is done. */
  #startStream(name, at) {
    const socket = this.#socket;
    this.#queues.set(name, []);
    const failed = (error) => console.error(`stream ${name} could not be started`, error); // the others start
    this.#loads = this.#loads.then(() => this.#loadStream(name, at, socket)).catch(failed);
  }

  /** Load the past of a stream from the history, then start it. One stream after the other, and only some, because the
   * server limits requests per second; the others have only their snapshot. */
  async #loadStream(name, { epoch, offset, snapshot }, socket) {
    if (socket !== this.#socket) return;
    const past = epoch && this.#pastsLeft-- > 0 ? await this.#loadPast(name, epoch, offset, this.#pastLimit) : [];
    if (socket !== this.#socket) return;
    this.#cursors.set(name, { epoch, offset });
    const queue = this.#queues.get(name);
    this.#queues.delete(name);
    try {
      this.#listener.joined(name, { epoch, snapshot, past });
    } finally {
      for (const deliver of queue) deliver();
    }
  }

  /** Return the newest `limit` events of this epoch up to `to`, oldest first; none without a history. */
  async #loadPast(stream, epoch, to, limit) {
    const past = [];
    const load = async (from, last) => {
      for (let next = from; next && next <= last;) {
        const answer = await this.request("history", stream, { epoch, from: next, to: last });
        past.push(...answer.events);
        next = answer.next > next ? answer.next : null; // where to go on, if not all fitted
      }
    };
    try {
      if (to > limit) await load(1, 1); // `stream.started`
      await load(Math.max(1, to - limit + 1), to);
    } catch {
      // The snapshot alone is enough: the history may be switched off, pruned or failing.
    }
    return past;
  }

  #deliverInOrder(stream, deliver) {
    const queue = this.#queues.get(stream);
    if (queue) queue.push(deliver);
    else deliver();
  }

  #onEvent(envelope) {
    const stream = streamOf(envelope);
    if (this.#cursors.advance(stream, envelope)) this.#listener.event(stream, envelope);
  }

  #onHeartbeat(stream, position) {
    this.#cursors.skipTo(stream, position);
    this.#listener.heartbeat(stream, position);
  }

  #settleRequest({ id, ok, error, ...answer }) {
    const request = this.#requests.get(id);
    if (!request) return;
    this.#requests.delete(id);
    clearTimeout(request.timer);
    if (ok) request.resolve(answer);
    else request.reject(new Error(error?.message ?? "the server refused"));
  }

  #onClose(code, reason) {
    if (Date.now() - this.#openedAt > STABLE_MS) this.#attempt = 0;
    if (code === NOT_AUTHORISED) return this.#askToken(this.#token !== null);
    if (code in FATAL_CLOSES || (code >= 4500 && code < 4600))
      return this.#giveUp(FATAL_CLOSES[code] ?? (reason || `closed with ${code}`));
    if (code === INSUFFICIENT_STATE) this.#cursors.clear();
    if (code === TOO_MANY_REQUESTS) this.#attempt = Math.max(this.#attempt, 4);
    this.#retryLater(reason || "the connection was lost");
  }

  #retryLater(why) {
    this.#dropSocket();
    const retry_ms = backoffMs(this.#attempt++);
    this.#listener.state("waiting", { retry_ms, why });
    this.#retry = setTimeout(() => this.connect(), retry_ms);
  }

  #askToken(isWrong) {
    this.#token = null;
    this.#dropSocket();
    this.#listener.state("token", { isWrong });
  }

  #giveUp(why) {
    this.#dropSocket();
    this.#listener.state("refused", { why });
  }

  /** A broken link (a laptop that slept, a lost router) sends no close frame, but its heartbeats stop. */
  #restartWatchdog() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(
      () => this.#retryLater("the server stopped sending"),
      (2 * this.#heartbeat_s + 5) * 1000,
    );
  }

  /** Close the socket without waiting for its closing handshake. */
  #dropSocket() {
    clearTimeout(this.#watchdog);
    const socket = this.#socket;
    this.#socket = null;
    this.control = false;
    this.#queues.clear();
    for (const { reject, timer } of this.#requests.values()) {
      clearTimeout(timer);
      reject(new Error("the connection was lost"));
    }
    this.#requests.clear();
    socket?.close();
  }
}
