// Embeddings, as how similar each line is to each other.

import { html } from "../html.js";

const MOST = 8;

const dot = (a, b) => a.reduce((sum, value, at) => sum + value * b[at], 0);

const cosine = (a, b) => dot(a, b) / (Math.sqrt(dot(a, a) * dot(b, b)) || 1);

export function Similarity({ outputs, inputs }) {
  const vectors = outputs.slice(0, MOST).map((output) => output.embedding);
  if (vectors.length < 2) {
    return html`<p>${vectors[0].length} numbers, beginning with</p>
      <p class="numbers">${vectors[0].slice(0, 6).map((value) => value.toFixed(3)).join("  ")} …</p>
      <p class="quiet">Write several lines to see how similar they are.</p>`;
  }
  return html`<table class="similarity">
      <caption class="unseen">How similar the lines are</caption>
      <thead>
        <tr>
          <td></td>
          ${vectors.map((_, at) => html`<th scope="col" title=${inputs[at]}>${at + 1}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${vectors.map(
          (vector, at) =>
            html`<tr>
              <th scope="row" title=${inputs[at]}><span>${at + 1}</span> ${inputs[at]}</th>
              ${vectors.map((other) => html`<${Cell} value=${cosine(vector, other)} />`)}
            </tr>`,
        )}
      </tbody>
    </table>
    ${outputs.length > MOST && html`<p class="quiet">The first ${MOST} lines are shown.</p>`}`;
}

function Cell({ value }) {
  return html`<td><span class="shade" style=${{ opacity: Math.max(0, value) ** 2 * 0.5 }}></span><span>${value.toFixed(2)}</span></td>`;
}
