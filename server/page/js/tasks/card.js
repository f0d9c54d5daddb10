// How a delta came about, and its scores on examples that it has not seen.

import { getJson, taskPath } from "../api.js";
import { html, useEffect, useState } from "../html.js";
import { score } from "../words.js";

const SCORES = [
  { name: "delta", title: "This delta" },
  { name: "majority", title: "Constant answer" },
  { name: "bare", title: "Bare base" },
];

// A card is what whoever wrote it liked: only what has the expected form is shown as more than text.
const written = (value) => (typeof value === "number" ? score(value) : "");

function Scores({ rows }) {
  return html`<table class="scores">
    <caption class="unseen">Scores on held-out examples</caption>
    <thead>
      <tr>
        <th scope="col">Held out</th>
        ${SCORES.map(({ title }) => html`<th scope="col" class="number">${title}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        (row) =>
          html`<tr>
            <th scope="row">${String(row.held_out)} <span class="quiet">${String(row.measure ?? "")}, ${String(row.examples ?? "?")} examples</span></th>
            ${SCORES.map(({ name }) => html`<td class="number">${written(row[name])}</td>`)}
          </tr>`,
      )}
    </tbody>
  </table>`;
}

export function Card({ task }) {
  const [card, setCard] = useState(null);
  useEffect(() => {
    getJson(`${taskPath(task.id)}/card`).then((found) => setCard(found.card), () => setCard(null));
  }, [task.version]);
  if (!card || !Object.keys(card).length) return null;
  const { data, held_out: rows, ...rest } = card;
  const told = Array.isArray(rows) ? rows.filter((row) => row && typeof row === "object") : [];
  return html`<h3>Card</h3>
    ${data && html`<p>${typeof data === "string" ? data : JSON.stringify(data)}</p>`}
    ${told.length > 0 && html`<${Scores} rows=${told} />`}
    ${Object.keys(rest).length > 0 &&
    html`<details>
      <summary>How it was trained</summary>
      <pre tabindex="0" aria-label="Recipe">${JSON.stringify(rest, null, 2)}</pre>
    </details>`}`;
}
