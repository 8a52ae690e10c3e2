// The live page: counts what arrives and shows the newest of it.
//
// Messages only change plain variables; the page is painted once per frame. So a
// thousand events a second cost a thousand cheap counts and sixty small paints.

import { Connection } from "./connection.js";

const SHOWN = 50;
const NOTICES = 5;
const SECONDS = 60;
const LONGEST_TEXT = 400;

const $ = (id) => document.getElementById(id);
const clock = new Intl.DateTimeFormat([], { timeStyle: "medium", hourCycle: "h23" });
const number = new Intl.NumberFormat();

const state = { name: "connecting", detail: null };
let fresh = [];
let count = 0;
let startedAt = null;
let paused = false;
let brokerConnected = true;
let painting = false;
// Events of each of the last seconds; the last entry is the second that runs now.
const perSecond = new Array(SECONDS + 1).fill(0);

new Connection({
  state(name, detail = null) {
    Object.assign(state, { name, detail });
    paintState();
  },
  info: paintInfo,
  message: take,
}).start();

setInterval(paintState, 250);
setInterval(() => {
  perSecond.push(0);
  perSecond.shift();
  paintFigures();
}, 1_000);

function take(message) {
  switch (message.type) {
    case "event":
      count += 1;
      startedAt ??= new Date();
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
      notice(message);
      break;
  }
  if (!painting) {
    painting = true;
    requestAnimationFrame(paint);
  }
}

function paint() {
  painting = false;
  $("count").textContent = number.format(count);
  if (paused || fresh.length === 0) return;
  const rows = fresh.map(row);
  // A glow for each of many new rows would be a flicker.
  if (rows.length <= 3) rows.forEach((item) => item.classList.add("new"));
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

// What a row says: page views get words of their own, all else is shown as it came.
function describe({ channel, data, encoding }) {
  if (encoding === "base64") return { kind: channel, what: shorten(data), more: "binary" };
  if (typeof data !== "object" || data === null) {
    return { kind: channel, what: shorten(String(data)), more: "" };
  }
  const kind = typeof data.type === "string" ? data.type.replaceAll("_", " ") : channel;
  const view = data.data;
  if (data.type !== "page_view" || typeof view?.path !== "string") {
    return { kind, what: shorten(JSON.stringify(data)), more: "" };
  }
  const more = [referrer(view.referrer), view.country, view.device].filter(Boolean).join(" · ");
  return { kind, what: shorten(view.path), more: shorten(more) };
}

function referrer(address) {
  if (typeof address !== "string" || address === "") return "direct";
  try {
    const { host, pathname } = new URL(address);
    return `from ${host}${pathname === "/" ? "" : pathname}`;
  } catch {
    return `from ${address}`;
  }
}

const REASONS = {
  redis_disconnected: "the link to Redis was down",
  overflow: "more came than could be delivered",
  too_large: "an event was too large",
  trimmed: "they are no longer kept",
  forked: "Redis lost them in a failover",
  unknown: "the channel keeps no history",
};

function notice(message) {
  const reason = REASONS[message.reason] ?? message.reason;
  let text;
  if (message.type === "gap") {
    const [from, to] = [message.from, message.to].map((ms) => clock.format(new Date(ms)));
    const when = from === to ? `At ${from}` : `Between ${from} and ${to}`;
    const dropped = message.dropped ? ` ${number.format(message.dropped)} are known to be lost.` : "";
    text = `${when} events of ${message.channel} may have been missed: ${reason}.${dropped}`;
  } else if (message.type === "reset") {
    text = `Earlier events of ${message.channel} can't be shown: ${reason}.`;
  } else {
    text = `The gateway says: ${message.message}`;
  }
  const list = $("notices");
  const item = element("li", "notice", shorten(text));
  item.dataset.type = message.type;
  list.prepend(item);
  while (list.childElementCount > NOTICES) list.lastElementChild.remove();
}

function paintState() {
  const { name, detail } = state;
  const deaf = name === "live" && !brokerConnected;
  const why = deaf ? "connected, but the gateway has lost Redis" : name;
  const text = detail === null ? why : `${name}: ${detail.why}`;
  const seconds = detail === null ? 0 : Math.ceil((detail.until - Date.now()) / 1_000);
  $("state").dataset.state = deaf ? "deaf" : name;
  // Written only when it changed, because screen readers speak each change; they
  // are spared the countdown.
  if ($("state-text").textContent !== text) $("state-text").textContent = text;
  $("countdown").textContent = detail === null ? "" : `, next try in ${Math.max(0, seconds)} s`;
  document.title = name === "live" ? "Redcast live" : `Redcast (${name})`;
}

function paintInfo(info) {
  brokerConnected = info.broker_connected;
  paintState();
  const redis = info.broker === "redis";
  const endpoint = info.endpoints[0];
  const channel = info.channel ?? endpoint.split("/").pop();
  $("broker").textContent = redis ? "Redis" : "memory";
  $("broker-detail").textContent = redis
    ? "shared by all instances"
    : "this process alone";
  $("endpoint").textContent = endpoint;
  $("channel").textContent = channel;
  $("instance").textContent = info.instance;
  $("version").textContent = info.version;
  const event = '{"type":"hello","data":"from me"}';
  $("try").hidden = !redis && !info.publish_open;
  $("command").textContent = redis
    ? `redis-cli PUBLISH ${channel} '${event}'`
    : `curl -d '${event}' ${new URL(`api/publish/${channel}`, location.href)}`;
}

function paintFigures() {
  const whole = perSecond.slice(0, SECONDS);
  // Three seconds even out single events; a longer mean would lag behind.
  const rate = whole.slice(-3).reduce((sum, events) => sum + events, 0) / 3;
  $("rate").textContent = rate < 10 && rate > 0 ? rate.toFixed(1) : number.format(Math.round(rate));
  $("since").textContent = startedAt === null ? "" : `since ${clock.format(startedAt)}`;
  const peak = Math.max(...whole);
  $("peak").textContent = peak === 0 ? "" : `peak ${number.format(peak)}`;
  const points = whole.map((events, second) => {
    const x = (second * 240) / (SECONDS - 1);
    const y = 54 - (events * 50) / Math.max(peak, 1);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  $("chart-line").setAttribute("d", `M${points.join("L")}`);
  $("chart-area").setAttribute("d", `M0,56L${points.join("L")}L240,56Z`);
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  $("pause").textContent = paused ? "Resume" : "Pause";
  paint();
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

function shorten(text) {
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text;
}
