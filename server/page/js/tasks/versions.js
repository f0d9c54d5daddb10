// A task's versions: which one answers, going back to another, or several that share its requests.

import { mayChange } from "../access.js";
import { getJson, taskPath } from "../api.js";
import { html, useEffect, useState } from "../html.js";
import { attempt } from "../toast.js";
import { bytes, date } from "../words.js";
import { activate, share, unshare } from "./changes.js";

const word = (version, active) => (version.number < active.number ? "Go back" : "Activate");

function Version({ task, version, active, traffic }) {
  const percent = traffic?.shared && traffic.versions.find((each) => each.number === version.number)?.percent;
  return html`<li>
    <span class="number">v${version.number}</span>
    <span class="about">
      ${version.kind}, ${bytes(version.bytes)}
      <span class="quiet">${date(version.created)} · ${version.source}${version.aliases.length ? ` · ${version.aliases.join(", ")}` : ""}</span>
    </span>
    ${percent > 0 && html`<span class="state">${Math.round(percent)} %</span>`}
    ${version.active
      ? html`<span class="state good">active</span>`
      : mayChange(task) &&
        html`<button
          type="button"
          class="plain"
          aria-label=${`${word(version, active)}: version ${version.number}`}
          onClick=${() => attempt(() => activate(task, version))}
        >
          ${word(version, active)}
        </button>`}
  </li>`;
}

// A slider for each version; what they make together is the whole.
function Sliders({ task, traffic, onChange }) {
  const before = (version) => traffic.versions.find((each) => each.number === version.number)?.percent ?? 0;
  const [shares, setShares] = useState(() =>
    Object.fromEntries(task.versions.map((version) => [`v${version.number}`, Math.round(before(version))])),
  );
  const whole = Object.values(shares).reduce((sum, value) => sum + value, 0);
  const apply = () => attempt(async () => { await share(task, shares); onChange(); });
  const stop = () => attempt(async () => { await unshare(task); onChange(); });
  return html`<details class="sharing" open=${traffic.shared}>
    <summary>Share requests among versions</summary>
    ${Object.entries(shares).map(
      ([name, value]) =>
        html`<label key=${name}>
          <span>${name}</span>
          <input
            type="range"
            min="0"
            max="100"
            value=${value}
            onInput=${(event) => setShares({ ...shares, [name]: Number(event.target.value) })}
          />
          <output>${whole ? Math.round((100 * value) / whole) : 0} %</output>
        </label>`,
    )}
    <p class="buttons">
      <button type="button" class="plain" disabled=${!whole} onClick=${apply}>Share</button>
      ${traffic.shared && html`<button type="button" class="plain" onClick=${stop}>One version alone</button>`}
    </p>
  </details>`;
}

export function Versions({ task }) {
  const [traffic, setTraffic] = useState(null);
  const load = () => getJson(`${taskPath(task.id)}/traffic`).then(setTraffic, () => setTraffic(null));
  useEffect(() => void load(), [task.version, task.versions.length]);
  const active = task.versions.find((each) => each.active);
  const newest = [...task.versions].sort((a, b) => b.number - a.number);
  return html`<h3>Versions</h3>
    <ul class="versions">
      ${newest.map(
        (version) =>
          html`<${Version} key=${version.number} task=${task} version=${version} active=${active} traffic=${traffic} />`,
      )}
    </ul>
    ${traffic &&
    newest.length > 1 &&
    mayChange(task) &&
    html`<${Sliders} key=${newest.length} task=${task} traffic=${traffic} onChange=${load} />`}`;
}
