import sys
from dataclasses import replace
from pathlib import Path

import pytest

from server.bench.errors import BenchError
from server.bench.peers import ALL, PEERS, install, installed
from server.bench.peers.environment import Environment
from server.bench.peers.peer import Peer, Setup
from server.system.processors import one_a_core, processors
from tests.server.bench.environments import borrow


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_an_absent_peer_names_the_command_that_installs_it(peer: Peer, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=f"run: polydelta bench install {peer.home}$"):
        installed([peer.name], tmp_path)


def test_an_unknown_peer_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"There is no peer 'vlm'; choose from .*vllm"):
        installed(["vlm"], tmp_path)
    with pytest.raises(BenchError, match="There is no peer 'vlm'"):
        install("vlm", tmp_path, None)


def test_all_stands_for_what_is_installed(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="No peer is installed"):
        installed([ALL], tmp_path)
    borrow("transformers", tmp_path)
    assert [peer.name for peer, _ in installed([ALL], tmp_path)] == ["transformers"]


def test_peers_get_the_threads_that_suit_this_process_and_the_quota(tmp_path: Path) -> None:
    setup = Setup(tmp_path, "float32", {}, (), rank=1, streams=1, length=1, scratch=tmp_path)
    found = processors().threads
    assert setup.threads == len(one_a_core()[: setup.threads]) == found
    assert replace(setup, quota=0.5).threads == 1
    assert replace(setup, quota=found + 0.5).threads == found


def test_every_peer_is_pinned() -> None:
    assert all("==" in needed for peer in PEERS.values() for needed in peer.requirements)


def test_another_version_is_not_the_peer(tmp_path: Path) -> None:
    old = Environment(tmp_path, ("it==1",))
    old.finish()
    assert old.complete
    assert not Environment(tmp_path, ("it==2",)).complete


def test_an_installation_that_fails_says_so_and_is_not_complete(tmp_path: Path) -> None:
    environment = Environment(tmp_path, ())
    environment.finish()
    with pytest.raises(BenchError, match="failed"):
        environment.call([sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(BenchError, match="failed"):
        environment.call([str(tmp_path / "absent")])
