"""The native dialect: every kind of delta in one JSON and one safetensors file.

docs/native-format.md describes it field by field.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from deltas import strict_json
from deltas.base import HEAD_SITE, BaseSpec
from deltas.checkpoint import Checkpoint
from deltas.delta import Delta, Option, Options, Part, ProblemType, PromptStyle, TaskType
from deltas.errors import InvalidDelta, UnsupportedDelta, WrongBase
from deltas.formats.answer_schema import ANSWER_SCHEMA, read_answer_schema
from deltas.formats.chat_template import TEMPLATE, read_chat_template
from deltas.formats.dialect import SIGNATURE, Dialect
from deltas.formats.fields import DIMENSIONS, Fields
from deltas.kinds import check, kind_named
from deltas.site import Role
from deltas.strict_json import Json

FORMAT = "polydelta"
VERSION = 1
CONFIG = "delta.json"
WEIGHTS = "delta.safetensors"


class Native(Dialect):
    """Polydelta's own dialect."""

    name = "native"
    markers = frozenset({CONFIG})
    files = frozenset({CONFIG, WEIGHTS, TEMPLATE, ANSWER_SCHEMA, SIGNATURE})

    def card(self, checkpoint: Checkpoint) -> dict[str, Json]:
        """The card that whoever wrote the delta gave it."""
        card = checkpoint.json(CONFIG).get("card")
        return card if isinstance(card, dict) else {}

    def read(self, checkpoint: Checkpoint, base: BaseSpec) -> Delta:
        """Read what `write` wrote for the same base."""
        config = Fields(checkpoint.json(CONFIG), CONFIG)
        _check_envelope(config, base)
        kinds = _kinds(config.table("kinds"))
        labels = config.texts("labels")
        task = config.choice("task", TaskType)
        prompt = config.choice("prompt", PromptStyle)
        problem = config.option("problem_type", ProblemType)
        dimensions = config.wholes(DIMENSIONS)
        card = config.raw("card")
        config.finish()
        bare = all(kind_named(kind).role is Role.HEAD for kind in kinds)
        absent = bare and WEIGHTS not in checkpoint.names
        tensors = {} if absent else checkpoint.tensors(WEIGHTS)
        template = read_chat_template(checkpoint) if TEMPLATE in checkpoint.names else ""
        parts = tuple(_parts(tensors, kinds))
        schema = read_answer_schema(checkpoint)
        told = json.dumps(card, ensure_ascii=False) if card else ""
        return Delta(task, parts, labels, prompt, template, problem, schema, dimensions, told)


def write(
    delta: Delta, directory: Path, base: BaseSpec, card: Mapping[str, Json] | None = None
) -> None:
    """Write a delta into a directory, made if absent; `card` says how the delta came about.

    A reader finds the delta whole or not at all. Raises DeltaError if the delta does not fit the
    base, ValueError if its JSON would be too large to read back.
    """
    check(delta, base)
    config = json.dumps(_config(delta, base, card or {}), indent=2, allow_nan=False).encode()
    if len(config) > strict_json.MAX_BYTES:
        raise ValueError(f"{CONFIG} would exceed {strict_json.MAX_BYTES} bytes; shorten the card.")
    tensors = {
        f"{part.site}:{part.kind}:{name}": _plain(tensor)
        for part in delta.parts
        for name, tensor in part.tensors.items()
    }
    directory.mkdir(parents=True, exist_ok=True)
    # The configuration marks the directory as a delta: it goes first and comes back last.
    (directory / CONFIG).unlink(missing_ok=True)
    (directory / WEIGHTS).unlink(missing_ok=True)
    (directory / TEMPLATE).unlink(missing_ok=True)
    (directory / ANSWER_SCHEMA).unlink(missing_ok=True)
    (directory / SIGNATURE).unlink(missing_ok=True)
    if tensors:
        _place(directory / WEIGHTS, safetensors.torch.save(tensors))
    if delta.chat_template:
        _place(directory / TEMPLATE, delta.chat_template.encode())
    if delta.answer_schema:
        _place(directory / ANSWER_SCHEMA, delta.answer_schema.encode())
    _place(directory / CONFIG, config + b"\n")


def _check_envelope(config: Fields, base: BaseSpec) -> None:
    if config.text("format", "") != FORMAT or config.whole("version", 0) != VERSION:
        raise UnsupportedDelta(f"{CONFIG} must say format '{FORMAT}', version {VERSION}.")
    made_for = config.table("base")
    name, fingerprint = made_for.text("name"), made_for.text("fingerprint")
    made_for.ignore("family")
    made_for.finish()
    if fingerprint != base.fingerprint:
        raise WrongBase(
            f"The delta was made for the base '{name[:128]}' (fingerprint {fingerprint[:64]}), "
            f"not for '{base.name}' ({base.fingerprint})."
        )


def _kinds(table: Fields) -> dict[str, Options]:
    return {kind: _options(table.table(kind)) for kind in table.names()}


def _options(table: Fields) -> dict[str, Option]:
    options: dict[str, Option] = {}
    for name in table.names():
        value = table.raw(name)
        if isinstance(value, list):
            texts = [item for item in value if isinstance(item, str)]
            value = texts if len(texts) == len(value) else None
        if value is None or isinstance(value, dict):
            raise InvalidDelta(f"Option '{name}' of kind '{table.name}' has no usable value.")
        options[name] = value
    return options


def _parts(tensors: Mapping[str, Tensor], kinds: Mapping[str, Options]) -> Iterable[Part]:
    grouped: dict[str, dict[str, dict[str, Tensor]]] = {kind: {} for kind in kinds}
    for name, tensor in tensors.items():
        site, kind, field = _split(name)
        if kind not in grouped:
            raise InvalidDelta(f"Tensor '{name}' is of a kind that {CONFIG} does not name.")
        grouped[kind].setdefault(site, {})[field] = tensor
    for kind, sites in grouped.items():
        if not sites and kind_named(kind).role is Role.HEAD:
            sites[HEAD_SITE] = {}
        if not sites:
            raise InvalidDelta(f"{CONFIG} names the kind '{kind}' but {WEIGHTS} holds none of it.")
        for site, found in sites.items():
            yield Part(kind, site, found, kinds[kind])


def _split(name: str) -> tuple[str, str, str]:
    match name.split(":"):
        case [site, kind, field]:
            return site, kind, field
        case _:
            raise InvalidDelta(f"Tensor '{name}' is not named <site>:<kind>:<tensor>.")


def _config(delta: Delta, base: BaseSpec, card: Mapping[str, Json]) -> dict[str, object]:
    options: dict[str, Options] = {}
    for part in delta.parts:
        if options.setdefault(part.kind, part.options) != part.options:
            raise InvalidDelta(f"The parts of kind '{part.kind}' have different options.")
    problem = delta.problem_type
    return {
        "format": FORMAT,
        "version": VERSION,
        "base": {
            "name": base.name,
            "fingerprint": base.fingerprint,
            "family": base.family.name,
        },
        "task": delta.task.value,
        "labels": list(delta.labels),
        "prompt": delta.prompt.value,
        **({"problem_type": problem.value} if problem else {}),
        **({DIMENSIONS: list(delta.dimensions)} if delta.dimensions else {}),
        "kinds": {kind: dict(settings) for kind, settings in options.items()},
        "card": dict(card),
    }


def _plain(tensor: Tensor) -> Tensor:
    # A copy: safetensors refuses tensors that share memory.
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _place(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
