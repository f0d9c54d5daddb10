"""Views: how an attention module looks at keys, as its call says it."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from deltas.errors import UnsupportedBase
from deltas.kernels.backend import Bias
from deltas.relative import read_table

# The places of a step's rows are the step's to know, and nothing is cached by Transformers.
_ELSEWHERE = frozenset({"position_ids", "use_cache", "deterministic"})


@dataclass(frozen=True, slots=True)
class View:
    """How a layer's rows look at keys: their scale, at earlier ones alone, within a window.

    A row sees `window` keys to each side that it looks at, itself among them. Scores stay within
    `cap`, softly, and then gain `bias`; `sinks` [query heads] are scores of nothing, in float32.
    """

    scale: float
    causal: bool
    window: int | None = None
    cap: float | None = None
    sinks: Tensor | None = field(default=None, compare=False)
    bias: Bias | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        *,
        scaling: float | None = None,
        sliding_window: int | None = None,
        is_causal: bool | None = None,
        softcap: float | None = None,
        s_aux: Tensor | None = None,
        bias: Bias | None = None,
        position_bias: Tensor | None = None,
        dropout: float = 0.0,
        **others: object,
    ) -> "View":
        """Read a call of Transformers' attention function, tensors [batch, heads, rows, width].

        Raises UnsupportedBase if it says anything more that would change the result.
        """
        causal = bool(getattr(module, "is_causal", True) if is_causal is None else is_causal)
        rest = others | {"attention_mask": attention_mask, "dropout": dropout or None}
        unknown = {
            name
            for name, given in rest.items()
            if name not in _ELSEWHERE and given is not None and given is not False
        }
        try:
            bias = read_table(position_bias) if bias is None else bias
        except ValueError:
            unknown.add("position_bias")
        if key.shape != value.shape:
            unknown.add("values of another shape than keys")
        if unknown:
            raise UnsupportedBase(
                f"This base's attention ({type(module).__name__}) asks for "
                f"{', '.join(sorted(unknown))}, which is not computed here: its answers would be "
                "wrong. Serve a base of another architecture."
            )
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        sinks = None if s_aux is None else s_aux.float()
        return cls(scale, causal, sliding_window, softcap, sinks, bias)

    def sees(self, rows: Tensor, keys: Tensor) -> Tensor:
        """Which rows look at which keys, all being at these places, [rows, keys]."""
        ahead = keys - rows[:, None]
        if self.causal:
            seen = ahead <= 0
            return seen if self.window is None else seen & (ahead > -self.window)
        if self.window is None:
            return torch.ones_like(ahead, dtype=torch.bool)
        return ahead.abs() < self.window

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, bias: Tensor | None
    ) -> Tensor:
        """Attend in plain PyTorch.

        Queries are [batch, heads, rows, width], keys and values of fewer heads, the mask is
        [batch or 1, 1, rows, keys] and true where a row looks; what this view's bias says there is
        [heads, rows, keys]. Without a mask, rows see earlier keys alone if the view says so.
        """
        groups = query.shape[1] // key.shape[1]
        if self.cap is None and self.sinks is None and bias is None:
            return scaled_dot_product_attention(
                query, key, value, attn_mask=mask, is_causal=self.causal and mask is None,
                scale=self.scale, enable_gqa=groups > 1,
            )  # fmt: skip
        key, value = (each.repeat_interleave(groups, dim=1) for each in (key, value))
        scores = (query @ key.transpose(-1, -2)).float() * self.scale
        if self.cap is not None:
            scores = torch.tanh(scores / self.cap) * self.cap
        if bias is not None:
            scores = scores + bias
        if mask is None and self.causal:
            mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        if self.sinks is not None:
            sinks = self.sinks[:, None, None].expand(*scores.shape[:-1], 1)
            scores = torch.cat([scores, sinks], dim=-1)
        shares = scores.softmax(dim=-1)[..., : key.shape[-2]]
        return shares.to(value.dtype) @ value
