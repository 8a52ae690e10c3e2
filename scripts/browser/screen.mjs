// One open page, as the checks look at it: by the ids that stand for its parts.

import { AXE } from "./chromium.mjs";
import { install, lowestContrast, stickingOut } from "./probes.mjs";
import { check } from "./report.mjs";

export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };
export const TELEVISION = { width: 1920, height: 1080 };
// A full list would be too small to judge.
const PICTURE_HEIGHT = 1_600;
// WCAG 2.1 AA for text of any size.
const CONTRAST = 4.5;
const PATIENCE_MS = 20_000;

export class Screen {
  // Exceptions in the page; and all that a browser's console would show in red.
  thrown = [];
  complaints = [];
  #devtools;
  #folder;
  #context;

  // context: that of another screen, to be a second tab of the same browser.
  static async open(browser, folder, { context = null, ...options } = {}) {
    const screen = new Screen();
    screen.#folder = folder;
    screen.#context = context ?? (await browser.newContext({ viewport: DESKTOP, colorScheme: "light", ...options }));
    screen.page = await screen.#context.newPage();
    screen.page.setDefaultTimeout(PATIENCE_MS);
    screen.#devtools = await screen.#context.newCDPSession(screen.page);
    screen.#listen();
    await screen.page.addInitScript(install);
    return screen;
  }

  get context() {
    return this.#context;
  }

  #listen() {
    this.page.on("pageerror", (error) => this.thrown.push(error.message));
    this.page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) this.complaints.push(message.text());
    });
    this.page.on("requestfailed", (request) => this.complaints.push(`${request.url()} failed`));
    this.page.on("response", (response) => {
      const status = response.status();
      if (status >= 400) this.complaints.push(`${response.url()} answered ${status}`);
    });
  }

  async live(url) {
    await this.page.goto(url);
    await this.inState("live");
  }

  close() {
    return this.page.close();
  }

  async text(selector) {
    return (await this.page.locator(selector).first().textContent()).trim();
  }

  // A figure as a person reads it, in whatever way its thousands are set apart.
  async number(selector) {
    const digits = (await this.text(selector)).replaceAll(/[^\d.]/g, "");
    return digits === "" ? null : Number(digits);
  }

  // Waits until a figure is one of these; says what it was in the end.
  async figure(selector, ...wanted) {
    const seen = await this.page.waitForFunction(([where, values]) => {
      const text = document.querySelector(where)?.textContent.replaceAll(/[^\d.]/g, "");
      return text !== "" && values.includes(Number(text)) && text;
    }, [selector, wanted], { timeout: 10_000 }).catch(() => null);
    return seen === null ? `${await this.text(selector)}, not ${wanted.join(" or ")}` : Number(await seen.jsonValue());
  }

  rows(list = "#ticker") {
    return this.page.locator(`${list} > li`).count();
  }

  keys(list) {
    return this.page.locator(`${list} > li`).evaluateAll((items) => items.map((item) => item.dataset.key));
  }

  // What the rows are about: the paths of page views.
  ticker() {
    return this.page.locator("#ticker > li > .what").evaluateAll((cells) => cells.map((cell) => cell.textContent));
  }

  inState(name) {
    return this.page.waitForSelector(`#connection[data-state="${name}"]`, { state: "attached" });
  }

  // Waits until the badge has said this, however shortly.
  async badge(pattern) {
    const said = await this.page.waitForFunction(([source]) =>
      window.redcastProbe.badge.find((text) => new RegExp(source).test(text)), [pattern.source], { timeout: 10_000 })
      .catch(() => null);
    return said === null ? "" : said.jsonValue();
  }

  // Waits for a row of the ticker that is about this.
  shows(what, timeout = PATIENCE_MS) {
    return this.page.waitForFunction((wanted) =>
      [...document.querySelectorAll("#ticker > li > .what")].some((cell) => cell.textContent === wanted), what, { timeout });
  }

  // Waits for a notice that matches; empty when none comes.
  async noticed(pattern) {
    const notice = this.page.locator("#notices > li", { hasText: pattern }).first();
    return notice.textContent({ timeout: 10_000 }).catch(() => "");
  }

  probe() {
    return this.page.evaluate(() => window.redcastProbe);
  }

  async heap() {
    await this.#devtools.send("HeapProfiler.collectGarbage");
    return (await this.#devtools.send("Runtime.getHeapUsage")).usedSize;
  }

  elements() {
    return this.page.evaluate(() => document.querySelectorAll("*").length);
  }

  async theme(wanted) {
    for (let tries = 0; tries < 3; tries += 1) {
      if ((await this.page.locator("html").getAttribute("data-theme")) === wanted) return;
      await this.page.locator("#theme").click();
      // Under the pointer the ticker would stand still.
      await this.page.mouse.move(0, 0);
    }
    throw new Error(`the page can't be made ${wanted}`);
  }

  // The top of the page, as a file for human eyes.
  async picture(name) {
    const { width } = this.page.viewportSize();
    const clip = { x: 0, y: 0, width, height: PICTURE_HEIGHT };
    await this.page.screenshot({ path: `${this.#folder}/${name.replaceAll(/[ ,]+/g, "-")}.png`, fullPage: true, clip });
  }

  // What can be told of a state by rules, at the window's present size and theme; and a
  // picture for what can't.
  async judged(state) {
    await this.page.evaluate(AXE);
    // A colour that is on its way to another is neither.
    await this.page.evaluate(() => {
      const passing = document.getAnimations().filter(({ effect }) => effect.getComputedTiming().endTime < Infinity);
      for (const animation of passing) animation.finish();
    });
    const { violations, passes } = await this.page.evaluate(() => window.axe.run(document, {
      resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }));
    const found = violations.map(({ id, nodes }) => `${id} at ${nodes.slice(0, 2).map((node) => `${node.target} (${node.any[0]?.message ?? ""})`).join(" ")}`);
    check(found.length === 0 && passes.length > 10, `${state}: axe finds nothing`, found.join("; ") || `${passes.length} rules pass`);
    const { ratio, where, texts } = await this.page.evaluate(lowestContrast);
    check(ratio >= CONTRAST && texts > 10, `${state}: legible`, `lowest contrast ${ratio.toFixed(2)} of ${texts} texts, ${where}`);
    const names = await this.page.evaluate(stickingOut);
    check(names.length === 0, `${state}: nothing sticks out`, names.slice(0, 4).join(", "));
    await this.picture(state);
  }

  // A state in both themes.
  async judgedTwice(state) {
    for (const theme of ["light", "dark"]) {
      await this.theme(theme);
      await this.judged(`${state}, ${theme}`);
    }
    await this.theme("light");
  }
}
