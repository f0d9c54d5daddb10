"""The kinds of delta, and the checks that concern a delta as a whole.

A kind is one file; naming it in KINDS is what registers it.
"""

from collections.abc import Iterable

from deltas.base import BaseSpec
from deltas.delta import Delta, Part, TaskType
from deltas.errors import DeltaError, InvalidDelta, UnsupportedDelta, WrongBase
from deltas.kinds.bottleneck import Bottleneck
from deltas.kinds.head import Head
from deltas.kinds.ia3 import Ia3
from deltas.kinds.kind import Extent, Kind
from deltas.kinds.lora import Lora
from deltas.kinds.prefix import Prefix
from deltas.kinds.prompt import Prompt
from deltas.site import Role, Rows

__all__ = ["KINDS", "Extent", "Kind", "check", "extent_of", "kind_named", "rank_of"]

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (Lora(), Bottleneck(), Prefix(), Prompt(), Ia3(), Head())
}

_SHOWN = 5


def kind_named(name: str) -> Kind:
    """Return a kind by name; raises UnsupportedDelta naming those there are."""
    kind = KINDS.get(name)
    if kind is None:
        raise UnsupportedDelta(f"There is no kind '{name}'; choose one of: {', '.join(KINDS)}.")
    return kind


def extent_of(delta: Delta, base: BaseSpec) -> Extent:
    """What a delta adds to every sequence; its kinds add up, a kind's sites of one sort agree."""
    first: dict[tuple[str, Rows], Part] = {}
    for part in delta.parts:
        first.setdefault((part.kind, base.sites[part.site].rows), part)
    found = (KINDS[name].extent(part).at(rows) for (name, rows), part in first.items())
    return sum(found, Extent())


def rank_of(delta: Delta) -> int:
    """The greatest rank of a delta's parts, 0 if none has one."""
    return max((KINDS[part.kind].rank(part) for part in delta.parts), default=0)


def check(delta: Delta, base: BaseSpec) -> None:
    """Check every part against the base's sites, then the delta as a whole.

    Raises InvalidDelta, UnsupportedDelta or WrongBase with the first mismatches.
    """
    if not delta.parts:
        raise InvalidDelta("The delta holds no tensors and no head: it would change nothing.")
    if len({(part.kind, part.site) for part in delta.parts}) != len(delta.parts):
        raise InvalidDelta("The delta holds two parts of one kind at one site.")
    _raise_first(_mismatches(delta.parts, base))
    for name in delta.kinds:
        parts = [part for part in delta.parts if part.kind == name]
        kind_named(name).check_whole(parts, delta, base)
    _check_task(delta, base)
    _check_room(delta, base)


def _check_room(delta: Delta, base: BaseSpec) -> None:
    extent = extent_of(delta, base)
    # An input has at least one token, and so has the text that follows.
    needed = 2 if delta.task is TaskType.GENERATE else 1
    for taken in (extent.rows + extent.cached, extent.source_rows + extent.source_cached):
        if base.context - taken < needed:
            raise InvalidDelta(
                f"The delta's {taken} virtual tokens leave {max(0, base.context - taken)} of the "
                f"{base.context} that a sequence may have here; an input and its answer need at "
                f"least {needed}. Use a delta with fewer."
            )


def _check_task(delta: Delta, base: BaseSpec) -> None:
    if delta.task is TaskType.GENERATE:
        if not base.family.causal:
            raise UnsupportedDelta(f"The base '{base.name}' is an encoder: it cannot generate.")
    elif base.family.encoder is not None and delta.task is not TaskType.CLASSIFY:
        raise UnsupportedDelta(
            f"The base '{base.name}' writes a text for another one, or labels that: tasks of type "
            f"'{delta.task.value}' are not done with it. Let it write what is asked."
        )
    elif not any(kind_named(name).role is Role.HEAD for name in delta.kinds):
        raise InvalidDelta(f"A task of type '{delta.task.value}' needs a head; the delta has none.")
    if delta.problem_type and delta.task is not TaskType.CLASSIFY:
        raise InvalidDelta(
            f"Tasks of type '{delta.task.value}' have no problem_type: leave it out, or classify."
        )


def _mismatches(parts: Iterable[Part], base: BaseSpec) -> Iterable[DeltaError]:
    for part in parts:
        site = base.sites.get(part.site)
        if site is None:
            yield WrongBase(f"the base has no site '{part.site}'")
            continue
        try:
            kind_named(part.kind).check(site, part)
        except DeltaError as error:
            yield error


def _raise_first(errors: Iterable[DeltaError]) -> None:
    found = list(errors)
    if not found:
        return
    shown = "; ".join(str(error) for error in found[:_SHOWN])
    more = f" (and {len(found) - _SHOWN} more)" if len(found) > _SHOWN else ""
    raise type(found[0])(f"The delta does not fit the base: {shown}{more}")
