// The page under a visitor's hands: keyboard, pause, filter, television, less motion.

import { until } from "../browser/programs.mjs";
import { check } from "../browser/report.mjs";
import { statistics, view } from "../browser/world.mjs";

const CONTROLS = ["pause", "filter", "theme", "tv", "help", "copy"];

async function opened(stage, options) {
  const world = await stage.world();
  await world.writeStatistics(statistics());
  const screen = await stage.screen(options);
  await screen.live(world.url);
  await world.subscribed();
  return { world, screen };
}

export async function keyboard(stage) {
  const { screen } = await opened(stage);
  const { page } = screen;
  const reached = await tabStops(page);
  const ids = reached.map(({ id }) => id);
  check(CONTROLS.every((id) => ids.includes(id)), "Tab reaches every control", ids.join(", "));
  const bare = reached.filter(({ outlined }) => !outlined).map(({ id }) => id);
  check(bare.length === 0, "what has the focus is outlined", bare.join(", "));
  await page.evaluate(() => document.activeElement.blur());

  const pressed = () => page.locator("#pause").getAttribute("aria-pressed");
  await page.keyboard.press("p");
  const once = await pressed();
  await page.keyboard.press("p");
  check(once === "true" && (await pressed()) === "false", "p pauses and resumes");
  await page.keyboard.press("/");
  const focused = await page.evaluate(() => document.activeElement.id);
  await page.keyboard.type("pdt?/");
  const typed = await page.locator("#filter").inputValue();
  check(focused === "filter" && typed === "pdt?/" && (await pressed()) === "false",
    "/ goes to the filter, where letters are letters", `${focused}, ${typed}`);
  await page.locator("#filter").fill("");
  await page.evaluate(() => document.activeElement.blur());
  const themes = [];
  for (let press = 0; press < 3; press += 1) {
    await page.keyboard.press("d");
    themes.push(await page.locator("html").getAttribute("data-theme"));
  }
  check(themes.includes("light") && themes.includes("dark"), "d turns the lights off and on", themes.join(", "));
  await help(screen);
}

async function help(screen) {
  const { page } = screen;
  await page.keyboard.press("?");
  const dialog = page.getByRole("dialog");
  await dialog.waitFor({ state: "visible", timeout: 5_000 }).catch(() => {});
  const open = await dialog.isVisible();
  check(open, "? explains the keys");
  if (!open) return;
  await screen.judged("help");
  await page.keyboard.press("Escape");
  check(!(await dialog.isVisible()), "Escape closes the explanation");
  await switchedOff(page, dialog);
  await page.locator("#copy").focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.getElementById("copy").textContent !== "Copy").catch(() => {});
  const said = await page.locator("#copy").textContent();
  check(said === "Copied", "Enter copies the command", said);
}

// For whoever speaks to their computer.
async function switchedOff(page, dialog) {
  const flip = async () => {
    await page.locator("#help").focus();
    await page.keyboard.press("Enter");
    await page.locator("#shortcuts").focus();
    await page.keyboard.press("Space");
    await page.keyboard.press("Escape");
    await page.evaluate(() => document.activeElement.blur());
  };
  const pressed = () => page.locator("#pause").getAttribute("aria-pressed");
  await flip();
  await page.keyboard.press("p");
  await page.keyboard.press("?");
  const off = [await pressed(), await dialog.isVisible()].join();
  await flip();
  await page.keyboard.press("p");
  const on = await pressed();
  await page.keyboard.press("p");
  check(off === "false,false" && on === "true", "the shortcuts can be switched off, and on again", `${off}, then ${on}`);
}

async function tabStops(page) {
  const reached = [];
  for (let step = 0; step < 20; step += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(document.activeElement);
      const { id, localName } = document.activeElement;
      const outlined = (outlineStyle !== "none" && parseFloat(outlineWidth) >= 2) || boxShadow !== "none";
      return { id: id || localName, outlined };
    });
    if (at.id === "body" || (at.id !== "a" && reached.some(({ id }) => id === at.id))) break;
    reached.push(at);
  }
  return reached;
}

