"""docs/http.md says of each of vLLM's own parameters what becomes of it: each is sent, and seen."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deltas.base import HEAD_SITE
from deltas.delta import Delta, Part, TaskType
from tests import samples
from tests.bases import byte_tokenizer, save_base
from tests.server.api.live import Live, serving
from tests.server.api.vllm_parameters import PARAMETERS

PAGE = Path(__file__).parents[3] / "docs" / "http.md"
TEXT = "The meeting is at noon, see you there. " * 3
CHAT = [{"role": "user", "content": TEXT}]
TURNS = [*CHAT, {"role": "assistant", "content": "The"}]
TOKEN = 50
"""A token that stands for one character."""
TEMPLATE = (
    "{{ tone }}{% for message in messages %}<|{{ message.role }}|>{{ message.content }}</s>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
ROUTES: dict[str, tuple[str, dict[str, Any]]] = {
    "completions": ("/v1/completions", {"model": "base", "prompt": TEXT}),
    "chat": ("/v1/chat/completions", {"model": "base", "messages": CHAT}),
    "responses": ("/v1/responses", {"model": "base", "input": TEXT}),
    "embeddings": ("/v1/embeddings", {"model": "embedder", "input": TEXT}),
    "classify": ("/classify", {"model": "topic", "messages": TURNS}),
    "pooling": ("/pooling", {"model": "topic", "messages": TURNS}),
    "score": ("/score", {"model": "ranker", "text_1": TEXT, "text_2": "noon"}),
    "rerank": ("/rerank", {"model": "ranker", "query": "noon", "documents": [TEXT, "x"]}),
    "tokenize": ("/tokenize", {"messages": TURNS}),
}
GENERATING = ("completions", "chat", "responses")
SAMPLED = {"temperature": 2.0, "seed": 5}
BIASED = {"logit_bias": {str(TOKEN): 100}}
ENDING = {"logit_bias": {"2": 100}}

VALUES: dict[str, Any] = {
    "add_generation_prompt": False,
    "allowed_token_ids": [TOKEN],
    "best_of": 4,
    "chat_template": "{{ messages }}",
    "chat_template_kwargs": {"tone": "dry"},
    "continue_final_message": True,
    "dimensions": 4,
    "documents": [{"title": "a", "text": "b"}],
    "echo": True,
    "ec_transfer_params": {"a": 1},
    "embed_dtype": "float16",
    "enable_response_messages": True,
    "encoding_format": "base64",
    "endianness": "big",
    "guided_choice": ["ab"],
    "guided_decoding_backend": "xgrammar",
    "guided_grammar": 'start: "ab"',
    "guided_json": {"enum": ["ab"]},
    "guided_json_object": True,
    "guided_regex": "ab",
    "guided_whitespace_pattern": " ",
    "ignore_eos": True,
    "include_reasoning": False,
    "include_stop_str_in_output": True,
    "kv_transfer_params": {"a": 1},
    "length_penalty": 5.0,
    "logit_bias": {str(TOKEN): 100},
    "logits_processors": ["x"],
    "logprob_token_ids": [5],
    "media_io_kwargs": {"image": {}},
    "min_p": 1.0,
    "min_tokens": 3,
    "mm_processor_kwargs": {"a": 1},
    "padding": "max_length",
    "previous_input_messages": [{"role": "user", "content": "x"}],
    "previous_response": {"id": "x"},
    "priority": 1,
    "prompt_embeds": "x",
    "prompt_logprobs": 1,
    "repetition_detection": {"max_pattern_size": 4},
    "repetition_penalty": 50.0,
    "request_id": "x",
    "response_format": {"type": "json_object"},
    "return_mm_kwargs": False,
    "return_prompt_text": True,
    "return_token_ids": True,
    "return_token_offsets": True,
    "return_token_strs": True,
    "return_tokens_as_token_ids": True,
    "routed_experts_prompt_start": 1,
    "seed": 6,
    "session_id": "x",
    "skip_special_tokens": False,
    "spaces_between_special_tokens": False,
    "stop_token_ids": [TOKEN],
    "stream_interval": 5,
    "structural_tag": '{"format": {"type": "const_string", "value": "ab"}}',
    "structured_outputs": {"choice": ["ab"]},
    "thinking_token_budget": 5,
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "top_k": 1,
    "top_n": 1,
    "truncate_prompt_tokens": 4,
    "use_activation": False,
    "use_beam_search": True,
    "vllm_xargs": {"a": 1},
    "watermarking": True,
}
"""What is not the parameter's default and, where it is honoured, makes another answer."""

