"""Which modules a PEFT configuration targets, by PEFT's own rules."""

from collections.abc import Collection
from dataclasses import dataclass, field

from deltas.base import LM_HEAD_SITE, BaseSpec
from deltas.delta import TaskType
from deltas.errors import InvalidDelta
from deltas.formats.fields import Fields
from deltas.formats.peft.patterns import Patterns
from deltas.formats.peft.weights import Weights
from deltas.site import Role
from deltas.strict_json import Json

_SHOWN = 5
_ANY_LAYER = r".*?\.[^.]*\.(?P<index>\d+)\."


@dataclass(frozen=True)
class Targets:
    """The targets of one configuration.

    `targets` and `excluded` are lists of module names or of their ends, or one regular
    expression; `layers` limits targets given as ends to some layers, whose list has one of the
    names in `layer_lists`.
    """

    targets: str | tuple[str, ...]
    excluded: str | tuple[str, ...] = ()
    layers: tuple[int, ...] = ()
    layer_lists: tuple[str, ...] = ()
    patterns: Patterns = field(default_factory=Patterns)

    @classmethod
    def read(cls, config: Fields) -> "Targets":
        """Take the fields that say where a method acts."""
        targets = _names(config, "target_modules")
        if not targets:
            raise InvalidDelta("adapter_config.json does not say its 'target_modules'.")
        layer_lists = _names(config, "layers_pattern")
        return cls(
            targets,
            _names(config, "exclude_modules"),
            _indices(config.raw("layers_to_transform")),
            (layer_lists,) if isinstance(layer_lists, str) else layer_lists,
        )

    def matches(self, module: str) -> bool:
        """Whether PEFT would wrap a module of this full name."""
        if self._is_among(self.excluded, module):
            return False
        if isinstance(self.targets, str) or module in self.targets:
            return self._is_among(self.targets, module)
        return self._is_among(self.targets, module) and self._in_layers(module)

    def check(
        self, found: Collection[str], weights: Weights, base: BaseSpec, task: TaskType
    ) -> None:
        """Raise InvalidDelta unless exactly the targeted modules have tensors."""
        linears = (site.name for site in base.of_role(Role.LINEAR))
        modules = {
            weights.module(name)
            for name in linears
            if name != LM_HEAD_SITE or task is TaskType.GENERATE
        }
        missing = {module for module in modules if self.matches(module)} - set(found)
        extra = {module for module in found if not self.matches(module)}
        if missing:
            raise InvalidDelta(f"The checkpoint lacks the tensors of {_some(missing)}.")
        if extra:
            raise InvalidDelta(f"The checkpoint has tensors of {_some(extra)}, no targets of it.")

    def _is_among(self, names: str | tuple[str, ...], module: str) -> bool:
        if isinstance(names, str):
            return self.patterns.fullmatch(names, module)
        return any(module == name or module.endswith(f".{name}") for name in names)

    def _in_layers(self, module: str) -> bool:
        if not self.layers:
            return True
        lists = tuple(rf"(?:^|.*?\.){name}\.(?P<index>\d+)\." for name in self.layer_lists)
        found = (self.patterns.match(pattern, module) for pattern in lists or (_ANY_LAYER,))
        match = next((match for match in found if match), None)
        # A list's name may be an expression that matches without reaching the index.
        index = match["index"] if match else None
        return index is not None and index.isdecimal() and int(index) in self.layers


def _names(config: Fields, field: str) -> str | tuple[str, ...]:
    value = config.raw(field)
    if isinstance(value, str):
        return value
    return Fields({field: value}, config.name).texts(field)


def _indices(value: Json) -> tuple[int, ...]:
    items = value if isinstance(value, list) else [] if value is None else [value]
    indices = tuple(item for item in items if isinstance(item, int))
    if len(indices) != len(items):
        raise InvalidDelta("'layers_to_transform' must be a whole number or a list of them.")
    return indices


def _some(names: Collection[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(sorted(names)[:_SHOWN]) + more
