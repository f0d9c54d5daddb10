"""polydelta.json: what a PEFT directory cannot say itself, beside its own files."""

from dataclasses import dataclass

from deltas.checkpoint import Checkpoint
from deltas.delta import ProblemType, PromptStyle
from deltas.formats.fields import DIMENSIONS, Fields

SIDECAR = "polydelta.json"


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The names of a head's outputs in order, how plain texts are prompted, how states are pooled.

    Empty `labels` become LABEL_0 and so on, as Transformers has it; an empty `pooling` is the
    mean for encoders; `problem_type` says what a classifier's scores are, else the base's
    configuration does; `dimensions` are shorter sizes of an embedding.
    """

    labels: tuple[str, ...] = ()
    prompt: PromptStyle = PromptStyle.CHAT
    pooling: str = ""
    problem_type: ProblemType | None = None
    dimensions: tuple[int, ...] = ()

    @classmethod
    def read(cls, checkpoint: Checkpoint) -> "Sidecar":
        """Read the file if it is there; raises DeltaError for unknown fields or values."""
        if SIDECAR not in checkpoint.names:
            return cls()
        fields = Fields(checkpoint.json(SIDECAR), SIDECAR)
        sidecar = cls(
            labels=fields.texts("labels"),
            prompt=fields.choice("prompt", PromptStyle, PromptStyle.CHAT),
            pooling=fields.text("pooling", ""),
            problem_type=fields.option("problem_type", ProblemType),
            dimensions=fields.wholes(DIMENSIONS),
        )
        fields.finish()
        return sidecar
