// Hears every event once, through breaks too. Node 22 or newer, or an older one with the package `ws`.
//   node examples/node_client.mjs ws://127.0.0.1:8765/ws [token]
import { createHmac } from "node:crypto";
import { createRequire } from "node:module";

const WebSocket = globalThis.WebSocket ?? createRequire(import.meta.url)("ws");
const [url = "ws://127.0.0.1:8765/ws", token] = process.argv.slice(2);
const resume = {}; // stream → where we are: after this event
const moveTo = (stream, { epoch, offset }) => (resume[stream] = { epoch, offset });
let wait = 100;
function connect() {
  const socket = new WebSocket(url, "streamseg.v1.json");
  socket.onmessage = ({ data }) => {
    const { op, d } = JSON.parse(data);
    if (op === "hello") {
      const auth = d.auth && token ? createHmac("sha256", token).update(d.auth.challenge).digest("hex") : undefined;
      socket.send(JSON.stringify({ op: "identify", d: { protocol: 1, client: "node-example", resume, auth } }));
    } else if (op === "identified") {
      wait = 100;
      for (const [stream, at] of Object.entries(d.streams)) {
        if (!at.recovered && at.snapshot) moveTo(stream, at); // one that is not here follows
        console.error(`${stream}: ${at.recovered ? `recovered ${at.replayed}` : `from ${at.offset} on`}`);
      }
    } else if (op === "snapshot") moveTo(d.stream, d);
    else if (op === "heartbeat") for (const [stream, at] of Object.entries(d.streams)) moveTo(stream, at);
    else if (op === "event") {
      if (d.offset) moveTo(d.source.slice("/streams/".length), d);
      console.log(JSON.stringify(d));
    }
  };
  socket.onclose = ({ code, reason }) => {
    if ((code >= 4002 && code <= 4010 && code !== 4007) || (code >= 4500 && code < 4600)) {
      console.error(`refused: ${code} ${reason}`);
      process.exit(1);
    }
    setTimeout(connect, Math.random() * wait);
    wait = Math.min(wait * 2, 10000);
  };
}
connect();
