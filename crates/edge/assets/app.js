// The live page: counts what arrives and shows the newest of it.
//
// Messages only change plain variables; the page is painted once per frame, and the
// list less often when much comes. So a thousand events a second cost a thousand cheap
// counts, sixty figures and a few lists of fifty rows.

import { Connection } from "./connection.js";
import { Notices } from "./notices.js";
import { describe } from "./text.js";

const SHOWN = 50;
const SECONDS = 60;
// As many new rows can be followed by eye, and are shown at once; more of them wait a
// little, because nobody reads a list that changes with each frame.
const FEW = 3;
const LIST_EVERY_MS = 200;
const CALM_LIST_EVERY_MS = 1_000;
// A screen reader is told of a state no sooner than this after the last one.
const SPEAK_EVERY_MS = 2_000;

const LABELS = {
  connecting: { label: "connecting", title: "Redcast (connecting)" },
  live: { label: "live", title: "Redcast live" },
  deaf: { label: "connected, but the gateway has lost Redis", title: "Redcast (no Redis)" },
  waiting: { label: "disconnected", title: "Redcast (disconnected)" },
};

const $ = (id) => document.getElementById(id);
const clock = new Intl.DateTimeFormat([], { timeStyle: "medium", hourCycle: "h23" });
const number = new Intl.NumberFormat();

const notices = new Notices($("notices"));
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const state = { name: "connecting", detail: null };
let lostAt = null;
let spokenAt = -Infinity;
let fresh = [];
let count = 0;
let startedAt = null;
// How many events had come when the list was paused.
let pausedAt = null;
let brokerConnected = true;
let painting = false;
let listedAt = -Infinity;
// Events of each of the last seconds; the last entry is the second that runs now.
const perSecond = new Array(SECONDS + 1).fill(0);
let second = thisSecond();

new Connection({ state: changeState, info: paintInfo, message: take }).start();

setInterval(() => {
  paintState();
  notices.paint(performance.now());
}, 250);
setInterval(() => {
  turnSeconds();
  paintFigures();
}, 1_000);

function changeState(name, detail = null) {
  if (state.name === "live") lostAt = Date.now();
  Object.assign(state, { name, detail });
  if (name === "live" && lostAt !== null) {
    notices.add({ type: "away", from: lostAt, to: Date.now() });
    lostAt = null;
  }
  // A try that fails at once would make the label flicker; one that lasts is shown by
  // the timer.
  if (name !== "connecting") paintState();
}

function take(message) {
  switch (message.type) {
    case "event":
      count += 1;
      startedAt ??= new Date();
      turnSeconds();
      perSecond[SECONDS] += 1;
      fresh.push({ at: new Date(), message });
      // Only the newest can be shown; a hidden tab is not painted, so cut here.
      if (fresh.length > SHOWN) fresh.shift();
      break;
    case "welcome":
      $("instance").textContent = message.instance;
      $("version").textContent = message.version;
      break;
    case "gap":
    case "reset":
    case "error":
      notices.add(message);
      break;
  }
  paintSoon();
}

function paintSoon() {
  if (painting) return;
  painting = true;
  requestAnimationFrame(paint);
}

function paint(now) {
  painting = false;
  $("count").textContent = number.format(count);
  if (pausedAt !== null) {
    paintHeld();
  } else if (fresh.length > FEW && now - listedAt < (calm.matches ? CALM_LIST_EVERY_MS : LIST_EVERY_MS)) {
    paintSoon();
  } else if (fresh.length > 0) {
    listedAt = now;
    paintList();
  }
}

function paintHeld() {
  const held = count - pausedAt;
  const text = held === 0 ? "paused" : `paused, ${number.format(held)} new`;
  write("held", pausedAt === null ? "" : text);
}

function paintList() {
  const rows = fresh.map(row);
  // A glow for each of many new rows would be a flicker.
  if (rows.length <= FEW) rows.forEach((item) => item.classList.add("new"));
  fresh = [];
  const list = $("events");
  list.prepend(...rows.reverse());
  while (list.childElementCount > SHOWN) list.lastElementChild.remove();
  $("empty").hidden = true;
}

