// Components whose modules and style sheets come after the first view, which waits for its own alone.

import { html, useEffect, useState } from "./html.js";
import { Notice } from "./notice.js";

export const GONE = new Error("The server does not answer. Is it still running?");

// `load` promises the component; `ahead` has it come before it is looked at.
export function later(load) {
  let View = null;
  const ahead = async () => {
    View ??= await load();
  };
  function Later(props) {
    const [, come] = useState(false);
    const [error, fail] = useState(null);
    useEffect(() => void (View || ahead().then(() => come(true), () => fail(GONE))), []);
    return View ? html`<${View} ...${props} />` : html`<${Notice} error=${error} />`;
  }
  return Object.assign(Later, { ahead });
}

// Has a style sheet apply; it is waited for, so that nothing is drawn without it.
export function styled(path) {
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: path });
  return new Promise((come, fail) => {
    Object.assign(link, { onload: come, onerror: fail });
    document.head.append(link);
  });
}
