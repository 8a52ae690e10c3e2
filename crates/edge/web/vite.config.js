// How the dashboard is built: one script and one style sheet with fixed names, because
// two instances of different versions may answer one visitor, and a name with a hash in
// it would be 404 at the other one.

import { defineConfig } from "vite";

// What the licences of the libraries ask for, in each copy of them.
const NOTICE = "/*! With preact and its signals (c) 2015-present Jason Miller, (c) 2022-present Preact Team, " +
  "and uPlot (c) 2022 Leon Sorokin, each under the MIT licence: https://opensource.org/license/mit */";

export default defineConfig({
  base: "./",
  publicDir: "static",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    // The oldest browsers that know light-dark(), on which the colours stand.
    target: ["chrome123", "firefox120", "safari17.5"],
    assetsDir: "",
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: false,
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        entryFileNames: "app.js",
        codeSplitting: false,
        postBanner: NOTICE,
        assetFileNames: "app[extname]",
      },
    },
  },
});
