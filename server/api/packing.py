"""Packing: vectors as base64 of little-endian 32-bit floats, as OpenAI's clients read them."""

import base64
import struct
from collections.abc import Sequence


def packed(vector: Sequence[float]) -> str:
    """Pack a vector."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
