// A view whose modules come when it is first looked at: the first view waits for its own alone.

import { html, useEffect, useState } from "./html.js";
import { Notice } from "./notice.js";

const GONE = new Error("The server does not answer. Is it still running?");

export const later = (load) =>
  function Later(props) {
    const [View, show] = useState(null);
    const [error, fail] = useState(null);
    useEffect(() => void load().then((view) => show(() => view), () => fail(GONE)), []);
    return View ? html`<${View} ...${props} />` : html`<${Notice} error=${error} />`;
  };
