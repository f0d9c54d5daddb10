// Entities, marked in the text that was asked about.

import { html } from "../html.js";
import { score } from "../words.js";

const SHADES = 6;

// Stretches of the text, those between entities included; offsets count whole characters.
function stretches(text, entities) {
  const characters = Array.from(text);
  const cut = (from, to) => characters.slice(from, to).join("");
  let at = 0;
  const found = [];
  for (const entity of entities) {
    found.push({ text: cut(at, entity.start) }, { text: cut(entity.start, entity.end), entity });
    at = entity.end;
  }
  return [...found, { text: cut(at, characters.length) }];
}

export function Entities({ output, input }) {
  const labels = [...new Set(output.entities.map((entity) => entity.label))];
  const shade = (label) => `entity shade-${labels.indexOf(label) % SHADES}`;
  if (!labels.length) return html`<p class="quiet">It found nothing to mark.</p>`;
  return html`<p class="written">
    ${stretches(input, output.entities).map(({ text, entity }) =>
      entity
        ? html`<mark class=${shade(entity.label)} title=${score(entity.score)}>${text}<small>${entity.label}</small></mark>`
        : text,
    )}
  </p>`;
}
