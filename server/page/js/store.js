// A value that components share: they are drawn anew when it is set.

import { useEffect, useState } from "./html.js";

export function store(initial) {
  let value = initial;
  const listeners = new Set();
  const get = () => value;

  function set(next) {
    value = typeof next === "function" ? next(value) : next;
    for (const listener of [...listeners]) listener(value);
  }

  function use() {
    const [shown, show] = useState(value);
    useEffect(() => {
      const listener = (next) => show(() => next);
      listeners.add(listener);
      listener(value);
      return () => listeners.delete(listener);
    }, []);
    return shown;
  }

  return { get, set, use };
}
