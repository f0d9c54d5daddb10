"""The real client against a real server: what one sends and reads, the other reads and sends."""

import asyncio
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Any, cast

import pydantic
import pytest

from polydelta_client import (
    AsyncPolydelta,
    BadRequestError,
    ConflictError,
    Inference,
    NotFoundError,
    Polydelta,
    PreconditionFailedError,
    StepBack,
)
from tests import samples
from tests.clients.blocking import Blocking
from tests.server.api.live import Live, serving

LABELS = ("ham", "spam", "odd")


@pytest.fixture(scope="module")
def decoding(decoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Live]:
    with serving(decoder, tmp_path_factory.mktemp("decoding"), drain_timeout=0) as server:
        server.add("headline", samples.generator("lora", server.spec))
        server.add("spam", samples.classifier(server.spec, LABELS))
        yield server


@pytest.fixture(scope="module")
def encoding(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Live]:
    with serving(encoder, tmp_path_factory.mktemp("encoding"), drain_timeout=0) as server:
        server.add("names", samples.tagger(server.spec, ("O", "B-PER", "I-PER")))
        yield server


class _Clients:
    """Opens clients of one sort and closes them at the end."""

    def __init__(self, runner: asyncio.Runner | None) -> None:
        self._runner = runner
        self._opened: list[Polydelta] = []

    def of(self, live: Live) -> Polydelta:
        if self._runner is None:
            client = Polydelta(live.url, max_retries=0)
        else:
            inside = AsyncPolydelta(live.url, max_retries=0)
            client = cast(Polydelta, Blocking(inside, self._runner))
        self._opened.append(client)
        return client

    def close(self) -> None:
        for client in self._opened:
            client.close()


@pytest.fixture(params=["sync", "async"])
def clients(request: pytest.FixtureRequest) -> Generator[_Clients]:
    with asyncio.Runner() as runner:
        clients = _Clients(runner if request.param == "async" else None)
        yield clients
        clients.close()


@pytest.fixture
def client(clients: _Clients, decoding: Live) -> Polydelta:
    return clients.of(decoding)


def test_a_salt_keeps_what_was_computed_for_it(client: Polydelta, decoding: Live):
    def cached(salt: str | None) -> int:
        before = decoding.engine.stats().prefix_hits
        client.infer("headline", "see you at noon " * 9, max_tokens=2, cache_salt=salt)
        return decoding.engine.stats().prefix_hits - before

    mine, yours = f"mine-{id(client)}", f"yours-{id(client)}"
    assert not cached(mine)
    assert cached(mine)
    assert not cached(yours)


def test_a_generating_task(client: Polydelta):
    answer = client.infer("headline", "hello", max_tokens=4, ignore_eos=True, logprobs=2)
    assert answer.task == "headline"
    assert answer.kind == "lora"
    assert answer.version == client.tasks.get("headline").version
    assert (answer.finish_reason, answer.usage.completion_tokens) == ("length", 4)
    (output,) = answer.outputs
    assert [len(token.top) for token in getattr(output, "logprobs", ())] == [2] * 4


def test_rules_for_tokens(client: Polydelta):
    def first(**rule: Any) -> int:
        ask: Any = client.infer
        return ask("headline", "hello", max_tokens=1, logprobs=0, **rule).outputs[0].token_ids[0]

    token = first()
    assert first(logit_bias={token: -100}) != token
    assert first(allowed_token_ids=[token + 1]) == token + 1


def test_a_chat_and_several_inputs(client: Polydelta):
    chat = client.infer("base", [{"role": "user", "content": "hello"}], max_tokens=2)
    assert chat.kind == "base"
    several = client.infer("spam", ["a prize", "noon"])
    assert [getattr(output, "label", None) in LABELS for output in several.outputs] == [True, True]


def test_more_texts_than_the_server_takes_at_once(client: Polydelta):
    answer = client.infer("spam", ["a prize"] * 300)
    assert len(answer.outputs) == 300
    assert len({getattr(output, "score", None) for output in answer.outputs}) == 1
    assert len(client.infer_many([("spam", ["a prize"] * 200), ("spam", ["noon"] * 200)])) == 2


def test_several_tasks_at_once(client: Polydelta):
    found = client.infer_tasks(["spam", "spma", "headline"], ["a prize", "noon"], max_tokens=2)
    spam, missing, headline = found.values()
    assert isinstance(spam, Inference)
    assert spam.outputs == getattr(client.infer("spam", ["a prize", "noon"]), "outputs", None)
    assert isinstance(missing, NotFoundError)
    assert isinstance(headline, Inference)
    assert len(headline.outputs) == 2


