// How the dashboard is built: one script and one style sheet with fixed names, because
// two instances of different versions may answer one visitor, and a name with a hash in
// it would be 404 at the other one.

import { defineConfig } from "vite";

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
        assetFileNames: "app[extname]",
      },
    },
  },
});
