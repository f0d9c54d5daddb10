// One task: what it is, its versions, how they share its requests, its card.

import { access, mayChange } from "../access.js";
import { html } from "../html.js";
import { attempt } from "../toast.js";
import { bytes, count, date, typeWord } from "../words.js";
import { Card } from "./card.js";
import { remove } from "./changes.js";
import { Versions } from "./versions.js";

const LABELS = 30;

function Facts({ task }) {
  const labels = task.labels ?? [];
  const shown = `${labels.slice(0, LABELS).join(", ")}${labels.length > LABELS ? ", …" : ""}`;
  const failed = task.last_error;
  return html`<dl class="facts">
    <dt>Does</dt>
    <dd>${typeWord(task.type)}</dd>
    <dt>Kind</dt>
    <dd>${task.kind}, ${bytes(task.bytes)}</dd>
    ${access.get().tenant && html`<dt>Of</dt><dd>${task.tenant || "all tenants: your key cannot change it"}</dd>`}
    <dt>Base</dt>
    <dd>${task.base}</dd>
    <dt>Digest</dt>
    <dd><code>${task.version}</code></dd>
    <dt>Asked</dt>
    <dd>${count(task.requests, "time")} since the server started</dd>
    ${failed && html`<dt>Failed</dt><dd>${date(failed.time)}: <code>${failed.code}</code>${failed.version === task.version ? "" : html`, version <code>${failed.version}</code>`}</dd>`}
    ${labels.length > 0 && html`<dt>Labels</dt><dd>${shown}</dd>`}
  </dl>`;
}

export function Detail({ task }) {
  return html`<section class="detail" aria-labelledby="detail-title">
    <header>
      <a class="back" href="#tasks">All tasks</a>
      <h2 id="detail-title">${task.id}</h2>
      ${mayChange(task) && html`<button type="button" class="plain" onClick=${() => attempt(() => remove(task))}>Remove</button>`}
      <a class="close" href="#tasks" aria-label="Close">×</a>
    </header>
    ${task.warnings.map((warning) => html`<p class="warning">${warning}</p>`)}
    <${Facts} task=${task} />
    <${Versions} task=${task} />
    <${Card} task=${task} />
  </section>`;
}