def test_an_answer_in_the_shape_of_a_model(client: Polydelta):
    class Point(pydantic.BaseModel):
        x: Annotated[int, pydantic.Field(ge=0, le=9)]
        seen: bool

    answer = client.infer("headline", "hello", schema=Point, max_tokens=60, temperature=1, seed=3)
    assert isinstance(answer.parsed, Point)
    with pytest.raises(ValueError, match="max_tokens"):
        _ = client.infer("headline", "hello", schema=Point, max_tokens=2).parsed


def test_a_classifying_task(client: Polydelta):
    answer = client.infer("spam", "a prize", top=2)
    assert answer.score == answer.scores[answer.label] == max(answer.scores.values())
    assert len(answer.scores) == 2


def test_a_tagging_task_and_embeddings(clients: _Clients, encoding: Live):
    client = clients.of(encoding)
    text = "hello noon"
    for entity in client.infer("names", text).entities:
        assert text[entity.start : entity.end] == entity.text
    assert len(client.infer("base", text).embedding) == encoding.spec.hidden


def test_a_stream_adds_up_to_the_whole(client: Polydelta):
    whole = client.infer("headline", "hello", max_tokens=8, ignore_eos=True)
    with client.stream("headline", "hello", max_tokens=8, ignore_eos=True, logprobs=0) as stream:
        pieces = list(stream)
    assert "".join(piece.text for piece in pieces) == whole.text
    assert pieces[-1].finish_reason == whole.finish_reason
    assert sum(len(piece.logprobs or ()) for piece in pieces) == 8
    assert stream.usage == whole.usage


def test_a_stream_of_a_classifier_is_refused_at_once(client: Polydelta):
    with pytest.raises(BadRequestError) as caught:
        list(client.stream("spam", "a prize"))
    assert (caught.value.code, caught.value.param) == ("capability_mismatch", "task")


def test_one_element_of_a_batch_fails_alone(client: Polydelta):
    spam, missing, headline, unfit = client.infer_many(
        [
            ("spam", "a prize"),
            ("spma", "a prize"),
            ("headline", "hello", {"max_tokens": 2}),
            ("headline", "hello", {"max_tokens": 0}),
        ]
    )
    assert isinstance(spam, Inference)
    assert spam.label in LABELS
    assert isinstance(headline, Inference)
    assert headline.usage.completion_tokens <= 2
    assert isinstance(missing, NotFoundError)
    assert "spam" in missing.message
    assert isinstance(unfit, BadRequestError)
    assert unfit.param == "parameters.max_tokens"


@pytest.mark.parametrize("uploaded", [True, False])
def test_a_task_comes_changes_and_goes(client: Polydelta, decoding: Live, uploaded: bool):
    first = decoding.write(f"first-{uploaded}", samples.generator("lora", decoding.spec, seed=1))
    second = decoding.write(f"second-{uploaded}", samples.generator("ia3", decoding.spec, seed=2))

    def source(directory: Path) -> str:
        return str(directory) if uploaded else directory.as_uri()

    put = client.tasks.put("new", source(first), if_none_match="*")
    assert (put.id, put.type, put.kinds, put.labels) == ("new", "generate", ["lora"], None)
    assert put.versions[0].version == put.version
    assert client.tasks.put("new", source(first), if_none_match="*").version == put.version
    with pytest.raises(ConflictError) as taken:
        client.tasks.put("new", source(second), if_none_match="*")
    assert not taken.value.retryable
    changed = client.tasks.put("new", source(second), if_match=put.version)
    assert changed.kind == "ia3"
    with pytest.raises(PreconditionFailedError):
        client.tasks.put("new", source(first), if_match=put.version)
    assert client.infer("new", "hello", max_tokens=1).version == changed.version
    assert [task.id for task in client.tasks.list()] == ["headline", "new", "spam"]
    client.tasks.delete("new")
    with pytest.raises(NotFoundError):
        client.tasks.get("new")


def test_a_task_goes_back_and_comes_back(client: Polydelta, decoding: Live):
    for seed, kind in ((1, "lora"), (2, "ia3")):
        delta = samples.generator(kind, decoding.spec, seed=seed)
        client.tasks.put("moving", decoding.write(f"moving-{seed}", delta))
    second, first = client.tasks.versions("moving")
    assert [(v.number, v.kind, v.active) for v in (second, first)] == [
        (2, "ia3", True),
        (1, "lora", False),
    ]
    (named,) = [v for v in client.tasks.alias("moving", "champion", 1) if v.aliases]
    assert (named.number, named.aliases) == (1, ["champion"])
    assert client.infer("moving@champion", "hello", max_tokens=1).version == first.version
    with pytest.raises(PreconditionFailedError):
        client.tasks.activate("moving", 1, if_match=first.version)
    assert client.tasks.activate("moving", first.digest).version == first.version
    assert client.infer("moving", "hello", max_tokens=1).version == first.version
    client.tasks.unalias("moving", "champion")
    client.tasks.delete("moving", if_match=first.version)
    with pytest.raises(NotFoundError):
        client.infer("moving", "hello")
    assert client.tasks.activate("moving", 2).version == second.version
    client.tasks.delete("moving", forever=True)
    with pytest.raises(NotFoundError):
        client.tasks.versions("moving")


