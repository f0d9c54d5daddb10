// What the server is asked: a stream for each task that writes, one request for all others.

export const lines = (text) => text.split("\n").filter((line) => line.trim());

// Embeddings are compared line by line.
const inputOf = (task, text) =>
  task.type === "embed" && lines(text).length > 1 ? lines(text) : text;

export function requestFor(task, text, parameters) {
  const body = { task: task.id, input: inputOf(task, text) };
  if (task.type !== "generate") return body;
  // Tools are for chats.
  if (parameters.tools) body.input = [{ role: "user", content: text }];
  return { ...body, ...(Object.keys(parameters).length && { parameters }), stream: true };
}

// Requests with the tasks that each answers. Those that read the same input go together.
export function plan(chosen, text, parameters) {
  const writing = chosen.filter((task) => task.type === "generate");
  const embedding = chosen.filter((task) => task.type === "embed");
  const reading = chosen.filter((task) => task.type !== "generate" && task.type !== "embed");
  const groups = [embedding, reading].filter((group) => group.length);
  return [
    ...writing.map((task) => ({ names: [task.id], body: requestFor(task, text, parameters) })),
    ...groups.map((group) => {
      const names = group.map((task) => task.id);
      return { names, body: { ...requestFor(group[0], text, {}), task: names } };
    }),
  ];
}
