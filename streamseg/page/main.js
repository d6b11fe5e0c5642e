// The page: one connection, one panel for each stream, one drawing loop.

import { showDeveloper } from "./developer.js";
import { setText } from "./elements.js";
import { Panel } from "./panel.js";
import { Connection } from "./protocol.js";
import { applySnapshot } from "./snapshot.js";
import { applyEvent, applyHeartbeat, emptyStream, openSection } from "./state.js";
import { readTheme } from "./theme.js";

const TOKEN = "streamseg token"; // stored for this tab only
const url = new URL("ws", document.baseURI);
url.protocol = url.protocol.replace("http", "ws");

const streams = new Map(); // name -> {state, panel}
const page = {
  connection: document.getElementById("connection"),
  streams: document.getElementById("streams"),
  empty: document.getElementById("empty"),
  developer: document.getElementById("developer"),
  dialog: document.getElementById("token"),
  signIn: document.getElementById("sign-in"),
  dropped: document.getElementById("dropped"),
};
let connected = false;
let usesTokens = false; // whether a token may give another role
let dropped = 0;

function openStream(name) {
  if (!streams.has(name)) {
    const panel = new Panel(name, (type, fields) => connection.request(type, name, fields));
    streams.set(name, { state: emptyStream(name), panel });
    page.streams.append(panel.root);
    page.empty.hidden = true;
  }
  return streams.get(name);
}

const connection = new Connection(url.href, {
  state(name, detail) {
    connected = name === "live";
    page.connection.dataset.state = name;
    setText(
      page.connection,
      {
        connecting: () => "connecting…",
        live: () => "connected",
        waiting: ({ retry_ms, why }) => `${why}; trying again in ${Math.ceil(retry_ms / 1000)} s`,
        token: () => "needs a token",
        refused: ({ why }) => why,
      }[name](detail),
    );
    if (name === "token") askToken(detail.isWrong);
    page.signIn.hidden = !(connected && usesTokens && !connection.control);
  },
  hello({ streams: names, auth, server }) {
    names.forEach(openStream);
    setText(document.getElementById("server"), server);
    usesTokens = auth !== null;
    showDeveloper(page.developer, { url: url.href, streams: names, auth });
  },
  joined(name, start) {
    const entry = openStream(name);
    entry.state = applySnapshot(entry.state, start);
  },
  event(name, envelope) {
    applyEvent(openStream(name).state, envelope);
  },
  heartbeat(name, position) {
    applyHeartbeat(openStream(name).state, position);
  },
  dropped(_, n) {
    dropped += n;
    setText(page.dropped, `This page is slow: the server dropped ${dropped} updates of level and novelty.`);
  },
});

function askToken(isWrong) {
  sessionStorage.removeItem(TOKEN);
  setText(page.dialog.querySelector(".wrong"), isWrong ? "The server did not accept that token." : "");
  if (!page.dialog.open) page.dialog.showModal();
}

page.signIn.onclick = () => page.dialog.showModal();
page.dialog.querySelector("form").onsubmit = (event) => {
  const input = event.target.elements.token;
  sessionStorage.setItem(TOKEN, input.value);
  connection.token = input.value;
  input.value = "";
};

page.dialog.oncancel = () => {
  if (!connected) connection.token = null; // reading may need no token
};

const dark = matchMedia("(prefers-color-scheme: dark)");
const still = matchMedia("(prefers-reduced-motion: reduce)");
let theme = null;
dark.onchange = () => (theme = null);

function updateTitle() {
  const labels = [...streams.values()]
    .map(({ state }) => openSection(state))
    .filter((open) => open?.label)
    .map((open) => open.label);
  const text = labels.length && connected ? `${labels.join(" ")} · streamseg` : "streamseg";
  if (document.title !== text) document.title = text;
}

function drawFrame() {
  requestAnimationFrame(drawFrame); // not called while the page is hidden
  if (!theme || theme.dpr !== devicePixelRatio) theme = readTheme(devicePixelRatio);
  for (const { state, panel } of streams.values()) {
    panel.draw(state, { theme, still: still.matches, control: connection.control, connected });
  }
  updateTitle();
}

connection.token = sessionStorage.getItem(TOKEN);
drawFrame();
