// Now: what the server does at this moment, told by itself once a second.

import { html, useEffect, useState } from "../html.js";
import { bytes, clock, count, seconds } from "../words.js";
import { Chart } from "./chart.js";
import { kept, quantile, rates } from "./rates.js";
import { Step } from "./step.js";
import { watch } from "./watch.js";

const percent = (part, whole) => (whole ? `${Math.round((100 * part) / whole)} %` : "–");
const ms = (value) => (value === null ? "–" : seconds(value * 1000));

function Figure({ title, value, more }) {
  return html`<div class="figure"><dt>${title}</dt><dd>${value}<small>${more}</small></dd></div>`;
}

function Figures({ snapshots, tokens }) {
  const now = snapshots.at(-1);
  return html`<dl class="figures">
    <${Figure} title="Tokens a second" value=${Math.round(tokens.at(-1) ?? 0)} />
    <${Figure} title="Streams" value=${now.running} more=${`${now.waiting} wait`} />
    <${Figure} title="First token, p50" value=${ms(quantile(snapshots, 0.5))} more=${`p99 ${ms(quantile(snapshots, 0.99))}`} />
    <${Figure} title="Slots in use" value=${now.device_deltas} more=${`of ${now.slots}, ${now.host_deltas} in memory`} />
    <${Figure} title="KV cache" value=${`${Math.round(now.cache_usage * 100)} %`} more="in use" />
    <${Figure} title="Prefix cache" value=${percent(now.prefix_hits, now.prefix_queries)} more=${`found of ${count(now.prefix_queries, "token")}`} />
    <${Figure} title="Memory" value=${bytes(now.memory)} />
    <${Figure} title="Refused" value=${now.refused.toLocaleString("en")} more="for want of a place" />
  </dl>`;
}

function Slots({ tasks }) {
  return html`<section class="panel" aria-labelledby="slots-title">
    <h2 id="slots-title">In slots</h2>
    ${!tasks.length && html`<p class="quiet">No task has been asked yet.</p>`}
    <ul class="slots">
      ${tasks.map(({ task, pinned }) => html`<li key=${task} class=${pinned ? "busy" : ""}>${task}<span class="unseen">${pinned ? ", at work" : ""}</span></li>`)}
    </ul>
  </section>`;
}

function Errors({ errors }) {
  return html`<section class="panel" aria-labelledby="errors-title">
    <h2 id="errors-title">Last errors</h2>
    ${!errors.length && html`<p class="quiet">None since the server started.</p>`}
    <ul class="errors">
      ${errors.map(
        ({ time, status, code, route, request_id: id }) =>
          html`<li key=${id}><time>${clock(time)}</time><span><strong>${status} ${code}</strong> ${route}<small class="quiet">${id}</small></span></li>`,
      )}
    </ul>
  </section>`;
}

export function NowView() {
  const [snapshots, setSnapshots] = useState([]);
  const [error, setError] = useState(null);
  useEffect(() => {
    const show = (snapshot) => {
      setError(null);
      setSnapshots((before) => kept(before, snapshot));
    };
    return watch(show, setError);
  }, []);
  const notice = error && html`<p class="notice bad" role="alert">${error.message}</p>`;
  if (!snapshots.length) return notice || html`<p class="notice quiet">Listening …</p>`;
  const now = snapshots.at(-1);
  const times = snapshots.map(({ time }) => time);
  const tokens = rates(snapshots, ({ tokens: written }) => written);
  const rows = (name) => snapshots.map((snapshot) => snapshot[name]);
  return html`<div class="now">
    ${notice}
    <${Figures} snapshots=${snapshots} tokens=${tokens} />
    <div class="charts">
      <${Chart} title="Tokens a second" times=${times} lines=${[{ name: "tokens", stroke: "--accent", values: tokens }]} />
      <${Chart}
        title="Streams"
        times=${times}
        lines=${[
          { name: "running", stroke: "--accent", values: rows("running") },
          { name: "waiting", stroke: "--bad", values: rows("waiting") },
        ]}
      />
    </div>
    <div class="panels"><${Step} snapshots=${snapshots} /><${Slots} tasks=${now.tasks} /><${Errors} errors=${now.errors} /></div>
  </div>`;
}
