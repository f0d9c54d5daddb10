// The tasks as a table. Only the rows in sight are elements, so that thousands scroll as one does.

import { html, useEffect, useRef, useState } from "../html.js";
import { bytes, typeWord } from "../words.js";

const ROW = 41;
const BEYOND = 8;

const RESIDENT = { device: "in a slot", host: "in memory", disk: "on disk" };

export const COLUMNS = [
  { name: "id", title: "Task", of: (task) => task.id },
  { name: "type", title: "Type", of: (task) => typeWord(task.type) },
  { name: "kind", title: "Kind", of: (task) => task.kind },
  { name: "version", title: "Version", of: (task) => task.versions[0].number, shown: (task) => `v${task.versions[0].number}` },
  { name: "bytes", title: "Size", of: (task) => task.bytes, shown: (task) => bytes(task.bytes), number: true },
  { name: "resident", title: "Resident", of: (task) => RESIDENT[task.resident] ?? task.resident },
  { name: "requests", title: "Requests", of: (task) => task.requests, shown: (task) => task.requests.toLocaleString("en"), number: true },
  { name: "failed", title: "Last error", of: (task) => task.last_error?.code ?? "" },
];

export function sorted(list, { column, down }) {
  const { of } = COLUMNS.find((each) => each.name === column);
  const order = (a, b) => (of(a) < of(b) ? -1 : of(a) > of(b) ? 1 : 0);
  return [...list].sort((a, b) => (down ? -1 : 1) * order(a, b) || (a.id < b.id ? -1 : 1));
}

function Head({ sort, onSort }) {
  return html`<thead>
    <tr aria-rowindex="1">
      ${COLUMNS.map(({ name, title, number }) => {
        const own = sort.column === name;
        const direction = own ? (sort.down ? "descending" : "ascending") : undefined;
        const turned = { column: name, down: own ? !sort.down : Boolean(number) };
        return html`<th scope="col" class=${`${name} ${number ? "number" : ""}`} aria-sort=${direction}>
          <button type="button" onClick=${() => onSort(turned)}>
            ${title}<span aria-hidden="true">${own ? (sort.down ? " ↓" : " ↑") : ""}</span>
          </button>
        </th>`;
      })}
    </tr>
  </thead>`;
}

function Row({ task, at, current }) {
  return html`<tr aria-rowindex=${at + 2} aria-current=${current ? "true" : undefined}>
    ${COLUMNS.map(({ name, of, shown = of, number }) => {
      const kind = `${name} ${number ? "number" : ""}`;
      return name === "id"
        ? html`<th scope="row" class=${kind}><a href=${`#tasks/${task.id}`} data-at=${at}>${task.id}</a></th>`
        : html`<td class=${kind}>${shown(task)}</td>`;
    })}
  </tr>`;
}

// Arrows go from row to row, those out of sight among them.
function useArrows(box, length) {
  const goal = useRef(null);
  useEffect(() => {
    if (goal.current === null) return;
    const link = box.current.querySelector(`[data-at="${goal.current}"]`);
    if (link) {
      goal.current = null;
      link.focus({ preventScroll: true });
    }
  });
  return (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
    const at = goal.current ?? Number(event.target.dataset.at);
    if (!step || Number.isNaN(at)) return;
    event.preventDefault();
    const to = Math.max(0, Math.min(length - 1, at + step));
    const there = box.current.querySelector(`[data-at="${to}"]`);
    const top = to * ROW;
    const sight = box.current.clientHeight - 2 * ROW;
    if (box.current.scrollTop > top) box.current.scrollTop = top;
    else if (box.current.scrollTop + sight < top) box.current.scrollTop = top - sight;
    // The row that has the focus may go before the one that is to have it comes.
    goal.current = there ? null : to;
    (there ?? box.current).focus({ preventScroll: true });
  };
}

export function Table({ list, current, sort, onSort }) {
  const box = useRef();
  const [first, setFirst] = useState(0);
  const [sight, setSight] = useState(30);
  const arrows = useArrows(box, list.length);
  useEffect(() => {
    const seen = new ResizeObserver(([{ target }]) => setSight(Math.ceil(target.clientHeight / ROW)));
    seen.observe(box.current);
    return () => seen.disconnect();
  }, []);
  const from = Math.max(0, Math.min(first, list.length - sight) - BEYOND);
  const to = Math.min(list.length, first + sight + BEYOND);
  const space = (rows) => rows > 0 && html`<tr class="space" aria-hidden="true" style=${{ height: `${rows * ROW}px` }}></tr>`;
  return html`<div class="rows" tabindex="-1" ref=${box} onKeyDown=${arrows} onScroll=${(event) => setFirst(Math.floor(event.target.scrollTop / ROW))}>
    <table aria-label="Tasks" aria-rowcount=${list.length + 1}>
      <${Head} sort=${sort} onSort=${onSort} />
      <tbody>
        ${space(from)}
        ${list.slice(from, to).map(
          (task, index) =>
            html`<${Row} key=${task.id} task=${task} at=${from + index} current=${task.id === current} />`,
        )}
        ${space(list.length - to)}
      </tbody>
    </table>
  </div>`;
}
