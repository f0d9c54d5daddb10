// Tasks: all that there are, one of them in detail, and adding more.

import { may, mayChange } from "../access.js";
import { Filter } from "../filter.js";
import { html, useEffect, useState } from "../html.js";
import { Notice } from "../notice.js";
import { BASE, loadTasks, matching, NO_FILTER, tasks } from "../registry.js";
import { count } from "../words.js";
import { Detail } from "./detail.js";
import { sorted, Table } from "./table.js";
import { Upload } from "./upload.js";

function Sought({ list, current }) {
  const [filter, setFilter] = useState(NO_FILTER);
  const [sort, setSort] = useState({ column: "id", down: false });
  const found = sorted(matching(list, filter), sort);
  return html`<${Filter} list=${list} filter=${filter} onChange=${setFilter} />
    <p class="quiet" role="status">${found.length < list.length ? `${found.length} of ` : ""}${count(list.length, "task")}</p>
    ${found.length
      ? html`<${Table} list=${found} current=${current} sort=${sort} onSort=${setSort} />`
      : html`<p class="quiet">No task is like that. Clear the search or a chip.</p>`}`;
}

export function TasksView({ place }) {
  const { list, error } = tasks.use();
  useEffect(() => void loadTasks(), []);
  if (!list) return html`<${Notice} error=${error} />`;
  if (!may("read")) return html`<section class="registry" aria-label="New tasks"><${Upload} names=${[]} /></section>`;
  const name = place[0] && decodeURIComponent(place[0]);
  const all = list.filter((task) => task.id !== BASE);
  const current = all.find((task) => task.id === name);
  return html`<div class=${name ? "tasks with-detail" : "tasks"}>
    <section class="registry" aria-label="All tasks">
      ${may("write") && html`<${Upload} names=${all.filter(mayChange).map((task) => task.id)} />`}
      ${all.length > 0 && html`<${Sought} list=${all} current=${name} />`}
      ${!all.length && html`<p class="notice quiet">There are no tasks yet${may("write") ? ": drop the folder of a delta above" : ""}.</p>`}
    </section>
    ${current && html`<${Detail} key=${name} task=${current} />`}
    ${name && !current && html`<section class="detail"><p class="quiet">There is no task ${name} now. <a href="#tasks">All tasks</a></p></section>`}
  </div>`;
}
