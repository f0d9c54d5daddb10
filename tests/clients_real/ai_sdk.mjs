// `node ai_sdk.mjs CELL`: Vercel's AI SDK does one thing with the server; it fails where that fails.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const load = (name) =>
  import(pathToFileURL(createRequire(`${process.env.NODE_MODULES}/x.js`).resolve(name)).href);
const { embedMany, generateObject, generateText, streamText, tool } = await load("ai");
const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");
const { createOpenAI } = await load("@ai-sdk/openai");
const { z } = await load("zod");

const provider = createOpenAICompatible({
  name: "polydelta",
  baseURL: `${process.env.POLYDELTA_URL}/v1`,
  apiKey: "none",
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const model = provider("base");
const asked = { model, prompt: "hello", maxOutputTokens: 6, seed: 1, maxRetries: 0 };
const schema = z.object({ city: z.enum(["Paris", "Rome"]), days: z.number().int().min(0).max(9) });
const calling = {
  model,
  prompt: "hello",
  maxRetries: 0,
  tools: { weather: tool({ description: "Tells the weather", inputSchema: schema }) },
  toolChoice: "required",
};

const cells = {
  async chat() {
    assert.equal(typeof (await generateText(asked)).text, "string");
  },
  async stream() {
    let text = "";
    for await (const piece of streamText(asked).textStream) text += piece;
    assert.equal(text, (await generateText(asked)).text);
  },
  async usage() {
    const stream = streamText(asked);
    await stream.consumeStream();
    assert.ok((await stream.usage).outputTokens > 0);
  },
  async tools() {
    const { toolCalls } = await generateText(calling);
    assert.ok(toolCalls.length > 0);
    for (const call of toolCalls) schema.parse(call.input);
  },
  async streamed_tools() {
    const stream = streamText(calling);
    const calls = await stream.toolCalls;
    assert.ok(calls.length > 0);
    for (const call of calls) schema.parse(call.input);
  },
  async json_schema() {
    schema.parse((await generateObject({ model, prompt: "hello", schema, maxRetries: 0 })).object);
  },
  async responses() {
    const openai = createOpenAI({ baseURL: `${process.env.POLYDELTA_URL}/v1`, apiKey: "none" });
    const model = openai.responses("base");
    const short = { model, prompt: "hello", maxOutputTokens: 6, maxRetries: 0 };
    assert.equal(typeof (await generateText(short)).text, "string");
    const stream = streamText(short);
    await stream.consumeStream();
    assert.ok((await stream.usage).outputTokens > 0);
    const { toolCalls } = await generateText({ ...calling, model });
    assert.ok(toolCalls.length > 0);
    for (const call of toolCalls) schema.parse(call.input);
    schema.parse((await generateObject({ model, prompt: "hello", schema, maxRetries: 0 })).object);
  },
  async embeddings() {
    const embedder = provider.textEmbeddingModel("embedder");
    const { embeddings } = await embedMany({ model: embedder, values: ["a", "b"] });
    assert.equal(embeddings.length, 2);
  },
  async cancel() {
    const control = new AbortController();
    const options = { model, prompt: "hello", maxRetries: 0, abortSignal: control.signal };
    for await (const _ of streamText(options).textStream) {
      control.abort();
      break;
    }
  },
  async errors() {
    const missing = { ...asked, model: provider("nothing") };
    await assert.rejects(generateText(missing), (error) => error.statusCode === 404);
  },
};
await cells[process.argv[2]]();
