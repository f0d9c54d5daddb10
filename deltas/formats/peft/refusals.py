"""Why PEFT methods that have no file here are refused, and the way round."""

from deltas.errors import UnsupportedDelta

CONVERTIBLE = frozenset({
    "C3A", "DELORA", "FOURIERFT", "GRALORA", "HIRA", "LOHA", "LOKR", "MISS", "PSOFT", "RANDLORA",
    "SHIRA", "TINYLORA", "UNILORA", "VBLORA", "VERA", "WAVEFT",
})  # fmt: skip
"""Methods whose effect PEFT itself can approximate by a LoRA."""


def refusal(peft_type: str, known: tuple[str, ...]) -> UnsupportedDelta:
    """Say what to do about a method that is not read."""
    if peft_type in CONVERTIBLE:
        advice = "Convert it with peft.save_as_lora(path, model, rank=...) and give that instead."
    else:
        advice = f"Known are {', '.join(known)}."
    return UnsupportedDelta(f"The PEFT method '{peft_type[:64]}' is not read. {advice}")
