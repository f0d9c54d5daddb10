// An answer, as what it is is best looked at.

import { html } from "../html.js";
import { lines } from "../try/requests.js";
import { Entities } from "./entities.js";
import { Labels } from "./labels.js";
import { Similarity } from "./similarity.js";
import { Text } from "./text.js";

export function Output({ task, answer, input }) {
  if (task.type === "generate") return html`<${Text} ...${answer} />`;
  if (task.type === "embed") return html`<${Similarity} outputs=${answer.outputs} inputs=${lines(input)} />`;
  const [output] = answer.outputs;
  if (task.type === "tag") return html`<${Entities} output=${output} input=${input} />`;
  return html`<${Labels} output=${output} />`;
}