function row({ at, message }) {
  const event = describe(message);
  const item = document.createElement("li");
  const time = element("time", "", clock.format(at));
  time.dateTime = at.toISOString();
  item.append(time, element("span", "kind", event.kind), element("span", "what", event.what));
  item.append(element("span", "more", event.more));
  return item;
}

function paintState() {
  const { name, detail } = state;
  const shown = name === "live" && !brokerConnected ? "deaf" : name;
  const { label, title } = LABELS[shown];
  const seconds = detail === null ? 0 : Math.ceil((detail.until - Date.now()) / 1_000);
  $("state").dataset.state = shown;
  write("state-text", detail === null ? label : `${label}: ${detail.why}`);
  write("countdown", detail === null ? "" : `, next try in ${Math.max(0, seconds)} s`);
  document.title = title;
  // What is spoken lags behind what is shown, so that it is neither each single try nor
  // a state that was over at once.
  const now = performance.now();
  if (shown !== "connecting" && now - spokenAt >= SPEAK_EVERY_MS) {
    if (write("spoken", $("state-text").textContent)) spokenAt = now;
  }
}

// Says whether it changed anything: what is written again would be spoken again.
function write(id, text) {
  const changed = $(id).textContent !== text;
  if (changed) $(id).textContent = text;
  return changed;
}

// Comes every two seconds; what is the same is left alone, also because writing it
// again would undo a visitor's selection of the command.
function paintInfo(info) {
  brokerConnected = info.broker_connected;
  paintState();
  const redis = info.broker === "redis";
  const endpoint = info.endpoints[0];
  const channel = info.channel ?? endpoint.split("/").pop();
  write("broker", redis ? "Redis" : "memory");
  const reach = redis ? "shared by all instances" : "this process alone";
  write("broker-detail", brokerConnected ? reach : "out of reach");
  write("endpoint", endpoint);
  write("channel", channel);
  write("instance", info.instance);
  write("version", info.version);
  const event = '{"type":"hello","data":"from me"}';
  $("try").hidden = !redis && !info.publish_open;
  write("command", redis
    ? `redis-cli PUBLISH ${channel} '${event}'`
    : `curl -d '${event}' ${new URL(`api/publish/${channel}`, location.href)}`);
}

function thisSecond() {
  return Math.floor(performance.now() / 1_000);
}

// By the clock, not by the timer: that of a hidden tab fires once a minute.
function turnSeconds() {
  const passed = Math.min(thisSecond() - second, perSecond.length);
  for (let n = 0; n < passed; n += 1) {
    perSecond.push(0);
    perSecond.shift();
  }
  second = thisSecond();
}

function paintFigures() {
  const whole = perSecond.slice(0, SECONDS);
  // Three seconds even out single events; a longer mean would lag behind.
  const rate = whole.slice(-3).reduce((sum, events) => sum + events, 0) / 3;
  $("rate").textContent = rate < 10 && rate > 0 ? rate.toFixed(1) : number.format(Math.round(rate));
  $("since").textContent = startedAt === null ? "none yet" : `since ${clock.format(startedAt)}`;
  const peak = Math.max(...whole);
  $("peak").textContent = peak === 0 ? "" : `peak ${number.format(peak)}`;
  const points = whole.map((events, at) => {
    const x = (at * 240) / (SECONDS - 1);
    const y = 54 - (events * 50) / Math.max(peak, 1);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  $("chart-line").setAttribute("d", `M${points.join("L")}`);
  $("chart-area").setAttribute("d", `M0,56L${points.join("L")}L240,56Z`);
}

$("pause").addEventListener("click", () => {
  pausedAt = pausedAt === null ? count : null;
  $("pause").textContent = pausedAt === null ? "Pause" : "Resume";
  paintHeld();
  if (pausedAt === null && fresh.length > 0) paintList();
});

$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("command").textContent);
    $("copy").textContent = "Copied";
  } catch {
    // Browsers lend the clipboard to secure pages only; the next best is a selection.
    getSelection().selectAllChildren($("command"));
    $("copy").textContent = "Selected";
  }
  setTimeout(() => ($("copy").textContent = "Copy"), 1_500);
});

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  // textContent, never innerHTML: an event's bytes are a stranger's.
  made.textContent = text;
  return made;
}
