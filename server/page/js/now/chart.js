// Lines over the last two minutes. uPlot comes when a chart is first looked at.

import { html, useEffect, useRef } from "../html.js";
import { clock } from "../words.js";
import { KEPT } from "./rates.js";

const HEIGHT = 170;
// Of counts, which have no halves.
const LEAST = 4;

// Canvases know no light-dark(): an element's computed colour is asked instead.
function painted(element, name) {
  element.style.color = `var(${name})`;
  return getComputedStyle(element).color;
}

function options(box, lines, width) {
  const axis = { stroke: painted(box, "--quiet"), grid: { stroke: painted(box, "--line"), width: 1 }, ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { range: (_, __, last) => [last - KEPT + 1, last] }, y: { range: (_, __, most) => [0, Math.max(LEAST, most * 1.15)] } },
    axes: [{ ...axis, grid: { show: false }, size: 30, space: 90, values: (_, times) => times.map(clock) }, { ...axis, size: 44 }],
    series: [{}, ...lines.map(({ stroke }) => ({ stroke: painted(box, stroke), width: 1.75, points: { show: false } }))],
  };
}

export function Chart({ title, times, lines }) {
  const box = useRef();
  const plot = useRef();
  const data = [times, ...lines.map(({ values }) => values)];
  const latest = useRef(data);
  latest.current = data;
  useEffect(() => {
    let gone = false;
    let resized;
    import("../../vendor/uPlot.esm.js").then(({ default: UPlot }) => {
      if (gone) return;
      plot.current = new UPlot(options(box.current, lines, box.current.clientWidth), latest.current, box.current);
      resized = new ResizeObserver(([{ target }]) => plot.current.setSize({ width: target.clientWidth, height: HEIGHT }));
      resized.observe(box.current);
    });
    return () => {
      gone = true;
      resized?.disconnect();
      plot.current?.destroy();
    };
  }, []);
  useEffect(() => plot.current?.setData(data));
  return html`<figure class="chart">
    <figcaption>
      ${title}
      ${lines.length > 1 && lines.map(({ name, stroke }) => html`<span class="key"><i style=${{ background: `var(${stroke})` }}></i>${name}</span>`)}
    </figcaption>
    <div ref=${box} aria-hidden="true"></div>
  </figure>`;
}
