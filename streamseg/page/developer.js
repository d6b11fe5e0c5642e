// The part for developers: short programs that receive the events that this page receives, to be copied.

import { makeElement, setText } from "./elements.js";

const SNIPPETS = {
  Terminal: ({ url }) => `streamseg watch ${url}`,
  Python: ({ url, streams, auth }) => `import json${auth ? ", hashlib, hmac, os" : ""}
from websockets.sync.client import connect  # pip install websockets

with connect("${url}", subprotocols=["streamseg.v1.json"]) as server:
    ${auth ? "hello = json.loads(server.recv())" : "server.recv()  # hello"}
    server.send(json.dumps({"op": "identify", "d": {
        "protocol": 1, "client": "my-client/1",
        "streams": ${JSON.stringify(streams)}, "subscribe": ["boundary", "section"],${
          auth
            ? `
        "auth": hmac.new(os.environb[b"STREAMSEG_TOKEN"], hello["d"]["auth"]["challenge"].encode(),
                         hashlib.sha256).hexdigest(),`
            : ""
        }
    }}))
    for message in map(json.loads, server):
        if message["op"] == "event":
            print(message["d"]["type"], message["d"]["data"])`,
  JavaScript: ({ url, streams, auth }) => `const server = new WebSocket("${url}", "streamseg.v1.json");
server.onmessage = async ({ data }) => {
  const { op, d } = JSON.parse(data);
  if (op === "hello") {
    server.send(JSON.stringify({ op: "identify", d: {
      protocol: 1, client: "my-client/1",
      streams: ${JSON.stringify(streams)}, subscribe: ["boundary", "section"],${
        auth
          ? `
      auth: await sign(token, d.auth.challenge), // hex HMAC-SHA256; see hmac.js of this page`
          : ""
      }
    } }));
  }
  if (op === "event") console.log(d.type, d.data);
};`,
};

/** Show the snippets in `root` for a server at `url`. */
export function showDeveloper(root, { url, streams, auth }) {
  const tabs = root.querySelector(".tabs");
  const code = root.querySelector("code");
  const copy = root.querySelector(".copy");
  const show = (name) => {
    setText(code, SNIPPETS[name]({ url, streams, auth }));
    for (const tab of tabs.children) tab.ariaPressed = String(tab.textContent === name);
  };
  const chosen = [...tabs.children].find((tab) => tab.ariaPressed === "true")?.textContent ?? "Terminal";
  tabs.replaceChildren(
    ...Object.keys(SNIPPETS).map((name) => makeElement("button", { type: "button", onclick: () => show(name) }, name)),
  );
  show(chosen);
  copy.onclick = async () => {
    getSelection().selectAllChildren(code); // so that Ctrl-C works where the clipboard is not available (plain http)
    try {
      await navigator.clipboard.writeText(code.textContent);
      setText(copy, "Copied");
    } catch {
      setText(copy, "Selected: press Ctrl-C");
    }
    setTimeout(() => setText(copy, "Copy"), 2500);
  };
}
