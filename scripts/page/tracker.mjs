// The script that counts views on a site of another origin, seen from that site's
// visitors and from the dashboard.

import { once } from "node:events";
import { createServer } from "node:http";

import { until } from "../browser/programs.mjs";
import { check } from "../browser/report.mjs";

// A headless browser calls itself a bot, and bots are not counted.
export const PERSON = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";

export async function tracker(stage) {
  const site = await Site.open();
  try {
    const world = await stage.world({ site: "127.0.0.1" });
    site.script = `${world.collectorUrl}/r.js`;
    const dashboard = await stage.screen({ userAgent: PERSON });
    await dashboard.live(world.url);
    await dashboard.shows("/").catch(() => {});
    const own = await dashboard.ticker();
    check(own.join() === "/", "the page shows the visit of who opened it", own.join(" "));
    const visitor = await stage.screen({ userAgent: PERSON });
    await counted(site, dashboard, visitor);
    await keptPrivate(visitor);
    await refused(stage, site, dashboard);
  } finally {
    site.close();
  }
}

// Each path that the visitor goes to is one view; the last one is waited for.
async function counted(site, dashboard, visitor) {
  await visitor.page.goto(`${site.url}/shop?secret=1#top`);
  await dashboard.shows("/shop");
  await visitor.page.evaluate(() => history.pushState({}, "", "/shop/chair"));
  await dashboard.shows("/shop/chair");
  await visitor.page.evaluate(() => history.replaceState({}, "", "#reviews"));
  await visitor.page.evaluate(() => history.pushState({}, "", "/shop/table"));
  await dashboard.shows("/shop/table");
  await visitor.page.goBack();
  await until("going back is counted", async () => (await dashboard.ticker()).filter((path) => path === "/shop/chair").length === 2)
    .catch(() => {});
  const paths = (await dashboard.ticker()).join(" ");
  check(paths === "/shop/chair /shop/table /shop/chair /shop /", "a page, then steps without a load: one view each", paths);
  const text = await dashboard.page.locator("main").textContent();
  check(!/secret|#top|reviews/.test(text), "neither query nor fragment is kept");
}

async function keptPrivate(visitor) {
  const cookies = await visitor.context.cookies();
  const stored = await visitor.page.evaluate(() => [document.cookie, localStorage.length, sessionStorage.length].join());
  check(cookies.length === 0 && stored === ",0,0", "the visitor's browser keeps nothing", `${cookies.length} cookies, ${stored}`);
}

// Who does not want to be counted, and what is not a person.
async function refused(stage, site, dashboard) {
  const before = (await dashboard.ticker()).length;
  const shy = await stage.screen({ userAgent: PERSON });
  await shy.page.addInitScript(() => Object.defineProperty(navigator, "doNotTrack", { get: () => "1" }));
  const requests = [];
  shy.page.on("request", (request) => requests.push(request.url()));
  await shy.page.goto(`${site.url}/shy`);
  await shy.page.evaluate(() => history.pushState({}, "", "/shy/still"));
  const bot = await stage.screen();
  await bot.page.goto(`${site.url}/bot`);
  const last = await stage.screen({ userAgent: PERSON });
  // A view that came after theirs; theirs would be shown by now.
  await last.page.goto(`${site.url}/honest`);
  await dashboard.shows("/honest");
  const sent = requests.filter((url) => url.endsWith("/collect"));
  check(requests.some((url) => url.endsWith("/r.js")) && sent.length === 0, "Do Not Track: nothing is sent", `${sent.length} beacons`);
  const more = (await dashboard.ticker()).slice(0, -before).join(" ");
  check(more === "/honest", "neither it nor a bot is counted", more);
}

// A site of one page under every path.
class Site {
  #server;

  static async open() {
    const site = new Site();
    site.#server = createServer((request, response) => {
      response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
      response.end(`<!doctype html><html lang="en"><title>A shop</title><link rel="icon" href="data:,">
        <script src="${site.script}" defer></script><h1>A shop</h1>`);
    }).listen(0, "127.0.0.1");
    await once(site.#server, "listening");
    site.host = `127.0.0.1:${site.#server.address().port}`;
    site.url = `http://${site.host}`;
    return site;
  }

  close() {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
