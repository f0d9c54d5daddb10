"""PEFT's LoRA, with rank-stabilised scales, patterns and biases of B."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from deltas.delta import Part
from deltas.errors import InvalidDelta, UnsupportedDelta
from deltas.formats.fields import Fields
from deltas.formats.peft.base_copy import drop_base_copy
from deltas.formats.peft.method import Method, Source
from deltas.formats.peft.patterns import Patterns
from deltas.formats.peft.targets import Targets

_TRAINING_ONLY = (
    "corda_config",
    "eva_config",
    "fan_in_fan_out",  # how the base stores its weight: matters to merging alone
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "qalora_group_size",
    "runtime_config",
    "velora_config",
)
REFUSED = {
    "alora_invocation_tokens": "the delta would have to start within a sequence.",
    "arrow_config": "routing among several deltas depends on the input.",
    "ensure_weight_tying": "the tied embedding's share cannot be told from the file.",
    "kasa_config": "it changes the base's own weights.",
    "layer_replication": "the base would need other layers.",
    "megatron_config": "the modules are Megatron's own.",
    "monteclora_config": "its weights are sampled anew at every step.",
    "target_parameters": "LoRA on bare parameters is not done.",
    "trainable_token_indices": "trained token embeddings are not done.",
    "use_bdlora": "block-diagonal factors are not done.",
    "use_dora": "its scale depends on the base's weights, and peft.save_as_lora would lose it; "
    "train it with use_dora=False.",
    "use_qalora": "it is bound to a quantised base.",
}
"""Fields that must be unset, and why."""

HARMLESS_STARTS = (True, False, "gaussian", "eva", "orthogonal")
"""Initialisations that leave the base's weights as they are."""
CONVERTIBLE_STARTS = ("pissa", "olora")
"""How those begin that change the base, and that PEFT itself can make up for."""


class LoraMethod(Method):
    """LoRA on projections; the scale is folded into B."""

    kind = "lora"
    peft_types = ("LORA",)

    def parts(self, source: Source) -> Iterable[Part]:
        """One part for each projection."""
        _refuse_variants(source)
        targets = Targets.read(source.config)
        scales = _Scales.read(source.config, targets.patterns)
        with_bias = source.config.flag("lora_bias")
        down = source.weights.take_all(".lora_A.weight")
        up = source.weights.take_all(".lora_B.weight")
        biases = source.weights.take_all(".lora_B.bias") if with_bias else {}
        drop_base_copy(source)
        _check_pairs(down, up, biases if with_bias else up)
        targets.check(down, source.weights, source.base, source.task)
        for module, a in down.items():
            scale = scales.of(module, a, up[module])
            tensors = {"a": a, "b": up[module].float() * scale}
            if with_bias:
                tensors["bias"] = biases[module].float() * scale
            yield Part(self.kind, source.weights.site(module), tensors)


@dataclass(frozen=True, slots=True)
class _Scales:
    """Ranks and alphas: one of each, and exceptions by pattern."""

    rank: int
    alpha: float
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    stabilised: bool
    patterns: Patterns

    @classmethod
    def read(cls, config: Fields, patterns: Patterns) -> "_Scales":
        ranks, alphas = config.table("rank_pattern"), config.table("alpha_pattern")
        return cls(
            rank=config.whole("r", 8),
            alpha=config.number("lora_alpha", 8),
            ranks={key: ranks.whole(key) for key in ranks.names()},
            alphas={key: alphas.number(key) for key in alphas.names()},
            stabilised=config.flag("use_rslora"),
            patterns=patterns,
        )

    def of(self, module: str, a: Tensor, b: Tensor) -> float:
        """A module's scale; raises InvalidDelta if its tensors have another rank than declared."""
        rank = self.ranks.get(self._key(self.ranks, module), self.rank)
        alpha = self.alphas.get(self._key(self.alphas, module), self.alpha)
        if rank < 1 or a.shape[:1] != (rank,) or b.shape[-1:] != (rank,):
            raise InvalidDelta(
                f"'{module}' is declared with rank {rank}, but its factors are "
                f"{tuple(a.shape)} and {tuple(b.shape)}."
            )
        return alpha / (math.sqrt(rank) if self.stabilised else rank)

    def _key(self, keys: Iterable[str], module: str) -> str:
        matches = (key for key in keys if self.patterns.fullmatch(rf"(.*\.)?({key})", module))
        return next(matches, "")


def _refuse_variants(source: Source) -> None:
    config = source.config
    for ending in (".lora_embedding_A", ".lora_embedding_B"):
        if source.weights.take_all(ending):
            raise UnsupportedDelta(
                "LoRA on the token embedding is not done; leave it out of target_modules when "
                "training."
            )
    for field, reason in REFUSED.items():
        config.forbid(field, reason)
    if (bias := config.text("bias", "none")) != "none":
        raise UnsupportedDelta(
            f"The checkpoint trained the base's biases (bias='{bias}'); train with bias='none'."
        )
    start = config.raw("init_lora_weights")
    if start is not None and start not in HARMLESS_STARTS:
        raise UnsupportedDelta(
            f"The initialisation {str(start)[:64]!r} changed the base's own weights. "
            + _way_round(str(start))
        )
    config.ignore(*_TRAINING_ONLY)


def _way_round(start: str) -> str:
    if start.startswith(CONVERTIBLE_STARTS):
        return (
            "Save again with save_pretrained(..., path_initial_model_for_weight_conversion=...), "
            "the adapter as it was saved before training."
        )
    return "Train with init_lora_weights=True."


def _check_pairs(*groups: Mapping[str, Tensor]) -> None:
    names = [set(group) for group in groups]
    if unpaired := sorted(set.union(*names) - set.intersection(*names)):
        raise InvalidDelta(f"Tensors are missing for {', '.join(unpaired[:5])}.")
