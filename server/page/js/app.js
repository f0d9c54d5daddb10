// The page: a heading, and the view that the address names after its '#'.

import { access, may, mayWatch } from "./access.js";
import { asked } from "./api.js";
import { html, render, useEffect, useState } from "./html.js";
import { later, styled } from "./later.js";
import { Login } from "./login.js";
import { Notice } from "./notice.js";
import { BASE, tasks } from "./registry.js";
import { Toast } from "./toast.js";
import { TryView } from "./try/view.js";

const TasksView = later(async () => {
  const [{ TasksView: View }] = await Promise.all([import("./tasks/view.js"), styled("page/css/tasks.css")]);
  return View;
});
const NowView = later(async () => {
  const sheets = ["page/css/now.css", "page/vendor/uPlot.min.css"];
  const [{ NowView: View }] = await Promise.all([import("./now/view.js"), ...sheets.map(styled)]);
  return View;
});

const VIEWS = [
  { name: "try", title: "Try", view: TryView, allowed: () => true },
  { name: "tasks", title: "Tasks", view: TasksView, allowed: () => may("read") || may("write") },
  { name: "now", title: "Now", view: NowView, allowed: mayWatch },
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

function KeyButton({ name, scopes }) {
  const change = () => asked.set(`In use is ${name}, which is good for ${scopes.join(", ")}.`);
  return html`<button type="button" class="link" title=${`In use is ${name}`} onClick=${change}>Key</button>`;
}

function Heading({ views, current, own }) {
  const { list } = tasks.use();
  const base = list?.find((task) => task.id === BASE)?.base;
  return html`<header class="top">
    <h1>
      <a class="mark" href="#try"><img src="page/icon.svg" alt="" width="24" height="24" />Polydelta</a>
    </h1>
    <nav aria-label="Views">
      ${views.map(
        ({ name, title }) =>
          html`<a href=${`#${name}`} aria-current=${name === current ? "page" : undefined}>${title}</a>`,
      )}
    </nav>
    <p class="base" title="The base that all tasks share">${base}</p>
    ${own?.name && html`<${KeyButton} ...${own} />`}
  </header>`;
}

function App() {
  const [first, ...rest] = usePlace();
  const own = access.use();
  const { error } = tasks.use();
  const views = own ? VIEWS.filter(({ allowed }) => allowed()) : VIEWS;
  const { name, view: View } = views.find((each) => each.name === first) ?? views[0];
  return html`<${Heading} views=${views} current=${name} own=${own} />
    <main id="main">${own ? html`<${View} place=${rest} />` : html`<${Notice} error=${error} />`}</main>
    <${Toast} />
    <${Login} />`;
}

render(html`<${App} />`, document.getElementById("app"));
