// The dashboard: joins the connection, what it brings, and what is shown of it.

import { effect } from "@preact/signals";
import { render } from "preact";

import "uplot/dist/uPlot.min.css";
import "./style/base.css";
import "./style/layout.css";
import "./style/header.css";
import "./style/figures.css";
import "./style/lists.css";
import "./style/tv.css";

import { measure } from "./collector.js";
import { Connection } from "./connection.js";
import { Intake } from "./intake.js";
import { listen } from "./keys.js";
import { count } from "./numbers.js";
import { nextTheme, toggleTv } from "./preferences.js";
import * as state from "./state.js";
import { App } from "./view/app.jsx";
import { toggleHelp } from "./view/help.jsx";

// A try that fails at once would make the badge flicker; one that lasts is shown.
const FLICKER_MS = 250;

const intake = new Intake();
let trying = null;
let lostAt = null;

const connection = new Connection({
  state(name, detail = null) {
    clearTimeout(trying);
    if (state.link.value.name === "live") lostAt = Date.now();
    const show = () => (state.link.value = { name, why: detail?.why ?? null, until: detail?.until ?? null });
    if (name === "connecting") {
      trying = setTimeout(show, FLICKER_MS);
      return;
    }
    show();
    if (name !== "live") {
      state.latency.value = null;
      state.instance.value = "";
      return;
    }
    intake.connected();
    if (lostAt !== null) intake.notice({ type: "away", from: lostAt, to: Date.now() });
    lostAt = null;
    // Not before: this visit is an event that this page is to show.
    measure(state.info.value?.collector);
  },
  info(info) {
    if (state.link.value.name !== "live" || state.isOurs(info)) state.info.value = info;
  },
  frame: (text) => intake.frame(text),
  latency: (ms) => (state.latency.value = ms),
});

render(<App intake={intake} />, document.getElementById("app"));
intake.attach(connection);
connection.start();

listen({
  p: () => intake.pause(!state.paused.value),
  "/": () => document.getElementById("filter").focus(),
  t: toggleTv,
  d: nextTheme,
  "?": toggleHelp,
});

setInterval(() => {
  const { until } = state.link.value;
  state.countdown.value = until === null ? null : Math.max(0, Math.ceil((until - performance.now()) / 1_000));
}, 250);

const TITLES = {
  connecting: "Redcast (connecting)",
  deaf: "Redcast (no Redis)",
  waiting: "Redcast (disconnected)",
  stale: "Redcast (old statistics)",
};
effect(() => {
  const people = state.figures.value?.people ?? 0;
  const live = people > 0 ? `${count(people)} here now · Redcast live` : "Redcast live";
  document.title = TITLES[state.condition.value] ?? live;
});
