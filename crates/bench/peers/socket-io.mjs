// The peer "socket.io": a server with the Redis adapter, which hands on what an
// emitter publishes. It emits nothing itself.
//
// Usage: node socket-io.mjs REDIS_PORT. Prints its WebSocket URL once it serves.

import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { Redis } from "ioredis";
import { Server } from "socket.io";

const [redisPort] = process.argv.slice(2);
const publisher = new Redis(Number(redisPort), "127.0.0.1");
const subscriber = publisher.duplicate();
const http = createServer();
const io = new Server(http, {
  adapter: createAdapter(publisher, subscriber),
  perMessageDeflate: false,
  serveClient: false,
  transports: ["websocket"],
});

// The page "Memory usage" advises this where no session needs the first request.
io.engine.on("connection", (connection) => {
  connection.request = null;
});
// The adapter subscribes without waiting; this round trip comes after it.
await subscriber.subscribe("ready");
http.listen(0, "127.0.0.1", () => {
  console.log(`ws://127.0.0.1:${http.address().port}/socket.io/?EIO=4&transport=websocket`);
});
