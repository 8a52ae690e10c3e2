// Starts the browser that a user of Debian has, for scripts that look at the page. It
// asks nobody but the gateway.

import { createRequire } from "node:module";

// The library lives with the other tools, outside the sources.
const require = createRequire(`${process.cwd()}/.tools/first-minute/`);
const { chromium } = require("playwright-core");

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
