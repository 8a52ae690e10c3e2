// Starts a gateway on the memory broker, fetches the documents that describe its API, and
// lints them. Prints a line for each document; whatever a linter says fails the run.
//
// Usage: node lint.mjs GATEWAY-BINARY TOOLS FOLDER

import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

import { Program, freePorts } from "../browser/programs.mjs";

const [binary, tools, folder] = process.argv.slice(2);
const rules = new URL("rules.yaml", import.meta.url).pathname;

const [httpPort, adminPort] = await freePorts(2);
// A file of its own, or a ./redcast.toml of somebody's would be read.
const config = `${folder}/redcast.toml`;
writeFileSync(config, "");
const gateway = new Program({
  command: [binary, "serve", "--config", config],
  env: {
    REDCAST_HTTP__LISTEN: `127.0.0.1:${httpPort}`,
    REDCAST_ADMIN__LISTEN: `127.0.0.1:${adminPort}`,
    REDCAST_SHUTDOWN__ACCEPT_FOR: "0s",
    REDCAST_SHUTDOWN__WINDOW: "0s",
  },
  log: `${folder}/gateway.log`,
  ready: async () => (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).ok,
});

async function fetched(name) {
  const response = await fetch(`http://127.0.0.1:${httpPort}/${name}`);
  if (!response.ok) throw new Error(`/${name} answered ${response.status}`);
  const file = `${folder}/${name}`;
  writeFileSync(file, await response.text());
  return file;
}

// Spectral says what is wrong with the document, as a whole and in each place.
function spectral(file) {
  const command = `${tools}/node_modules/.bin/spectral`;
  const flags = ["lint", "--ruleset", rules, "--fail-severity", "hint", "--format", "text", file];
  const { status, stdout, stderr, error } = spawnSync(command, flags, { encoding: "utf8" });
  if (error !== undefined) throw error;
  return status === 0 ? [] : `${stdout}${stderr}`.trim().split("\n");
}

// The reference parser of AsyncAPI has rules that Spectral has not, such as that the
// messages of an operation are messages of its channel.
async function parsed(text) {
  const { Parser } = createRequire(`${tools}/`)("@asyncapi/parser");
  const { document, diagnostics } = await new Parser().parse(text);
  const said = diagnostics.filter(({ code }) => code !== "asyncapi-latest-version");
  const lines = said.map(({ code, message, path }) => `${path.join(".")}: ${message} (${code})`);
  return document === undefined && lines.length === 0 ? ["it can't be parsed"] : lines;
}

function tell(name, version, findings) {
  const verdict = findings.length === 0 ? "ok     " : "FAILED ";
  console.log(`${verdict} ${name}: ${version}${findings.map((line) => `\n  ${line}`).join("")}`);
  return findings.length === 0;
}

async function lint(name, key, parse = () => []) {
  const file = await fetched(name);
  const text = readFileSync(file, "utf8");
  const findings = [...spectral(file), ...(await parse(text))];
  return tell(name, `${key} ${JSON.parse(text)[key]}`, findings);
}

let good = false;
try {
  await gateway.start();
  const openapi = await lint("openapi.json", "openapi");
  const asyncapi = await lint("asyncapi.json", "asyncapi", parsed);
  good = openapi && asyncapi;
} finally {
  await gateway.stop("SIGKILL");
}
process.exit(good ? 0 : 1);
