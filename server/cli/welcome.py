"""`polydelta` alone: what a newcomer needs, and the names of all else."""

from collections.abc import Iterable

from server.cli.printing import print_text

FIRST = {
    "demo": ("polydelta demo", "serve a small model and its tasks"),
    "infer": ('polydelta infer topic "A late goal won."', "ask one of its tasks"),
    "task": ("polydelta task add mine ./my-delta", "serve a delta of your own"),
}
"""Commands to begin with, as one types them, and what each does."""


def welcome(commands: Iterable[str]) -> None:
    """Print the three commands to begin with, and a line that names the others."""
    width = max(len(typed) for typed, _ in FIRST.values())
    print_text("Polydelta serves many tasks from one frozen base model. To begin with:\n")
    for typed, does in FIRST.values():
        print_text(f"  {typed:{width}}  {does}")
    others = ", ".join(name for name in commands if name not in FIRST)
    print_text(f"\nThere are also {others}; polydelta --help says what each does.")
