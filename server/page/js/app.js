// The page: a heading, and the view that the address names after its '#'.

import { html, render, useEffect, useState } from "./html.js";
import { Login } from "./login.js";
import { NowView } from "./now/view.js";
import { BASE, loadTasks, tasks } from "./registry.js";
import { TasksView } from "./tasks/view.js";
import { Toast } from "./toast.js";
import { TryView } from "./try/view.js";

const VIEWS = [
  { name: "try", title: "Try", view: TryView },
  { name: "tasks", title: "Tasks", view: TasksView },
  { name: "now", title: "Now", view: NowView },
];

const named = () => location.hash.slice(1).split("/");

function usePlace() {
  const [place, move] = useState(named);
  useEffect(() => {
    const moved = () => move(named());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return place;
}

function Heading({ current }) {
  const { list } = tasks.use();
  const base = list?.find((task) => task.id === BASE)?.base;
  return html`<header class="top">
    <h1>
      <a class="mark" href="#try"><img src="page/icon.svg" alt="" width="24" height="24" />Polydelta</a>
    </h1>
    <nav aria-label="Views">
      ${VIEWS.map(
        ({ name, title }) =>
          html`<a href=${`#${name}`} aria-current=${name === current ? "page" : undefined}>${title}</a>`,
      )}
    </nav>
    <p class="base" title="The base that all tasks share">${base}</p>
  </header>`;
}

function App() {
  const [first, ...rest] = usePlace();
  const { name, view: View } = VIEWS.find((each) => each.name === first) ?? VIEWS[0];
  useEffect(() => void loadTasks(), []);
  return html`<${Heading} current=${name} />
    <main id="main"><${View} place=${rest} /></main>
    <${Toast} />
    <${Login} />`;
}

render(html`<${App} />`, document.getElementById("app"));
