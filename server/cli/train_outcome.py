"""What a training run came to, and what to type next."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from server.cli.printing import err, print_table, size
from server.errors import InvalidRequest

if TYPE_CHECKING:
    from deltas.delta import Delta
    from deltas.training.course import Verdict


def print_outcome(base: str, out: Path, delta: "Delta", verdicts: "Sequence[Verdict]") -> None:
    """Print a delta's size and scores, then the commands that serve it."""
    err.print(f"{escape(str(out))}: {'+'.join(delta.kinds)}, {size(delta.bytes)}")
    if verdicts:
        measure = verdicts[0].measure.upper()
        print_table(
            ("HELD OUT", "EXAMPLES", measure, "CONSTANT ANSWER", "BARE BASE"),
            [(one.held_out, one.examples, one.delta, one.majority, one.bare) for one in verdicts],
        )
    for one in verdicts:
        if not one.beats_both:
            err.print(
                f"[yellow]On {escape(one.held_out)} this delta is no better than a constant answer "
                "or the bare base: more examples, more --epochs or another --rate may help.[/]"
            )
    name = _task_name(out)
    place = shlex.quote(_from_here(out))
    err.print("\nServe it, or give it to a server that runs:\n")
    err.print(f"polydelta serve {shlex.quote(base)} --task {name}={place}", markup=False)
    err.print(f"polydelta task add {name} {place}", markup=False)


def _task_name(out: Path) -> str:
    # With the command line itself, this would load Torch.
    from server.registry.names import check_name, shared

    name = out.resolve().name
    try:
        check_name(shared(name))
    except InvalidRequest:
        return "mine"
    return name


def _from_here(out: Path) -> str:
    """A path that cannot be taken for anything else."""
    return str(out) if out.is_absolute() or out.parts[:1] == ("..",) else f"./{out}"
