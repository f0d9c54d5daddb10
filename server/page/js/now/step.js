// Where the time goes of the steps since the first snapshot that is kept.

import { html } from "../html.js";
import { count } from "../words.js";

const PARTS = [
  { name: "schedule", title: "Decide what to compute", of: (step) => step.schedule },
  { name: "prompts", title: "Read prompts", of: (step) => step.prompts },
  { name: "forward", title: "Compute new tokens", of: (step) => step.forward - step.prompts },
  { name: "choose", title: "Draw tokens", of: (step) => step.choose },
  { name: "deliver", title: "Hand them over", of: (step) => step.deliver },
];

const ms = (seconds) => `${(1000 * seconds).toFixed(seconds < 0.01 ? 2 : 1)} ms`;

// What grew between the first snapshot and the last; if nothing did, all since the server started.
function grown(snapshots, of, whether) {
  const [first, last] = [of(snapshots[0]), of(snapshots.at(-1))];
  const between = Object.fromEntries(Object.entries(last).map(([name, value]) => [name, value - first[name]]));
  return between[whether] ? between : last;
}

function Parts({ step }) {
  const whole = PARTS.reduce((sum, { of }) => sum + of(step), 0) || 1;
  const each = (seconds) => ms(seconds / step.steps);
  return html`<p class="quiet">${each(whole)} each, of ${count(step.steps, "step")}</p>
    <div class="parts" aria-hidden="true">
      ${PARTS.map(({ name, of }) => html`<i class=${name} style=${{ width: `${(100 * of(step)) / whole}%` }}></i>`)}
    </div>
    <dl class="legend">
      ${PARTS.map(
        ({ name, title, of }) =>
          html`<div><dt><i class=${name} aria-hidden="true"></i>${title}</dt><dd>${each(of(step))}</dd><dd>${Math.round((100 * of(step)) / whole)} %</dd></div>`,
      )}
    </dl>`;
}

export function Step({ snapshots }) {
  const step = grown(snapshots, (snapshot) => snapshot.step, "steps");
  const queue = grown(snapshots, (snapshot) => snapshot.queue, "started");
  return html`<section class="panel" aria-labelledby="step-title">
    <h2 id="step-title">A step's time</h2>
    ${step.steps ? html`<${Parts} step=${step} />` : html`<p class="quiet">Nothing has been computed yet.</p>`}
    ${queue.started > 0 && html`<p class="quiet">Before its first step a request waited ${ms(queue.seconds / queue.started)}.</p>`}
  </section>`;
}