export async function pause(stage) {
  const { world, screen } = await opened(stage);
  for (let n = 0; n < 5; n += 1) await world.publish(view(`/before/${n}`));
  await screen.shows("/before/4");
  const stood = await screen.ticker();
  await screen.page.locator("#pause").focus();
  await screen.page.keyboard.press("Space");
  for (let n = 1; n <= 3; n += 1) await world.publish(view(`/paused/${n}`));
  await screen.page.waitForFunction(() => /3/.test(document.getElementById("held").textContent));
  const shown = await screen.ticker();
  check(shown.join() === stood.join(), "paused: the list stands still", shown.join(", "));
  const waiting = await screen.text("#held");
  check(waiting === "paused, 3 new", "paused: what waits is counted", waiting);
  await pointedAt(world, screen, stood);
  await screen.judgedTwice("paused");
  await screen.page.locator("#pause").focus();
  await screen.page.keyboard.press("Enter");
  await screen.shows("/paused/4");
  const order = (await screen.ticker()).slice(0, 5).join();
  check(order === "/paused/4,/paused/3,/paused/2,/paused/1,/before/4", "resumed: what came meanwhile is shown, in order", order);
  const held = await screen.text("#held");
  check(!/\d/.test(held), "resumed: nothing is held any more", held);
}

// The pointer stops the list as well, which stands still already.
async function pointedAt(world, screen, stood) {
  const { page } = screen;
  await page.locator("#ticker").hover();
  await world.publish(view("/paused/4"));
  await page.waitForFunction(() => /4/.test(document.getElementById("held").textContent));
  const under = await screen.ticker();
  await page.mouse.move(0, 0);
  await page.waitForFunction(() => !document.getElementById("ticker").matches(":hover"));
  const after = await screen.ticker();
  const held = await screen.text("#held");
  check(under.join() === stood.join() && after.join() === stood.join() && held === "paused, 4 new",
    "paused: nor does the list move under the pointer, or when it leaves", `${under.join(", ")}; ${held}`);
}

export async function filter(stage) {
  const { world, screen } = await opened(stage);
  for (let n = 0; n < 6; n += 1) await world.publish(view(`/${n % 2 === 0 ? "apples" : "pears"}/${n}`));
  await screen.shows("/pears/5");
  await screen.page.locator("#filter").fill("PEARS");
  const only = await shownPaths(screen, "/pears/5,/pears/3,/pears/1");
  check(only, "filter: only what matches is shown", (await screen.ticker()).join(", "));
  await world.publish(view("/apples/6"));
  await world.publish(view("/pears/7"));
  await screen.shows("/pears/7");
  const still = await shownPaths(screen, "/pears/7,/pears/5,/pears/3,/pears/1");
  check(still, "filter: what comes is filtered as well", (await screen.ticker()).join(", "));
  await screen.page.locator("#filter").fill("nothing is called so");
  await until("nothing matches", async () => (await screen.rows()) === 0, 5_000).catch(() => {});
  check((await screen.rows()) === 0, "filter: nothing matches, nothing is shown");
  await screen.judgedTwice("filtered");
  await screen.page.locator("#filter").fill("");
  const all = await shownPaths(screen, "/pears/7,/apples/6,/pears/5,/apples/4,/pears/3,/apples/2,/pears/1,/apples/0");
  check(all, "filter: without it all is there again", (await screen.ticker()).join(", "));
}

function shownPaths(screen, wanted) {
  return until("the filter has worked", async () => (await screen.ticker()).join() === wanted, 5_000)
    .then(() => true, () => false);
}

export async function television(stage) {
  const { world, screen } = await opened(stage);
  await screen.page.goto(`${world.url}?tv=1`);
  await screen.inState("live");
  const on = () => screen.page.evaluate(() => document.body.hasAttribute("data-tv"));
  const asked = await on();
  await screen.page.keyboard.press("t");
  const left = await on();
  await screen.page.keyboard.press("t");
  check(asked && !left && (await on()), "TV: by ?tv=1, and by t");
  await screen.page.keyboard.press("?");
  const helps = () => screen.page.getByRole("dialog").isVisible();
  const steps = [[await helps(), await on()]];
  for (let press = 0; press < 2; press += 1) {
    await screen.page.keyboard.press("Escape");
    steps.push([await helps(), await on()]);
  }
  check(steps.join(" ") === "true,true false,true false,false", "TV: Escape closes the help first, then leaves TV", steps.join(" "));
  await screen.page.waitForFunction(() => document.fullscreenElement === null);
  // Playwright says of the second one that the key is held.
  await screen.page.keyboard.down("t");
  await screen.page.keyboard.down("t");
  await screen.page.keyboard.up("t");
  check(await on(), "TV: a key that is held switches once");
}

export async function motion(stage) {
  const { world, screen } = await opened(stage, { reducedMotion: "reduce" });
  let moving = 0;
  for (let n = 0; n < 3; n += 1) {
    await world.publish(view(`/calm/${n}`));
    await screen.shows(`/calm/${n}`);
    moving += await screen.page.evaluate(() =>
      document.getAnimations().filter(({ effect }) => effect.getComputedTiming().duration > 1).length);
  }
  check(moving === 0, "reduced motion: nothing moves", `${moving} animations`);
}
