"""The page of what is loaded and what is refused, made of the tables that loading itself reads."""

import inspect
from collections.abc import Iterable, Iterator

from peft import PeftType

from deltas.formats import DIALECTS
from deltas.formats.peft import METHODS, Peft
from deltas.formats.peft.foreign import ADAPTER_HUB, MLX
from deltas.formats.peft.lora import CONVERTIBLE_STARTS, HARMLESS_STARTS, REFUSED
from deltas.formats.peft.refusals import CONVERTIBLE
from deltas.formats.peft.task import SOURCES, TASKS
from deltas.kinds import KINDS
from deltas.site import Role

PATH = "bring.md"
NONE = "none"

_TOP = """# Bring your deltas

A delta is a directory, and its files tell which dialect it is of. This page is made of the tables
that loading itself reads. `polydelta task add NAME DIRECTORY` says of one delta whether it is
taken, and why if it is not.

In every dialect weights are safetensors, for no pickle is ever opened; and what is set but not
understood is refused, never passed over. See [what loading
checks](native-format.md#what-loading-checks), [the families of bases](families.md), and [what is
met in checkpoints from elsewhere](operations.md#checkpoints)."""


def page() -> str:
    """The page's Markdown."""
    return "\n\n".join([_TOP, *_dialects(), *_kinds(), *_methods(), *_lora(), *_others()]) + "\n"


def _dialects() -> Iterator[str]:
    yield "## Dialects"
    yield _table(
        ("dialect", "told by", "files that are kept"),
        ((each.name, _code(each.markers), _code(each.files)) for each in DIALECTS),
    )


def _kinds() -> Iterator[str]:
    yield "## Kinds"
    yield (
        "The native format holds every kind, and several in one delta. A PEFT directory holds one "
        "method, named by its `peft_type`, and a head beside it where its `task_type` asks for one."
    )
    yield _table(
        ("kind", "what it does", *(each.name for each in DIALECTS)),
        (
            (name, inspect.cleandoc(kind.__doc__ or "").split("\n")[0], *_held(name))
            for name, kind in KINDS.items()
        ),
    )


def _held(kind: str) -> Iterable[str]:
    """What each dialect calls a kind."""
    for dialect in DIALECTS:
        if not isinstance(dialect, Peft):
            yield f"`{kind}`"
        elif KINDS[kind].role is Role.HEAD:
            yield _code(name for name, task in TASKS.items() if task.value != "generate")
        else:
            yield _code(name for name, method in METHODS.items() if method.kind == kind) or NONE


def _methods() -> Iterator[str]:
    names = {each.value for each in PeftType} | METHODS.keys() | CONVERTIBLE
    others = names - METHODS.keys() - CONVERTIBLE
    yield "## PEFT's methods"
    yield _table(
        ("`peft_type`", ""),
        (
            (_code(METHODS), "read"),
            (_code(CONVERTIBLE), "refused; `peft.save_as_lora` makes a LoRA of it, which is read"),
            (_code(others), "refused"),
        ),
    )
    yield "What a `task_type` becomes:"
    yield _table(
        ("`task_type`", "task"),
        (
            *((f"`{name}`", task.value) for name, task in TASKS.items()),
            (f"`{SOURCES}`", "generate, over encoder-decoders, which take no other"),
        ),
    )


def _lora() -> Iterator[str]:
    yield "## PEFT's LoRA"
    yield "These fields must be unset:"
    yield _table(("field", "why"), ((f"`{name}`", reason) for name, reason in REFUSED.items()))
    harmless = ", ".join(f"`{start}`" for start in HARMLESS_STARTS)
    yield (
        f"`init_lora_weights` may be {harmless}. Those that begin with "
        f"{_code(CONVERTIBLE_STARTS)} changed the base and must be saved again, as the refusal "
        "says; all others are refused."
    )


def _others() -> Iterator[str]:
    yield "## Other libraries"
    yield "Both are told apart from PEFT's by their fields and refused, with these words:"
    yield _table(
        ("library", "what is said"), (("MLX", _plain(MLX)), ("AdapterHub", _plain(ADAPTER_HUB)))
    )


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _plain(text: str) -> str:
    return text.replace("<", "&lt;")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
