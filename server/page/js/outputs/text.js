// A text that a task writes, as it comes.

import { html } from "../html.js";
import { Calls } from "./calls.js";

const ENDINGS = { length: "Cut off at its longest: raise it under Options." };

export function Text({ output, state, finish }) {
  return html`${output.reasoning && html`<details class="reasoning" open=${!output.text}>
      <summary>Reasoning</summary>
      <p class="written">${output.reasoning}</p>
    </details>`}
    <p class=${state === "writing" ? "written under-way" : "written"}>${output.text}</p>
    <${Calls} calls=${output.calls} />
    ${state === "done" && !output.text && !output.calls.length && html`<p class="quiet">It wrote nothing.</p>`}
    ${ENDINGS[finish] && html`<p class="quiet">${ENDINGS[finish]}</p>`}`;
}
