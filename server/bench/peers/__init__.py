"""What Polydelta is compared with: one peer a file, found by name."""

from collections.abc import Sequence
from pathlib import Path

from server.bench.errors import BenchError
from server.bench.peers.adapters import Adapters
from server.bench.peers.environment import Environment
from server.bench.peers.llama_cpp import LlamaCpp
from server.bench.peers.openvino import OpenVino
from server.bench.peers.peer import Peer
from server.bench.peers.transformers import Transformers
from server.bench.peers.vllm import Vllm

__all__ = ["ALL", "PEERS", "environment_of", "install", "installed", "named"]

ALL = "all"

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Transformers("transformers"),
        LlamaCpp("llama-cpp"),
        LlamaCpp("llama-cpp-q8", quantisation="Q8_0"),
        LlamaCpp("llama-cpp-q4", quantisation="Q4_0"),
        Vllm("vllm"),
        Vllm("vllm-unrestricted", restricted=False),
        Vllm("vllm-base", lora=False),
        OpenVino("openvino"),
        Adapters("adapters"),
    )
}


def environment_of(peer: Peer, cache: Path, torch_index: str | None = None) -> Environment:
    """Where a peer is installed, whether it is or not."""
    return Environment(cache / "peers" / peer.home, peer.requirements, torch_index)


def installed(names: Sequence[str], cache: Path) -> list[tuple[Peer, Environment]]:
    """The named peers with their environments; `all` stands for those that are installed.

    Raises BenchError naming the command that installs an absent one.
    """
    found = {name: (peer, environment_of(peer, cache)) for name, peer in PEERS.items()}
    if ALL in names:
        names = [name for name, (_, environment) in found.items() if environment.complete]
        if not names:
            raise BenchError("No peer is installed; run: polydelta bench install transformers")
    for name in names:
        peer = named(name)
        if not found[name][1].complete:
            raise BenchError(
                f"The peer {name} is not installed in {found[name][1].directory}; "
                f"run: polydelta bench install {peer.home}"
            )
    return [found[name] for name in names]


def install(name: str, cache: Path, torch_index: str | None) -> Environment:
    """Install a peer into its environment."""
    peer = named(name)
    environment = environment_of(peer, cache, torch_index)
    peer.install(environment)
    return environment


def named(name: str) -> Peer:
    """Look a peer up; raises BenchError listing the names there are."""
    if name not in PEERS:
        raise BenchError(f"There is no peer '{name}'; choose from {', '.join(PEERS)}.")
    return PEERS[name]
