// The peer "ws": each message of a Redis channel goes to every client, as the
// example "Server broadcast" of ws does it.
//
// Usage: node ws.mjs REDIS_PORT CHANNEL. Prints its WebSocket URL once it serves.

import { Redis } from "ioredis";
import { WebSocket, WebSocketServer } from "ws";

const [redisPort, channel] = process.argv.slice(2);
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
const redis = new Redis(Number(redisPort), "127.0.0.1");

server.on("connection", (client) => client.on("error", () => client.terminate()));
redis.on("message", (_channel, message) => {
  for (const client of server.clients) {
    if (client.readyState === WebSocket.OPEN) client.send(message);
  }
});
await redis.subscribe(channel);
console.log(`ws://127.0.0.1:${server.address().port}/`);
