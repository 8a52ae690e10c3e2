// Opens the gateway's own page in headless Chromium, waits until it shows the page
// view that was published, writes what it shows to a file and takes a picture.
//
// Usage: node browser.mjs PAGE-URL PAYLOAD-FILE FILE PICTURE

import { readFileSync, writeFileSync } from "node:fs";
import { launch } from "../browser/chromium.mjs";

const [url, payload, file, picture] = process.argv.slice(2);
const published = JSON.parse(readFileSync(payload, "utf8"));

const browser = await launch();
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => console.error(error.message));
  await page.goto(url);
  await page.waitForSelector('#connection[data-state="live"]');
  console.log("ready");
  // The page shows a view's path; as text, whatever characters are in it.
  const shown = await page.waitForFunction((path) => {
    const rows = [...document.querySelectorAll("#ticker .what")];
    return rows.map((row) => row.textContent).find((text) => text === path);
  }, published.data.path);
  writeFileSync(file, await shown.jsonValue());
  await page.screenshot({ path: picture });
} finally {
  await browser.close();
}
