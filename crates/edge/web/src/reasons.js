// Why there is no connection, in words that don't depend on the browser.

// The most that a gateway may ask us to wait.
const LONGEST_ASKED_MS = 600_000;

// Why the gateway could not be asked.
export function unreachable(error) {
  if (error instanceof TypeError) return "the gateway does not answer";
  if (error.name === "TimeoutError") return "the gateway does not answer in time";
  if (error instanceof SyntaxError) return "what answers is not the gateway";
  return error.message;
}

// What a close means for a person, and how long the gateway asks us to wait.
export function explain(code, reason, opened) {
  if (code === 1012) {
    try {
      const after = Number(JSON.parse(reason).reconnect_after_ms);
      if (after >= 0) return ["the gateway is restarting", Math.min(after, LONGEST_ASKED_MS)];
    } catch {
      // A proxy may close with 1012 and words of its own.
    }
    return ["the gateway is restarting"];
  }
  if (code === 0) return [reason];
  if (code === 1006 && opened) return ["the connection was lost"];
  if (code === 1006) return ["the gateway took no connection from this page: allowed_origins or forward auth may refuse it"];
  return [`closed with ${code}${reason ? `: ${reason}` : ""}`];
}
