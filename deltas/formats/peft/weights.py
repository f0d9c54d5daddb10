"""The tensors of a PEFT file: each is taken by someone, or the load is refused."""

import re
from collections.abc import Mapping

from torch import Tensor

from deltas.base import LM_HEAD_SITE
from deltas.errors import InvalidDelta, UnsupportedDelta
from deltas.families import Family
from deltas.formats.peft.wrappers import refuse_wrapped

_SHOWN = 5
_LANGUAGE_MODEL = "language_model"
"""What held an LM head, too, in the wholes of Transformers before version 4.52."""
# Prompt-learning methods do not wrap the model a second time, so their heads lack `.model`.
_WRAPPERS = re.compile(r"^base_model\.(model\.)?")
_SAVED_COPY = re.compile(r"\.modules_to_save\.[^.]+(?=\.)")
# What a state dict holds that PEFT did not save itself; it reads this one name of an adapter.
_ADAPTER_NAME = re.compile(r"(\.(?:lora_\w+|ia3_l))\.default(?=\.|$)")
_HEAD = re.compile(r"((?:pre_)?classifier|score|qa_outputs)(\.dense|\.out_proj)?\.(weight|bias)")


class Weights:
    """Tensors by name, the wrappers' prefixes removed: `<module>.lora_A.weight`.

    `prefix` is the name, with its dot, under which the wrapped model held the backbone; empty if
    the backbone itself was wrapped. Where the base is the language model of a whole, what acts on
    the whole's other modules is left out: no text passes them, so that it changes no answer.
    """

    def __init__(self, tensors: Mapping[str, Tensor], family: Family) -> None:
        refuse_wrapped(tensors, inside=bool(family.beside))
        plain = {_plain(name): tensor for name, tensor in tensors.items()}
        if len(plain) != len(tensors):
            raise InvalidDelta("Two tensors of the checkpoint have the same meaning.")
        beside = tuple(f"{path}." for path in paths_beside(family))
        self._left = {name: each for name, each in plain.items() if not name.startswith(beside)}
        prefixes = (f"{prefix}." for prefix in family.prefixes)
        self.prefix = next((item for item in prefixes if self._has_start(item)), "")
        older = f"{_LANGUAGE_MODEL}.{LM_HEAD_SITE}"
        self._lm_head = older if self._has_start(f"{older}.") else LM_HEAD_SITE

    def has(self, name: str) -> bool:
        """Whether a tensor of this name is left."""
        return name in self._left

    @property
    def heads(self) -> set[str]:
        """The names of the modules that are left and may be heads."""
        return {match[1] for match in map(_HEAD.fullmatch, self._left) if match}

    def take(self, name: str) -> Tensor:
        """Take one tensor; raises InvalidDelta if it is absent."""
        if name not in self._left:
            raise InvalidDelta(f"The checkpoint lacks the tensor '{name}'.")
        return self._left.pop(name)

    def take_all(self, ending: str) -> dict[str, Tensor]:
        """Take every tensor whose name ends in `ending`, by the name of its module."""
        names = [name for name in self._left if name.endswith(ending)]
        return {name.removesuffix(ending): self._left.pop(name) for name in names}

    def site(self, module: str) -> str:
        """The name of a wrapped module as a site."""
        return LM_HEAD_SITE if module == self._lm_head else module.removeprefix(self.prefix)

    def module(self, site: str) -> str:
        """The name of a site as a module of the wrapped model."""
        return self._lm_head if site == LM_HEAD_SITE else f"{self.prefix}{site}"

    def finish(self) -> None:
        """Raise UnsupportedDelta if a tensor was not taken."""
        if left := sorted(self._left):
            shown = ", ".join(left[:_SHOWN])
            more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
            raise UnsupportedDelta(f"The checkpoint's {shown}{more} would be lost.")

    def _has_start(self, start: str) -> bool:
        return any(name.startswith(start) for name in self._left)


def paths_beside(family: Family) -> tuple[str, ...]:
    """The paths of the modules beside a language model, older ones among them."""
    return (*family.beside, *(path.removeprefix("model.") for path in family.beside))


def _plain(name: str) -> str:
    return _ADAPTER_NAME.sub(r"\1", _SAVED_COPY.sub("", _WRAPPERS.sub("", name)))
