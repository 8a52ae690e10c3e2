// What a visitor can do: publish an event, and count the visits of a site.

import { useState } from "preact/hooks";

import { trackerUrl } from "../collector.js";
import { info } from "../state.js";

const EVENT = '{"type":"page_view","visitor_id":"me","data":{"path":"/hello"}}';
const SAID_FOR_MS = 1_500;

export function Publish() {
  if (info.value === null) return null;
  const { broker, publish_open: open, channel, collector } = info.value;
  const tracker = trackerUrl(collector);
  const publishes = channel && (broker === "redis" || open);
  const publish = broker === "redis"
    ? `redis-cli PUBLISH ${channel} '${EVENT}'`
    : `curl -d '${EVENT}' ${new URL(`api/publish/${channel}`, location.href.split("?")[0])}`;
  return (
    <section class="publish" hidden={!publishes && tracker === null} aria-label="How to publish">
      {publishes && <Command id="command" title="Publish an event yourself" text={publish} />}
      {tracker !== null && <Command id="snippet" title="Count the visits of your own site" text={`<script src="${tracker}" defer></script>`} />}
    </section>
  );
}

function Command({ id, title, text }) {
  const [said, say] = useState("Copy");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch {
      // Browsers lend the clipboard to secure pages only; the next best is a selection.
      getSelection().selectAllChildren(document.getElementById(id));
      say("Selected");
    }
    setTimeout(() => say("Copy"), SAID_FOR_MS);
  };
  return (
    <div class="command">
      <h2>{title}</h2>
      <code id={id}>{text}</code>
      <button type="button" id={id === "command" ? "copy" : `copy-${id}`} onClick={copy} aria-label={`${said}: ${title}`}>{said}</button>
    </div>
  );
}
