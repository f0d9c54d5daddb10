from typing import Any

import pytest

from tests.server.api.conftest import LABELS
from tests.server.api.live import Live
from tests.server.api.problems import check

KINDS = ("lora", "bottleneck", "prefix")


def test_a_generation_has_the_shape_of_the_contract(live: Live):
    answer = live.infer("lora", "You won", max_tokens=4, ignore_eos=True)
    assert answer.keys() == {"id", "task", "version", "kind", "outputs", "usage"}
    assert (answer["task"], answer["kind"]) == ("lora", "lora")
    assert answer["version"] == live.http.get("/v1/tasks/lora").json()["version"]
    (output,) = answer["outputs"]
    assert output.keys() == {"text", "finish_reason"}
    assert output["finish_reason"] == "length"
    usage = answer["usage"]
    assert usage["completion_tokens"] == 4
    assert usage["total_tokens"] == usage["prompt_tokens"] + 4


def test_tasks_and_the_base_answer_differently_and_each_always_alike(live: Live):
    def texts() -> list[str]:
        answers = (
            live.infer(task, "hello", max_tokens=12, ignore_eos=True) for task in ("base", *KINDS)
        )
        return [answer["outputs"][0]["text"] for answer in answers]

    first = texts()
    assert len(set(first)) == 4
    assert texts() == first


def test_a_list_gives_one_output_a_text(live: Live):
    together = live.infer("lora", ["a prize", "noon"], max_tokens=6)["outputs"]
    alone = [live.infer("lora", text, max_tokens=6)["outputs"][0] for text in ("a prize", "noon")]
    assert together == alone


def test_a_text_is_a_chat_of_one_message(live: Live):
    chat = [{"role": "user", "content": "see you"}]
    parts = [{"role": "user", "content": [{"type": "text", "text": "see you"}]}]
    wanted = live.infer("base", "see you", max_tokens=6)["outputs"]
    assert live.infer("base", chat, max_tokens=6)["outputs"] == wanted
    assert live.infer("base", parts, max_tokens=6)["outputs"] == wanted


def test_seeded_choices_come_again_and_differ_among_themselves(live: Live):
    def texts() -> list[str]:
        answer = live.infer("base", "hi", n=3, seed=7, temperature=1, max_tokens=8)
        return [output["text"] for output in answer["outputs"]]

    first = texts()
    assert len(set(first)) == 3
    assert texts() == first


def test_logprobs_name_each_token_and_its_rivals(live: Live):
    (output,) = live.infer("base", "hi", max_tokens=3, ignore_eos=True, logprobs=2)["outputs"]
    assert len(output["logprobs"]) == 3
    for token in output["logprobs"]:
        assert [rival["logprob"] for rival in token["top"]] == sorted(
            (rival["logprob"] for rival in token["top"]), reverse=True
        )
        assert token["top"][0] == {key: token[key] for key in ("id", "token", "logprob")}


def test_a_stop_string_ends_the_text_before_it(live: Live):
    whole = live.infer("base", "hi", max_tokens=20, ignore_eos=True)["outputs"][0]["text"]
    stop = next(mark for mark in whole[2:] if mark != "\N{REPLACEMENT CHARACTER}")
    (output,) = live.infer("base", "hi", max_tokens=20, ignore_eos=True, stop=stop)["outputs"]
    assert output == {"text": whole[: whole.index(stop)], "finish_reason": "stop"}


def test_a_classifier_gives_the_probability_of_each_label(live: Live):
    (output,) = live.infer("spam", "You won a prize!")["outputs"]
    assert output["scores"].keys() == set(LABELS)
    assert sum(output["scores"].values()) == pytest.approx(1)
    assert output["score"] == output["scores"][output["label"]] == max(output["scores"].values())
    (best,) = live.infer("spam", "You won a prize!", top=1)["outputs"]
    assert best["scores"] == {output["label"]: output["score"]}


def test_an_encoder_classifies_tags_and_embeds(reader: Live):
    (topic,) = reader.infer("topic", "the meeting")["outputs"]
    assert topic["label"] in LABELS
    text = "naïve 東京 🙂"
    for entity in reader.infer("names", text)["outputs"][0]["entities"]:
        assert text[entity["start"] : entity["end"]] == entity["text"]
    (vector,) = reader.infer("base", "the meeting")["outputs"]
    assert sum(x * x for x in vector["embedding"]) == pytest.approx(1, rel=1e-4)


def test_null_and_unknown_fields_count_as_absent(live: Live):
    plain = live.post("/v1/infer", task="base", input="hi", parameters={"max_tokens": 2})
    odd = live.post(
        "/v1/infer",
        task="base",
        input="hi",
        stream=None,
        later="x",
        max_tokens=None,
        parameters={"max_tokens": 2, "temperature": None, "user": "me"},
    )
    assert odd.json()["outputs"] == plain.json()["outputs"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": 5}, None),
        ({"parameters": {"num_beam_groups": 2}}, "parameters.num_beam_groups"),
        ({"parameters": {"no_repeat_ngram_size": 65}}, "parameters.no_repeat_ngram_size"),
        ({"parameters": {"forced_eos_token_id": -1}}, "parameters.forced_eos_token_id"),
        ({"parameters": {"forced_eos_token_id": 9999}}, "forced_eos_token_id"),
        ({"parameters": {"forced_bos_token_id": 2}}, "forced_bos_token_id"),
        ({"parameters": {"language": "fr"}}, "language"),
    ],
)
def test_what_would_be_passed_over_is_refused(live: Live, fields: dict[str, Any], param: str):
    response = live.post("/v1/infer", task="lora", input="w005", **fields)
    detail = check(response, 400, "invalid_request", param)
    assert param or "max_tokens is given within parameters" in detail
