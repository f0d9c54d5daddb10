"""The dialect of the PEFT library: one method a file, registered in METHODS."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

from deltas.base import BaseSpec
from deltas.checkpoint import Checkpoint
from deltas.delta import Delta, Part, ProblemType, TaskType
from deltas.formats.answer_schema import ANSWER_SCHEMA, read_answer_schema
from deltas.formats.chat_template import TEMPLATE, TOKENIZER_CONFIG, read_chat_template
from deltas.formats.dialect import SIGNATURE, Dialect
from deltas.formats.fields import Fields
from deltas.formats.peft.foreign import refuse_foreign
from deltas.formats.peft.heads import check_saved_modules, label_count, read_head
from deltas.formats.peft.ia3 import Ia3Method
from deltas.formats.peft.lora import LoraMethod
from deltas.formats.peft.method import Method, Source
from deltas.formats.peft.prefix import PrefixMethod
from deltas.formats.peft.prompt import PromptMethod
from deltas.formats.peft.refusals import refusal
from deltas.formats.peft.sidecar import SIDECAR, Sidecar
from deltas.formats.peft.task import read_task
from deltas.formats.peft.weights import Weights
from deltas.formats.tokenizer import ADDED_TOKENS, SPECIAL_TOKENS, check_tokenizer
from deltas.strict_json import Json
from deltas.tokenizer import TOKENIZER

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"

METHODS: dict[str, Method] = {
    peft_type: method
    for method in (LoraMethod(), PromptMethod(), PrefixMethod(), Ia3Method())
    for peft_type in method.peft_types
}

_TOLD = ("base_model_name_or_path", "revision", "peft_version")
"""Fields that say how a delta came about, as far as they are texts."""

_ABOUT_ITSELF = ("inference_mode", *_TOLD)


class Peft(Dialect):
    """What `PeftModel.save_pretrained` writes, with what a tokenizer's writes beside it.

    There may be a sidecar of our own, too.
    """

    name = "peft"
    markers = frozenset({CONFIG})
    files = frozenset(
        {CONFIG, WEIGHTS, SIDECAR, TEMPLATE, TOKENIZER_CONFIG, ANSWER_SCHEMA, SIGNATURE}
    )

    judged = frozenset({TOKENIZER, SPECIAL_TOKENS, ADDED_TOKENS})

    def judge(self, checkpoint: Checkpoint, base: BaseSpec) -> None:
        """Hold a tokenizer against the base's, which reads all texts."""
        if base.tokenizer is not None:
            check_tokenizer(checkpoint, base.tokenizer)

    def card(self, checkpoint: Checkpoint) -> dict[str, Json]:
        """What it was trained on, as PEFT wrote it, and by which release."""
        return _card(checkpoint.json(CONFIG))

    def read(self, checkpoint: Checkpoint, base: BaseSpec) -> Delta:
        """Read a method's parts and its head; every tensor and field is accounted for."""
        fields = checkpoint.json(CONFIG)
        refuse_foreign(fields)
        checkpoint.require_weights(WEIGHTS)
        config = Fields(fields, CONFIG)
        config.ignore(*_ABOUT_ITSELF)
        method = _method(config.text("peft_type", ""))
        weights = Weights(checkpoint.tensors(WEIGHTS), base.family)
        task = read_task(config, weights, base)
        check_saved_modules(config.texts("modules_to_save"), base.family)
        source = Source(config, weights, base, task)
        delta = _delta(method, source, Sidecar.read(checkpoint))
        return replace(
            delta,
            chat_template=read_chat_template(checkpoint),
            answer_schema=read_answer_schema(checkpoint),
            card=json.dumps(card, ensure_ascii=False) if (card := _card(fields)) else "",
        )


def _card(fields: Mapping[str, Json]) -> dict[str, Json]:
    return {name: told for name in _TOLD if isinstance(told := fields.get(name), str) and told}


def _method(peft_type: str) -> Method:
    method = METHODS.get(peft_type)
    if method is None:
        raise refusal(peft_type, tuple(METHODS))
    return method


def _delta(method: Method, source: Source, sidecar: Sidecar) -> Delta:
    parts = tuple(method.parts(source))
    head = read_head(source, sidecar)
    source.config.finish()
    source.weights.finish()
    labels = tuple(_labels(head, source.task, sidecar))
    everything = (*parts, head) if head else parts
    problem = _problem_type(source, sidecar)
    return Delta(
        source.task,
        everything,
        labels,
        sidecar.prompt,
        problem_type=problem,
        dimensions=sidecar.dimensions,
    )


def _problem_type(source: Source, sidecar: Sidecar) -> ProblemType | None:
    """PEFT does not save it: Transformers takes it from the base's configuration."""
    said = sidecar.problem_type
    return said or (source.base.problem_type if source.task is TaskType.CLASSIFY else None)


def _labels(head: Part | None, task: TaskType, sidecar: Sidecar) -> Iterable[str]:
    if head is None or task not in (TaskType.CLASSIFY, TaskType.TAG):
        return ()
    return sidecar.labels or (f"LABEL_{index}" for index in range(label_count(head)))
