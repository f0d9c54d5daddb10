// What stands where a view cannot be shown yet: why not, or that it comes.

import { html } from "./html.js";

export const Notice = ({ error }) =>
  error
    ? html`<p class="notice bad" role="alert">${error.message}</p>`
    : html`<p class="notice quiet">Loading …</p>`;
