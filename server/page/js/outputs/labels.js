// Labels with their scores as bars, the likeliest first.

import { html, useState } from "../html.js";
import { count, score } from "../words.js";

const MOST = 8;

// Logits and regressions have no fixed range: the greatest fills its bar.
const scale = (values) => Math.max(1, ...values.map(Math.abs));

export function Labels({ output }) {
  const [all, showAll] = useState(false);
  const scores = Object.entries(output.scores);
  const most = scale(Object.values(output.scores));
  const shown = all ? scores : scores.slice(0, MOST);
  return html`<p class="verdict">${output.label}</p>
    <ul class="bars">
      ${shown.map(
        ([label, value]) =>
          html`<li key=${label}>
            <span class="label">${label}</span>
            <span class="bar" aria-hidden="true"><i style=${{ width: `${(Math.abs(value) / most) * 100}%` }}></i></span>
            <span class="score">${score(value)}</span>
          </li>`,
      )}
    </ul>
    ${scores.length > shown.length &&
    html`<button type="button" class="link" onClick=${() => showAll(true)}>${count(scores.length - MOST, "more label")}</button>`}`;
}
