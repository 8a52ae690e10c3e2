// The page, fed with what a producer should not send.

import { hostileEvents } from "./hostile.mjs";
import { check } from "../browser/report.mjs";
import { statistics, view } from "../browser/world.mjs";

const LONGEST_TEXT = 401;

export async function hostile(stage) {
  const world = await stage.world();
  await world.writeStatistics(statistics());
  const screen = await stage.screen();
  await screen.live(world.url);
  await world.subscribed();
  await tooLargeToRead(world, screen);
  const events = hostileEvents();
  for (const event of events) await world.publish(event);
  // A row that can't be drawn must not take those after it along.
  await world.publish(view("/after"));
  await screen.shows("/after", 5_000).catch(() => {});
  const seen = await screen.page.evaluate(inspected);
  check(!seen.ran && seen.foreign.length === 0, "hostile events: markup is shown as text", seen.foreign.join(", "));
  const rows = 1 + events.length + 1;
  check(seen.rows === rows, "hostile events: each has its row", `${seen.rows} of ${rows}`);
  check(seen.longest <= LONGEST_TEXT, "hostile events: long texts are shortened", `longest ${seen.longest} characters`);
  check(seen.raw === 0, "hostile events: no control character gets through", `${seen.raw} texts with one`);
  await screen.judgedTwice("hostile");
  await hostileStatistics(world, screen, events);
}

// Nobody knows whether what was cut was a page view.
async function tooLargeToRead(world, screen) {
  await world.publish(view(`/${"p".repeat(40 << 10)}`));
  await screen.page.waitForFunction(() => Number(document.getElementById("rate").textContent) > 0);
  const title = await screen.text("#rate-title");
  check(title === "Page views per second" && (await screen.rows()) === 1,
    "a view too large to be read: shown, and the rate is still of page views", title);
}

// The figures come from a hash that anybody with access to Redis can write.
async function hostileStatistics(world, screen, events) {
  const script = events[0];
  const long = "w".repeat(10_000);
  await world.writeStatistics({
    current_visitors: script, unique_today: -1, total_events: "1e400", views_last_minute: "null",
    last_30_minutes: [script, null, -5, 1e308, {}], timestamp: script,
    top_pages: [{ path: script, views: 3 }, { path: long, views: "many" }, null, 7, { path: { a: 1 }, views: 1 },
      { path: "/twice", views: 2 }, { path: "/twice", views: 1 }],
    top_referrers: { not: "a list" },
  });
  await screen.page.waitForFunction(() => /img src/.test(document.getElementById("pages").textContent));
  await world.writeStatistics({ top_pages: script, top_referrers: [{ referrer: "javascript:redcastHacked=true", views: 9 }] });
  await screen.page.waitForFunction(() => /javascript:/.test(document.getElementById("referrers").textContent));
  const seen = await screen.page.evaluate(inspected);
  check(!seen.ran && seen.foreign.length === 0, "hostile statistics: markup is shown as text", seen.foreign.join(", "));
  await screen.judged("hostile statistics");
  await world.writeStatistics(statistics({ total_events: 2_341 }));
  check((await screen.figure("#total-events", 2_341)) === 2_341, "hostile statistics: good ones after them are shown");
}

// Runs in the page.
function inspected() {
  const lists = [...document.querySelectorAll("#ticker, #pages, #referrers")];
  const cells = lists.flatMap((list) => {
    const texts = [];
    const walker = document.createTreeWalker(list, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) texts.push(walker.currentNode.data);
    return texts;
  });
  const hidden = /(?![\t\n\r])[\p{Cc}\p{Cs}\p{Bidi_Control}\u2028\u2029]/u;
  const foreign = lists.flatMap((list) => [...list.querySelectorAll("img, script, iframe, a[href^='javascript:'], [onerror]")]);
  return {
    ran: window.redcastHacked === true,
    foreign: foreign.map((element) => element.outerHTML.slice(0, 80)),
    longest: Math.max(...cells.map((cell) => cell.length)),
    raw: cells.filter((cell) => hidden.test(cell)).length,
    rows: document.querySelectorAll("#ticker > li").length,
  };
}
