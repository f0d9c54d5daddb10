// The tasks to choose from, the base among them.

import { Filter } from "../filter.js";
import { html, useState } from "../html.js";
import { BASE, matching, NO_FILTER } from "../registry.js";
import { count, typeWord } from "../words.js";

const MOST = 100;

function Choice({ task, chosen, onToggle }) {
  return html`<li>
    <label class="choice">
      <input type="checkbox" checked=${chosen} onChange=${() => onToggle(task.id)} />
      <span class="name">${task.id}</span>
      <span class="quiet">${task.id === BASE ? `${typeWord(task.type)}, without a delta` : `${typeWord(task.type)} · ${task.kind}`}</span>
    </label>
  </li>`;
}

export function Picker({ list, chosen, onToggle }) {
  const [filter, setFilter] = useState(NO_FILTER);
  const found = matching(list, filter);
  return html`<section class="picker" aria-labelledby="picker-title">
    <h2 id="picker-title">Tasks</h2>
    <${Filter} list=${list} filter=${filter} onChange=${setFilter} />
    <ul>
      ${found.slice(0, MOST).map(
        (task) =>
          html`<${Choice}
            key=${task.id}
            task=${task}
            chosen=${chosen.includes(task.id)}
            onToggle=${onToggle}
          />`,
      )}
    </ul>
    ${found.length > MOST && html`<p class="quiet">${count(found.length - MOST, "more task")}: search to see them.</p>`}
    ${!found.length && html`<p class="quiet">No task is like that. Clear the search or a chip.</p>`}
    ${list.length === 1 && html`<p class="quiet">There are no tasks yet. Under <a href="#tasks">Tasks</a> you can add one.</p>`}
  </section>`;
}
