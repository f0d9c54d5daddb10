"""Limits: how much one engine takes on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one engine.

    `max_batch_tokens` rows a step, `max_sequences` running at once, `max_waiting` behind them, for
    whom a place is expected within `max_wait` seconds or who have less than their share,
    `max_deltas` device slots; `host_cache_bytes` of deltas in host memory, `kv_cache_bytes` of
    keys and values, which `prefix_cache` lets sequences with equal beginnings share. A step that
    lasts `stall_seconds` is taken for one that never ends. `threads` compute a step, None for as
    many as PyTorch takes anyway. What reads like a special token in texts is one only where that is
    said: of chats and tasks' inputs, or of texts that are continued as they are.
    """

    max_batch_tokens: int = 512
    max_sequences: int = 64
    max_waiting: int = 1024
    max_wait: float = 0.1
    max_deltas: int = 16
    host_cache_bytes: int = 1 << 30
    kv_cache_bytes: int = 1 << 30
    prefix_cache: bool = True
    stall_seconds: float = 300.0
    threads: int | None = None
    control_tokens_in_chats: bool = False
    control_tokens_in_completions: bool = True

    def reads_control_tokens(self, *, raw: bool) -> bool:
        """Whether a text that reads like a special token is one."""
        return self.control_tokens_in_completions if raw else self.control_tokens_in_chats
