"""Configurations of other libraries that bear the name of PEFT's, told by their fields."""

from collections.abc import Mapping

from deltas.errors import UnsupportedDelta
from deltas.strict_json import Json

MLX = (
    "adapter_config.json is MLX's, not PEFT's. Where it says a LoRA, write what PEFT writes: for "
    "each module, base_model.model.<module>.lora_A.weight and .lora_B.weight are its lora_a and "
    "lora_b, transposed; in adapter_config.json peft_type is LORA, target_modules names the "
    "modules, r is the rank and lora_alpha the rank times the scale."
)
ADAPTER_HUB = (
    "adapter_config.json is AdapterHub's, not PEFT's, and is not read. Write the adapter's tensors "
    "in Polydelta's own format, which holds such layers as the kind 'bottleneck'."
)


def refuse_foreign(config: Mapping[str, Json]) -> None:
    """Raise UnsupportedDelta for a configuration of MLX or AdapterHub, saying what to do."""
    if "fine_tune_type" in config or "lora_parameters" in config:
        raise UnsupportedDelta(MLX)
    if "peft_type" not in config and isinstance(config.get("config"), dict):
        raise UnsupportedDelta(ADAPTER_HUB)
