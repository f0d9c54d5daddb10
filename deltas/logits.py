"""Logits: what architectures do to them behind the LM head, as their configurations say."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Logits:
    """Multiplies what the LM head says by `scale`; then it stays within `cap`, softly.

    Where there is a `bias` [vocabulary], that is added.
    """

    scale: float = 1.0
    cap: float | None = None
    bias: Tensor | None = None

    @classmethod
    def of(cls, model: PreTrainedModel) -> "Logits":
        """Read a model's configuration: the names are Transformers' own."""
        multiplied: float | None = getattr(model.config, "logit_scale", None)
        divided: float | None = getattr(model.config, "logits_scaling", None)
        scale = (1.0 if multiplied is None else multiplied) / (divided or 1.0)
        if getattr(model.config, "scale_decoder_outputs", False):
            # T5 does that to what the LM head reads.
            scale *= model.config.d_model**-0.5
        bias = dict(model.named_buffers()).get("final_logits_bias")
        said = bias is not None and bool(bias.any())
        cap: float | None = getattr(model.config, "final_logit_softcapping", None)
        return cls(scale, cap, bias[0] if bias is not None and said else None)

    def __call__(self, logits: Tensor) -> Tensor:
        """What becomes of logits [n, vocabulary]."""
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.bias is not None:
            logits = logits + self.bias.to(logits.dtype)
        if self.cap is None:
            return logits
        # Row by row: PyTorch computes the end of what it is given in another way than the rest.
        return torch.stack([torch.tanh(row.float() / self.cap) * self.cap for row in logits])
