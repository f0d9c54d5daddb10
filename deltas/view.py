"""Views: how an attention module looks at keys, as its call says it."""

from dataclasses import dataclass

from torch import Tensor, nn

from deltas.errors import UnsupportedBase

# The places of a step's rows are the step's to know, and nothing is cached by Transformers.
_ELSEWHERE = frozenset({"position_ids", "use_cache"})


@dataclass(frozen=True, slots=True)
class View:
    """How a layer's rows look at keys: their scale, at earlier ones alone, within a window."""

    scale: float
    causal: bool
    window: int | None = None

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
        if sliding_window is not None and not causal:
            unknown.add("sliding_window to both sides")
        if key.shape != value.shape:
            unknown.add("values of another shape than keys")
        if unknown:
            raise UnsupportedBase(
                f"This base's attention ({type(module).__name__}) asks for "
                f"{', '.join(sorted(unknown))}, which is not computed here: its answers would be "
                "wrong. Serve a base of another architecture."
            )
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        return cls(scale, causal, sliding_window)
