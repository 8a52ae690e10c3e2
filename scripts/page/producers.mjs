// The dashboard over those who publish page views by themselves: the demo, without any
// Redis, and an access log that is replayed.

import { until } from "../browser/programs.mjs";
import { check } from "../browser/report.mjs";
import { PERSON } from "./tracker.mjs";

const FILLED = 5;

// `redcast serve --demo` is all that a visitor of the README starts.
export async function demo(stage) {
  const world = await stage.demo();
  const first = await stage.screen({ userAgent: PERSON });
  // A referrer that none of the demo's visitors has.
  await first.page.goto(world.url, { referer: "https://reader.example/list" });
  await first.inState("live");
  await ownVisit(first);
  const caption = await first.text(".people .scale");
  check(caption === "pages that are open at this moment", "demo: the page says who is counted as here", caption);
  const second = await stage.screen({ context: first.context });
  const alone = await first.figure("#people", 1);
  await second.live(world.url);
  const both = [await first.figure("#people", 2), await second.figure("#people", 2)];
  check([alone, ...both].join() === "1,2,2", "demo: each open page is one visitor", `${alone}, then ${both.join(" and ")}`);
  await filled(first);
}

async function ownVisit(screen) {
  const row = screen.page.locator("#ticker > li", { hasText: "from reader.example" });
  const path = await row.locator(".what").textContent({ timeout: 10_000 }).catch(() => "no row");
  check(path === "/", "demo: the page shows the visit of who opened it", path);
}

async function filled(screen) {
  const total = await screen.number("#total-events");
  const grown = async () => (await screen.number("#total-events")) > total &&
    (await screen.rows("#pages")) >= FILLED && (await screen.rows()) >= FILLED && (await screen.rows("#referrers")) > 0;
  await until("the dashboard fills", grown, 10_000).catch(() => {});
  const figures = `${total}, then ${await screen.number("#total-events")} views; ` +
    `${await screen.rows("#pages")} pages, ${await screen.rows("#referrers")} referrers, ${await screen.rows()} events`;
  check(await grown(), "demo: the dashboard fills by itself", figures);
}

const line = (client, request, status = 200, agent = PERSON) =>
  `203.0.113.${client} - - [05/Mar/2026:10:00:0${client} +0000] "${request} HTTP/1.1" ${status} 512 "https://search.example/find" "${agent}"`;

const VIEWS = ["/guide", "/prices", "/guide", "/", "/guide", "/prices"];
const LOG = [
  ...VIEWS.map((path, at) => line(at + 1, `GET ${path}?from=mail`)),
  line(7, "GET /style.css"), line(7, "POST /order"), line(7, "GET /gone", 404), line(7, "GET /bot", 200, "Examplebot/1.0"),
];

// A site that nobody has counted yet, and the log of its web server.
export async function replay(stage) {
  const world = await stage.world();
  const screen = await stage.screen();
  await screen.page.goto(world.url);
  await screen.inState("stale");
  const total = () => screen.text("dl > div:has(#total-events)");
  const before = await total();
  check(before === "Events since this page opened0", "no statistics: the total says that it is the page's own", before);
  await world.subscribed();
  const { views } = await world.replay(LOG);
  await screen.inState("live");
  check(views === VIEWS.length, "replay: the page views of the log are published", `${views} of ${LOG.length} lines`);
  await screen.shows(VIEWS.at(-1), 5_000).catch(() => {});
  const shown = (await screen.ticker()).toReversed().join(" ");
  check(shown === VIEWS.join(" "), "replay: each is shown, in the order of the log", shown);
  const order = async () => (await screen.keys("#pages")).join(" ");
  await until("the pages are ranked", async () => (await order()) === "/guide /prices /", 5_000).catch(() => {});
  check((await order()) === "/guide /prices /", "replay: the pages are ranked", await order());
  const counted = [await screen.figure("#total-events", VIEWS.length), await total()].join();
  check(counted === `${VIEWS.length},Views in total${VIEWS.length}`, "replay: counted once, by the producer", counted);
}
