"""Bodies in the shape of the wire contract."""

from typing import Any

_HEAD = {"id": "inf-1", "task": "spam", "version": "0123456789ab", "kind": "lora+head"}
_USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def inference(*outputs: dict[str, Any]) -> dict[str, Any]:
    """An answer of `/v1/infer`."""
    return _HEAD | {"outputs": list(outputs), "usage": _USAGE}


def piece(text: str, finish_reason: str | None = None, index: int = 0) -> dict[str, Any]:
    """An event with text."""
    return _HEAD | {"index": index, "text": text, "finish_reason": finish_reason}


def totals() -> dict[str, Any]:
    """The event with the usage, last before the end."""
    return _HEAD | {"usage": _USAGE}


def version(name: str) -> dict[str, Any]:
    """A version of a task."""
    return {
        "version": name,
        "digest": name * 2,
        "kind": "lora",
        "bytes": 9,
        "created": 1.5,
        "number": 1,
        "source": "upload",
        "active": True,
        "aliases": [],
        "by": None,
        "card": None,
        "scores": {},
    }


def task(name: str) -> dict[str, Any]:
    """A task, as `/v1/tasks` shows it."""
    return {
        "id": name,
        "type": "classify",
        "kind": "lora+head",
        "kinds": ["lora", "head"],
        "version": "0123456789ab",
        "versions": [version("0123456789ab")],
        "labels": ["ham", "spam"],
        "resident": "device",
        "bytes": 9,
        "requests": 3,
        "base": "smollm2",
    }


def health() -> dict[str, Any]:
    """An answer of `/health`."""
    return {"status": "ok", "base": "smollm2", "running": 2, "waiting": 1, "cache_usage": 0.5}
