"""Pairs are read as Transformers reads them, and ranked by what that says."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from torch.nn.functional import cosine_similarity
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from deltas.base import HEAD_SITE
from deltas.delta import Delta, Part, TaskType
from tests.deltas.formats.peft_checkpoints import save_over
from tests.server.api.live import Live, serving
from tests.server.api.problems import check

QUERY = "Where is the meeting?"
TEXTS = ["The meeting is at noon.", "You won a prize!", "naïve café", "The meeting is at noon."]
CLOSE = 1e-4


@pytest.fixture(scope="module", params=["bert", "llama"])
def ranker(
    request: pytest.FixtureRequest, encoder: Path, decoder: Path, tmp_path_factory: Any
) -> Iterator[tuple[Live, list[float]]]:
    """A server with one cross-encoder, and the logits that Transformers gives to the pairs."""
    base = encoder if request.param == "bert" else decoder
    folder = tmp_path_factory.mktemp("ranker")
    torch.manual_seed(3)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    targets = ["query", "value"] if request.param == "bert" else ["q_proj", "v_proj"]
    config = LoraConfig(task_type="SEQ_CLS", r=4, target_modules=targets)
    merged = save_over(model, config, folder / "ranker").merge_and_unload().eval()
    merged.config.pad_token_id = 0
    tokenizer = AutoTokenizer.from_pretrained(base)
    with torch.no_grad():
        logits = [
            merged(**tokenizer(QUERY, text, return_tensors="pt")).logits.item() for text in TEXTS
        ]
    with serving(base, folder, drain_timeout=0) as live:
        put = live.http.put("/v1/tasks/ranker", json={"source": (folder / "ranker").as_uri()})
        assert put.status_code == 201, put.text
        yield live, logits


def answer(live: Live, path: str, **body: Any) -> Any:
    response = live.post(path, **body)
    assert response.status_code == 200, response.text
    return response.json()


def near(values: Sequence[float]) -> Any:
    return pytest.approx(list(values), abs=CLOSE)


@pytest.mark.parametrize("path", ["/score", "/v1/score"])
@pytest.mark.parametrize(
    "spelling",
    [("text_1", "text_2"), ("data_1", "data_2"), ("queries", "documents"), ("queries", "items")],
)
def test_scores_of_pairs(ranker: tuple[Live, list[float]], path: str, spelling: tuple[str, str]):
    live, logits = ranker
    one, other = spelling
    for first in (QUERY, [QUERY], [QUERY] * len(TEXTS)):
        found = answer(live, path, model="ranker", **{one: first, other: TEXTS})
        scores = [each["score"] for each in found["data"]]
        assert scores == near(torch.tensor(logits).sigmoid().tolist())
        assert [each["index"] for each in found["data"]] == [0, 1, 2, 3]
        assert (found["object"], found["model"]) == ("list", "ranker")
    raw = answer(live, path, model="ranker", **{one: QUERY, other: TEXTS}, use_activation=False)
    assert [each["score"] for each in raw["data"]] == near(logits)
    single = answer(live, path, model="ranker", **{one: QUERY, other: TEXTS[0]})
    # A row's bits do not depend on its company, nor on whether others have types.
    assert [each["score"] for each in single["data"]] == [scores[0]]


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_documents_are_ranked(ranker: tuple[Live, list[float]], path: str):
    live, logits = ranker
    order = sorted(range(len(TEXTS)), key=lambda at: -logits[at])
    found = answer(live, path, model="ranker", query=QUERY, documents=TEXTS)
    assert [each["index"] for each in found["results"]] == order
    assert [each["document"] for each in found["results"]] == [{"text": TEXTS[i]} for i in order]
    scores = [each["relevance_score"] for each in found["results"]]
    assert scores == near(torch.tensor(logits).sigmoid().sort(descending=True).values.tolist())
    assert found["usage"]["total_tokens"] == found["usage"]["prompt_tokens"] > 0
    # Jina's and Cohere's ways to ask; `model` is left out where only one task can be meant.
    objects: list[Any] = [TEXTS[0], *({"text": text} for text in TEXTS[1:])]
    some = answer(
        live, path, query=QUERY, documents=objects, top_n=2, return_documents=False, model="ranker"
    )
    assert some["results"] == [
        {"index": each["index"], "relevance_score": each["relevance_score"]}
        for each in found["results"][:2]
    ]


def test_texts_are_ranked_as_by_text_embeddings_inference(ranker: tuple[Live, list[float]]):
    live, logits = ranker
    order = sorted(range(len(TEXTS)), key=lambda at: -logits[at])
    found = answer(live, "/rerank", query=QUERY, texts=TEXTS, model="ranker")
    assert [each["index"] for each in found] == order
    assert found[0].keys() == {"index", "score"}
    raw = answer(
        live, "/rerank", query=QUERY, texts=TEXTS, raw_scores=True, return_text=True, model="ranker"
    )
    assert [each["score"] for each in raw] == near(sorted(logits, reverse=True))
    assert [each["text"] for each in raw] == [TEXTS[at] for at in order]


def test_embeddings_are_compared_by_their_angle(reader: Live, encoder: Path):
    model, tokenizer = AutoModel.from_pretrained(encoder), AutoTokenizer.from_pretrained(encoder)
    part = Part("head", HEAD_SITE, {}, {"pooling": "mean"})
    reader.add("embedder", Delta(TaskType.EMBED, (part,)))
    with torch.no_grad():
        query, *others = (
            model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0)
            for text in (QUERY, *TEXTS)
        )
    expected = [cosine_similarity(query, other, dim=0).item() for other in others]
    for task in ("base", "embedder"):
        found = answer(reader, "/score", model=task, text_1=QUERY, text_2=TEXTS)
        assert [each["score"] for each in found["data"]] == near(expected)
        ranked = answer(reader, "/rerank", model=task, query=QUERY, documents=TEXTS)
        scores = [each["relevance_score"] for each in ranked["results"]]
        assert scores == near(sorted(expected, reverse=True))
        # Each text is read once.
        tokens = {text: len(tokenizer(text).input_ids) for text in (QUERY, *TEXTS)}
        assert found["usage"]["prompt_tokens"] == sum(tokens.values())
    reader.http.delete("/v1/tasks/embedder")


def test_tasks_that_cannot_tell(reader: Live):
    for path, body in (
        ("/score", {"text_1": QUERY, "text_2": TEXTS}),
        ("/rerank", {"query": QUERY, "documents": TEXTS}),
    ):
        for task in ("topic", "names"):
            response = reader.post(path, model=task, **body)
            assert "one label" in check(response, 400, "capability_mismatch", "model")
        check(reader.post(path, model="nobody", **body), 404, "model_not_found", "model")


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/score", {"text_1": "x"}, None),
        ("/score", {"text_1": ["x", "y"], "text_2": "x"}, None),
        ("/score", {"text_1": "x", "text_2": []}, "text_2"),
        (
            "/score",
            {"text_1": "x", "text_2": "y", "truncate_prompt_tokens": 0},
            "truncate_prompt_tokens",
        ),
        ("/rerank", {"query": "x", "documents": []}, "documents"),
        ("/rerank", {"query": "x", "documents": [1]}, "documents.0"),
        ("/rerank", {"query": "x", "texts": [1]}, "texts.0"),
        ("/rerank", {"query": "x", "documents": ["x"], "top_n": -1}, "top_n"),
        ("/v1/rerank", {"query": "x", "texts": ["x"]}, "documents"),
    ],
)
def test_bodies_that_are_refused(reader: Live, path: str, body: dict[str, Any], param: str | None):
    response = reader.post(path, model="base", **body)
    check(response, 400, "invalid_request", param or response.json()["error"]["param"])


def test_a_pair_that_is_too_long(reader: Live):
    half = "word " * 100
    response = reader.post("/score", model="base", text_1=half, text_2=half + half)
    check(response, 400, "context_length_exceeded", "text_2")