def test_versions_share_a_tasks_requests(client: Polydelta, decoding: Live):
    for seed in (1, 2):
        delta = samples.generator("lora", decoding.spec, seed=seed)
        source = decoding.write(f"sharing-{seed}", delta)
        task = client.tasks.put("sharing", source, activate=False)
    assert [v.number for v in task.versions if v.active] == [1]
    first, second = (v.version for v in task.versions)
    alone = client.tasks.traffic("sharing")
    assert (alone.shared, [v.number for v in alone.versions]) == (False, [1])
    traffic = client.tasks.set_traffic("sharing", {"v1": 50, 2: 50}, if_match=alone.state)
    assert [(v.number, v.percent) for v in traffic.versions] == [(2, 50), (1, 50)]

    def asked(key: int) -> str:
        headers = {"X-Session-Id": str(key)}
        return client.infer("sharing", "hello", max_tokens=1, extra_headers=headers).version

    seen = [asked(key) for key in range(20)]
    assert set(seen) == {first, second}
    assert [asked(key) for key in range(20)] == seen
    with pytest.raises(PreconditionFailedError):
        client.tasks.end_traffic("sharing", if_match=alone.state)
    bound: StepBack = {"errors": 0.5, "requests": 5}
    shadowed = client.tasks.set_traffic("sharing", {1: 1}, shadow="v2", step_back=bound)
    assert [v.shadow for v in shadowed.versions] == [True, False]
    assert shadowed.step_back == {"errors": 0.5, "window": 60, "requests": 5}
    assert sum(v.requests for v in shadowed.versions) == 40
    client.tasks.end_traffic("sharing")
    assert not client.tasks.traffic("sharing").shared
    client.tasks.delete("sharing", forever=True)


def test_a_task_comes_from_memory(client: Polydelta, decoding: Live):
    directory = decoding.write("memory", samples.generator("lora", decoding.spec, seed=3))
    files = {path.name: path.read_bytes() for path in directory.iterdir()}
    put = client.tasks.put("memory", files)
    assert put.version == client.tasks.put("memory", directory).version
    with pytest.raises(BadRequestError, match="No delta was found"):
        client.tasks.put("memory", b"weights alone")
    client.tasks.delete("memory")


@pytest.mark.parametrize("method", ["get", "delete"])
def test_a_name_with_a_slash(client: Polydelta, method: str):
    with pytest.raises(BadRequestError, match="1 to 128 of the characters A-Z a-z 0-9"):
        getattr(client.tasks, method)("org/x")
    with pytest.raises(NotFoundError, match="There is no such task"):
        client.infer("org/x", "hello")


def test_a_delta_that_is_none_is_refused(client: Polydelta, tmp_path: Path):
    (tmp_path / "weights.txt").write_text("no delta")
    with pytest.raises(BadRequestError):
        client.tasks.put("none", tmp_path)
    with pytest.raises(BadRequestError) as caught:
        client.tasks.put("base", tmp_path)
    assert caught.value.request_id
    with pytest.raises(BadRequestError) as odd:
        client.tasks.put("no name", tmp_path)
    assert odd.value.code == "invalid_request"
    with pytest.raises(BadRequestError, match="1 to 128 of the characters A-Z a-z 0-9"):
        client.tasks.put("org/x", tmp_path)


def test_models_and_health(client: Polydelta, decoding: Live):
    base, *tasks = client.models()
    assert (base.id, base.parent) == ("base", None)
    assert {(task.id, task.parent) for task in tasks} == {("headline", "base"), ("spam", "base")}
    health = client.health()
    assert (health.status, health.base) == ("ok", decoding.engine.base.name)
    assert health.revision is None


def test_who_may_do_what_and_who_did(client: Polydelta):
    key = client.key()
    assert (key.name, key.tenant, key.expires) == (None, "", None)
    assert key.scopes == ["infer", "read", "write", "admin"]
    assert key.request_id
    client.tasks.alias("spam", "noted", 1)
    client.tasks.unalias("spam", "noted")
    with pytest.raises(NotFoundError):
        client.tasks.activate("spam", 99)
    refused, taken, given = client.audit(task="spam", limit=3)
    assert (refused.kind, refused.outcome, refused.who) == (
        "activate", "task_not_found", "anonymous",
    )  # fmt: skip
    assert (taken.kind, given.kind, given.task, given.version) == ("alias", "alias", "spam", 1)
    assert client.audit(before=refused.number, limit=2) == [taken, given]
    with pytest.raises(BadRequestError):
        client.audit(limit=1001)
