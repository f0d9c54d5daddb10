// One task's answer.

import { html } from "../html.js";
import { later } from "../later.js";
import { BASE } from "../registry.js";
import { seconds, typeWord } from "../words.js";

export const Output = later(async () => (await import("../outputs/output.js")).Output);

// How fast it came: "first token 80 ms · 54 tokens/s · 40 in, 24 out".
function Pace({ answer }) {
  const { first, total, usage } = answer;
  const written = usage?.completion_tokens ?? 0;
  const parts = [];
  if (first != null) parts.push(`first token ${seconds(first)}`);
  else if (total != null) parts.push(seconds(total));
  if (written > 1) parts.push(`${((written - 1) / ((total - first) / 1000)).toFixed(0)} tokens/s`);
  if (usage) parts.push(`${usage.prompt_tokens} in${written ? `, ${written} out` : ""}`);
  return html`<p class="pace quiet">${parts.join(" · ")}</p>`;
}

const STATES = { waiting: "Waiting …", stopped: "Stopped." };

function Body({ task, answer, input }) {
  if (!answer) return html`<p class="quiet">Ask to see what it answers.</p>`;
  const shown = answer.output || answer.outputs;
  return html`${shown && html`<${Output} task=${task} answer=${answer} input=${input} />`}
    ${STATES[answer.state] && html`<p class="quiet">${STATES[answer.state]}</p>`}
    ${answer.state === "failed" && html`<p class="bad" role="alert">${answer.error.message}</p>`}`;
}

export function Column({ task, answer, input, onCopy, onClose }) {
  const what = task.id === BASE ? "no delta" : task.kind;
  const id = `answer-${task.id}`;
  return html`<article class="column" aria-labelledby=${id} aria-busy=${answer?.state === "writing" || answer?.state === "waiting"}>
    <header>
      <h3 id=${id}>${task.id}</h3>
      <p class="quiet">${typeWord(task.type)} · ${what}</p>
      <button type="button" class="close" aria-label=${`Take ${task.id} away`} onClick=${onClose}>×</button>
    </header>
    <div class="answer"><${Body} task=${task} answer=${answer} input=${input} /></div>
    <footer>
      ${answer ? html`<${Pace} answer=${answer} />` : html`<span></span>`}
      <button type="button" class="link" aria-label=${`Copy as code: ${task.id}`} onClick=${onCopy}>Copy as code</button>
    </footer>
  </article>`;
}
