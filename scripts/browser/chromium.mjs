// Starts the browser that a user of Debian has, for scripts that look at the page. It
// asks nobody but the programs of the run.

import { createRequire } from "node:module";

// The libraries live with the other tools, outside the sources.
const require = createRequire(`${process.cwd()}/.tools/browser/`);
const { chromium } = require("playwright-core");

// The source of axe, to be run inside a page.
export const AXE = require("axe-core").source;

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--no-proxy-server",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
