"""Why PEFT methods that have no file here are refused, and the way round."""

from deltas.errors import UnsupportedDelta

CONVERTIBLE = frozenset({
    "C3A", "DELORA", "FOURIERFT", "GRALORA", "LOHA", "LOKR", "MISS", "PSOFT", "RANDLORA",
    "TINYLORA", "UNILORA", "VBLORA", "VERA", "WAVEFT",
})  # fmt: skip
"""Methods that PEFT itself can turn into a LoRA."""


def refusal(peft_type: str, known: tuple[str, ...]) -> UnsupportedDelta:
    """Say what to do about a method that is not read."""
    if peft_type in CONVERTIBLE:
        advice = (
            "Convert it with peft.save_as_lora(path, model, rank=1.0), which keeps all of it, or "
            "with a fixed rank, which may lose some, and give that instead."
        )
    else:
        advice = f"Known are {', '.join(known)}."
    return UnsupportedDelta(f"The PEFT method '{peft_type[:64]}' is not read. {advice}")