BESIDE: dict[str, dict[str, Any]] = {
    "bad_words": BIASED,
    "best_of": SAMPLED,
    "ignore_eos": ENDING,
    "length_penalty": {"use_beam_search": True, "n": 8, "stop_token_ids": [*range(3, 200)]},
    "min_p": SAMPLED,
    "min_tokens": ENDING,
    "return_tokens_as_token_ids": {"logprobs": 1},
    "seed": SAMPLED,
    "stop": BIASED,
    "stop_token_ids": BIASED,
    "top_k": SAMPLED,
    "truncation_side": {"truncate_prompt_tokens": 4},
    "use_beam_search": {"n": 4},
}
"""What a request has beside it, to show an effect."""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A base whose tokenizer has special tokens, and whose template has a variable."""
    base = save_base("llama", tmp_path_factory.mktemp("bases") / "b", max_position_embeddings=1024)
    tokenizer = byte_tokenizer(chat=False)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(base)
    with serving(base, tmp_path_factory.mktemp("live"), drain_timeout=0) as server:
        server.add("topic", samples.classifier(server.spec, ("ham", "spam")))
        server.add("ranker", samples.classifier(server.spec, ("relevant",)))
        mean = Part("head", HEAD_SITE, {}, {"pooling": "mean"})
        server.add("embedder", Delta(TaskType.EMBED, (mean,)))
        yield server


def told() -> dict[str, dict[str, str]]:
    """The page's table: what it says of a parameter, by route."""
    _, _, section = PAGE.read_text().partition("## vLLM's own parameters")
    rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in section.partition("\n## ")[0].splitlines()
        if line.startswith("|")
    ]
    (_, *routes, _), _, *lines = rows
    return {name.strip("`"): dict(zip(routes, cells, strict=True)) for name, *cells, _ in lines}


def test_every_parameter_has_its_line():
    table = told()
    assert list(table) == sorted(frozenset().union(*PARAMETERS.values()))
    for name, cells in table.items():
        assert {route for route, cell in cells.items() if cell} == {
            route for route, names in PARAMETERS.items() if name in names
        }, name


@pytest.mark.parametrize("route", ROUTES)
def test_what_becomes_of_each_parameter(live: Live, route: str):
    table = told()
    found = {name: seen(live, route, name) for name in sorted(PARAMETERS[route])}
    assert found == {name: table[name][route] for name in found}


def seen(live: Live, route: str, name: str) -> str:
    """What a parameter does to a request that is the same without it."""
    path, _ = ROUTES[route]
    body = request(route, name)
    asked = {**body, name: value(live, route, name)}
    live.post(path, **body).raise_for_status()
    # What was read before is found again.
    without, given = (live.post(path, **each) for each in (body, asked))
    if given.status_code == 400:
        assert given.json()["error"]["param"].partition(".")[0] == name, given.text
        return "refused"
    assert given.status_code == 200, given.text
    return "no effect" if shown(given.text) == shown(without.text) else "done"


def request(route: str, name: str) -> dict[str, Any]:
    """A request without the parameter."""
    body = {**ROUTES[route][1], **BESIDE.get(name, {})}
    if route in GENERATING:
        most = "max_output_tokens" if route == "responses" else "max_tokens"
        body = {"temperature": 0, most: 8, **body}
    if route == "chat" and name == "return_tokens_as_token_ids":
        body["logprobs"] = True
    if route == "chat" and name in ("echo", "continue_final_message"):
        body |= {"messages": TURNS, "continue_final_message": name == "echo"}
    if route in ("classify", "pooling") and name not in PARAMETERS["chat"]:
        del body["messages"]
        body["input"] = TEXT
    return body


def value(live: Live, route: str, name: str) -> Any:
    """What the parameter is, in words that depend on the base or on the route."""
    written = live.engine.base.tokenizer.decode([TOKEN])
    others = {
        "add_special_tokens": route not in ("completions", "embeddings"),
        "bad_words": [written],
        # The prompt of a response is that of a chat.
        "cache_salt": route,
        "stop": written,
        "truncation_side": "right" if route in GENERATING else "left",
    }
    return others.get(name, VALUES.get(name))


def shown(text: str) -> str:
    """An answer without what is new in every one: names and times."""
    return re.sub(r'"(id|created|created_at|completed_at)":("[^"]*"|\d+)', "", text)
