"""A server of a tiny base in a process of its own, and what its processes hold."""

import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from deltas.base import BaseSpec
from deltas.delta import Delta
from deltas.formats import native
from polydelta_client import Polydelta
from server.bench.process import server
from server.build import open_base
from server.settings import Settings
from tests.bases import save_base

# What fills with use is small, so that it is full soon: the caches of prefixes and of deltas.
_FLAGS = (
    "--kv-cache-gb", "0.005", "--host-cache-gb", "0.002", "--max-deltas", "4", "--max-tasks", "64",
    "--dtype", "float32", "--threads", "1", "--log-level", "error",
)  # fmt: skip


@dataclass(frozen=True)
class Served:
    """Where a server is, and what its base looks like to deltas."""

    url: str
    base: BaseSpec


@contextmanager
def tiny_server(
    flags: Sequence[str] = _FLAGS, log: Path | None = None, **changes: Any
) -> Generator[Served]:
    """Serve a tiny decoder; `log` is a file that keeps what the server says."""
    with tempfile.TemporaryDirectory() as folder:
        base = str(save_base("llama", Path(folder) / "tiny-llama", **changes))
        spec = open_base(Settings.gather(base=base, device="cpu")).spec
        with server([base, *flags], log=log) as url:
            yield Served(url, spec)


def put(served: Served, deltas: Mapping[str, Delta]) -> None:
    """Have a server serve deltas under their names."""
    with Polydelta(served.url) as client, tempfile.TemporaryDirectory() as folder:
        for name, delta in deltas.items():
            native.write(delta, Path(folder) / name, served.base)
            client.tasks.put(name, Path(folder) / name)


@dataclass(frozen=True)
class Held:
    """What the processes that this one started hold: MiB of memory, open files, threads."""

    memory: float
    files: int
    threads: int

    @classmethod
    def now(cls) -> "Held":
        """Look at them."""
        processes = psutil.Process().children(recursive=True)
        return cls(
            sum(each.memory_info().rss for each in processes) / (1 << 20),
            sum(each.num_fds() for each in processes),
            sum(each.num_threads() for each in processes),
        )
