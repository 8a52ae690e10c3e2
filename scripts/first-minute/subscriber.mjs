// Receives one page view with Node's `ws` and writes it to a file.
//
// Usage: node subscriber.mjs WEBSOCKET-URL FILE

import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";

// The library lives with the other tools, outside the sources.
const require = createRequire(`${process.cwd()}/.tools/first-minute/`);
const { WebSocket } = require("ws");

const [url, file] = process.argv.slice(2);
const deadline = setTimeout(() => fail("nothing came within a minute"), 60_000);
const socket = new WebSocket(url);

// Commands are answered in order, so the pong says that we are in.
socket.on("open", () => socket.send('{"type":"ping"}'));
socket.on("error", (error) => fail(error.message));
socket.on("close", (code) => fail(`closed with ${code}`));
socket.on("message", (message) => {
  const { type } = JSON.parse(message);
  if (type === "pong") console.log("ready");
  if (type === "page_view") {
    writeFileSync(file, message);
    clearTimeout(deadline);
    socket.removeAllListeners("close");
    socket.close();
  }
});

function fail(why) {
  console.error(why);
  process.exit(1);
}
