// Totals, and what else a producer keeps among its statistics.

import { figures } from "../state.js";
import { count } from "../numbers.js";

export function Facts() {
  const {
    unique = 0, uniqueByServer = true, total = 0, totalByServer = true, today = null, extras = [],
  } = figures.value ?? {};
  return (
    <section class="facts" aria-label="Totals">
      <h2 class="unseen">Totals</h2>
      <dl>
        <Fact id="unique-today" name={uniqueByServer ? "Visitors today" : "Visitors since this page opened"} value={unique} />
        {today !== null && <Fact id="events-today" name="Views today" value={today} />}
        <Fact id="total-events" name={totalByServer ? "Views in total" : "Events since this page opened"} value={total} />
        {extras.map(([name, value]) => <Fact key={name} name={name} value={value} />)}
      </dl>
    </section>
  );
}

function Fact({ id, name, value }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd id={id}>{count(value)}</dd>
    </div>
  );
}
