// What every component is written with: Preact's elements as tagged templates, and its hooks.

import htm from "../vendor/htm.mjs";
import { createElement } from "../vendor/preact.mjs";

export { useCallback, useEffect, useMemo, useRef, useState } from "../vendor/hooks.mjs";
export { render } from "../vendor/preact.mjs";

export const html = htm.bind(createElement);
