// The page in headless Chromium, as the checks look at it.

import { launch } from "../chromium.mjs";
import { check } from "./report.mjs";
import { install, lowestContrast, stickingOut } from "./probes.mjs";

const WINDOW = { width: 1280, height: 800 };
// Fifty rows would be too small to judge.
const PICTURE_HEIGHT = 1_300;
// WCAG 2.1 AA for text of any size.
const CONTRAST = 4.5;
const PATIENCE_MS = 30_000;

export class Screen {
  // Exceptions in the page; and all that a browser's console would show in red.
  thrown = [];
  complaints = [];
  #browser;
  #devtools;
  #folder;

  static async open(folder) {
    const screen = new Screen();
    screen.#folder = folder;
    screen.#browser = await launch();
    screen.page = await screen.#browser.newPage({ viewport: WINDOW, colorScheme: "light" });
    screen.page.setDefaultTimeout(PATIENCE_MS);
    screen.#devtools = await screen.page.context().newCDPSession(screen.page);
    screen.#listen();
    await screen.page.addInitScript(install);
    return screen;
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

  close() {
    return this.#browser.close();
  }

  text(selector) {
    return this.page.locator(selector).textContent();
  }

  async count() {
    return Number((await this.text("#count")).replaceAll(/\D/g, ""));
  }

  rows() {
    return this.page.locator("#events > li").count();
  }

  newest() {
    return this.page.locator("#events .what").first().textContent();
  }

  inState(name) {
    return this.page.waitForSelector(`#state[data-state="${name}"]`);
  }

  // The first words of the page when it is disconnected. To be called before it is: the
  // next try comes soon, and changes them.
  async disconnected() {
    const told = await this.page.waitForFunction(() =>
      document.querySelector('#state[data-state="waiting"] > p:not(.unseen)')?.textContent);
    return told.jsonValue();
  }

  // Waits for a row.
  shows(what) {
    return this.page.waitForFunction((wanted) =>
      [...document.querySelectorAll("#events .what")].some((row) => row.textContent === wanted), what);
  }

  // Waits for a notice that has these words in it; empty when none comes.
  async noticed(words) {
    const notice = this.page.locator("#notices > li", { hasText: words }).first();
    return notice.textContent({ timeout: 10_000 }).catch(() => "");
  }

  probe() {
    return this.page.evaluate(() => window.redcastProbe);
  }

  async heap() {
    await this.#devtools.send("HeapProfiler.collectGarbage");
    return (await this.#devtools.send("Runtime.getHeapUsage")).usedSize;
  }

  // The top of the page, as a file for human eyes.
  async picture(name, colorScheme = "light") {
    await this.page.emulateMedia({ colorScheme });
    const clip = { x: 0, y: 0, width: this.page.viewportSize().width, height: PICTURE_HEIGHT };
    await this.page.screenshot({ path: `${this.#folder}/${name}.png`, fullPage: true, clip });
    await this.page.emulateMedia({ colorScheme: "light" });
  }

  async legible(state) {
    for (const colorScheme of ["light", "dark"]) {
      await this.page.emulateMedia({ colorScheme });
      const { ratio, where, texts } = await this.page.evaluate(lowestContrast);
      check(ratio >= CONTRAST && texts > 10, `${state}, ${colorScheme}: legible`,
        `lowest contrast ${ratio.toFixed(2)} of ${texts} texts, ${where}`);
      await this.picture(`${state.replaceAll(" ", "-")}-${colorScheme}`, colorScheme);
    }
  }

  async fits(state, width) {
    await this.page.setViewportSize({ ...WINDOW, width });
    const names = await this.page.evaluate(stickingOut);
    check(names.length === 0, `${state}, ${width} px wide: nothing sticks out`, names.slice(0, 4).join(", "));
    await this.picture(`${state.replaceAll(" ", "-")}-${width}px`);
    await this.page.setViewportSize(WINDOW);
  }
}
