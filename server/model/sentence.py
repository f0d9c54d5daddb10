"""Checkpoints of sentence-transformers: what makes an embedding of an encoder's hidden states.

`modules.json` lists modules in order, each with a folder: the transformer, a pooling, dense layers,
a normalisation (https://sbert.net/docs/sentence_transformer/usage/custom_models.html).
"""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from safetensors.torch import load_file
from torch import Tensor

from deltas.base import HEAD_SITE
from deltas.delta import Part
from deltas.errors import UnsupportedBase

_MODULES = "modules.json"
_SETTINGS = "config_sentence_transformers.json"
_POOLINGS = {
    "cls": "first",
    "lasttoken": "last",
    "max": "max",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean": "weighted_mean",
}
_LEGACY = "pooling_mode_"
_KNOWN = ("Transformer", "Pooling", "Dense", "Normalize")


class _Module(BaseModel):
    type: str
    path: str


class _Said(BaseModel):
    prompts: dict[str, str] | None = None
    default_prompt_name: str | None = None


_MODULE_LIST = TypeAdapter[list[_Module]](Annotated[list[_Module], Field(min_length=1)])
_SAID = TypeAdapter(_Said)
_OBJECT = TypeAdapter(dict[str, Any])

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Prompts:
    """What comes before texts to embed, by name; the `usual` one where a request names none."""

    named: dict[str, str] = field(default_factory=dict[str, str])
    usual: str | None = None


def read_embedding(directory: Path) -> Part | None:
    """The head that makes embeddings of a base in this directory; None where nothing says so.

    Raises UnsupportedBase for modules that are not computed here.
    """
    root = _root(directory)
    if root is None:
        return None
    modules = [
        (each.type.rpartition(".")[2], root / each.path)
        for each in _read(_MODULE_LIST, root / _MODULES)
    ]
    kinds = [kind for kind, _ in modules]
    dense = kinds[2:-1] if kinds[-1] == "Normalize" else kinds[2:]
    if kinds[:2] != ["Transformer", "Pooling"] or any(kind != "Dense" for kind in dense):
        raise UnsupportedBase(
            f"{_MODULES} lists {', '.join(kinds)}; known are {', '.join(_KNOWN)}, in this order."
        )
    tensors: dict[str, Tensor] = {}
    activations: list[str] = []
    for index, (_, folder) in enumerate(modules[2 : 2 + len(dense)]):
        tensors |= _dense(folder, index)
        activations.append(_activation(folder))
    pooling = _pooling(_read(_OBJECT, modules[1][1] / "config.json"))
    normalize = kinds[-1] == "Normalize"
    options = {"pooling": pooling, "activations": activations, "normalize": normalize}
    return Part("head", HEAD_SITE, tensors, options)


def read_prompts(directory: Path) -> Prompts:
    """The prompts that a base in this directory was trained with."""
    root = _root(directory)
    if root is None or not (root / _SETTINGS).is_file():
        return Prompts()
    said = _read(_SAID, root / _SETTINGS)
    return Prompts(said.prompts or {}, said.default_prompt_name)


def _root(directory: Path) -> Path | None:
    """Where the list is: beside the transformer, or above it, where it has a folder of its own."""
    if (directory / _MODULES).is_file():
        return directory
    above = directory.parent
    # A file of this name above may be of something else.
    with suppress(UnsupportedBase):
        if _read(_MODULE_LIST, above / _MODULES)[0].path == directory.name:
            return above
    return None


def _pooling(config: dict[str, Any]) -> str:
    older = [
        name.removeprefix(_LEGACY) for name, on in config.items() if name.startswith(_LEGACY) and on
    ]
    older = [name if name in _POOLINGS else name.removesuffix("_tokens") for name in older]
    said = config.get("pooling_mode") or [name.removesuffix("_token") for name in older] or ["mean"]
    modes = [said] if isinstance(said, str) else list(said)
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        raise UnsupportedBase(
            f"The base pools by {' and '.join(map(str, modes))}; known is one of "
            f"{', '.join(_POOLINGS)}."
        )
    if config.get("include_prompt") is False:
        raise UnsupportedBase("The base leaves prompts out of its pooling, which is not done here.")
    return _POOLINGS[modes[0]]


def _dense(folder: Path, index: int) -> dict[str, Tensor]:
    file = folder / "model.safetensors"
    if not file.is_file():
        raise UnsupportedBase(
            f"{folder.name} holds no model.safetensors, and pickled weights are never opened: save "
            "the model anew with sentence-transformers."
        )
    return {name.replace("linear", str(index), 1): each for name, each in load_file(file).items()}


def _activation(folder: Path) -> str:
    said = str(_read(_OBJECT, folder / "config.json").get("activation_function", "Tanh"))
    return said.rpartition(".")[2].lower()


def _read(form: TypeAdapter[Read], file: Path) -> Read:
    try:
        return form.validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise UnsupportedBase(
            f"{file.parent.name}/{file.name} cannot be read as sentence-transformers writes it; "
            "fetch the base anew."
        ) from error
