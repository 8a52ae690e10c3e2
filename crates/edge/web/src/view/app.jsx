// The page as a whole. Order in the document is the order of importance, which is also
// what a screen reader reads and a phone shows.

import { condition, info, notices } from "../state.js";
import { Facts } from "./facts.jsx";
import { HalfHour } from "./half-hour.jsx";
import { Header } from "./header.jsx";
import { Help } from "./help.jsx";
import { People } from "./people.jsx";
import { Publish } from "./publish.jsx";
import { Ranking } from "./ranking.jsx";
import { Rate } from "./rate.jsx";
import { Ticker } from "./ticker.jsx";

export function App({ intake }) {
  return (
    <>
      <Header />
      <main data-quiet={condition.value !== "live"}>
        <Notices />
        <div class="figures">
          <People />
          <Rate />
          <HalfHour />
          <Facts />
        </div>
        <div class="lists">
          <Ranking id="pages" title="Top pages" empty="No page was viewed in the last 30 minutes." />
          <Ranking id="referrers" title="Top referrers" empty="Nobody was referred in the last 30 minutes." />
          <Ticker intake={intake} />
        </div>
        <Publish />
      </main>
      <Footer />
      <Help />
    </>
  );
}

// Painted once a second at most, because a screen reader speaks each change.
function Notices() {
  return (
    <ul id="notices" class="notices" aria-label="Notices" aria-live="polite">
      {notices.value.map(({ id, type, text }) => <li key={id} data-type={type}>{text}</li>)}
    </ul>
  );
}

function Footer() {
  const { version, broker, dashboard, endpoints } = info.value ?? {};
  return (
    <footer>
      <p>
        {broker === "memory" && <span id="memory">Memory broker: this process alone, and all is gone when it ends. </span>}
        {broker === "redis" && <span>Redis: shared by all instances. </span>}
        Live from <code id="endpoint">{dashboard?.endpoint ?? endpoints?.[0] ?? "…"}</code>, Redcast <span id="version">{version ?? "…"}</span>.
      </p>
    </footer>
  );
}

