// The connection: what answers may be anything.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Connection } from "../src/connection.js";

const ADDRESS = "http://gateway.example/";

// What becomes of a connection whose question is answered so: the states that it was
// in, what was told of the gateway, and the addresses that were opened.
async function answered(context, body) {
  context.mock.timers.enable({ apis: ["setInterval"] });
  const opened = [];
  const browser = {
    addEventListener: () => {},
    location: { href: ADDRESS },
    fetch: async () => new Response(body),
    WebSocket: class {
      constructor(url) {
        opened.push(String(url));
      }
    },
  };
  for (const [name, value] of Object.entries(browser)) {
    const was = globalThis[name];
    globalThis[name] = value;
    context.after(() => (globalThis[name] = was));
  }
  const [states, infos] = [[], []];
  const settled = new Promise((resolve) => {
    const state = (name, detail) => {
      states.push([name, detail?.why]);
      if (name === "waiting") resolve();
    };
    new Connection({ state, info: (info) => (infos.push(info), resolve()) }).start();
  });
  await settled;
  return { states, infos, opened };
}

for (const body of ["null", "7", "{}", '{"endpoints":[]}', '{"endpoints":[null]}', '{"dashboard":{"endpoint":7}}', "<html>"]) {
  test(`an answer without an endpoint is not the gateway's, and is asked for again: ${body}`, async (context) => {
    const { states, infos, opened } = await answered(context, body);
    assert.deepEqual(states, [["connecting", undefined], ["waiting", "what answers is not the gateway"]]);
    assert.deepEqual([infos, opened], [[], []]);
  });
}

test("an endpoint that is no address is waited for as well", async (context) => {
  const { states } = await answered(context, '{"endpoints":["http://[/"]}');
  assert.equal(states.at(-1)[0], "waiting");
});

test("the first endpoint is opened, or the one that is the dashboard's", async (context) => {
  const { states, opened } = await answered(context, '{"endpoints":["/ws/a","/ws/b"],"dashboard":{"endpoint":"/ws/b"}}');
  assert.deepEqual([states, opened], [[["connecting", undefined]], ["ws://gateway.example/ws/b"]]);
});
