"""Where the base runs and at what precision, when that is left to the server."""

import torch

from server.errors import InvalidSettings

# Without one of these a processor emulates bfloat16, several times slower than float32.
_FAST_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")
_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def choose_device(wanted: str) -> torch.device:
    """Return the device named, or for "auto" CUDA where there is one; raises InvalidSettings."""
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise InvalidSettings("There is no CUDA device here; leave out --device cuda.")
    return torch.device("cuda" if available and wanted != "cpu" else "cpu")


def choose_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """Return the precision named, or for "auto" the fastest that keeps the base's answers."""
    if wanted != "auto":
        return _DTYPES[wanted]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float16
    return torch.bfloat16 if fast_bfloat16() else torch.float32


def fast_bfloat16() -> bool:
    """Whether this machine's processor computes bfloat16 natively."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in _FAST_BFLOAT16)
