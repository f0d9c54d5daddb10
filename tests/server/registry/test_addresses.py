"""Addresses of sources: which are asked at all, and that none leads to a place of one's own."""

import socket

import pytest

from server.errors import InvalidRequest
from server.registry.registry import Registry
from server.registry.sources.network import Network
from server.registry.sources.public import is_public
from server.registry.sources.sources import Sources
from server.registry.sources.transfer import Transfer
from tests.server.registry.fetching import BOUNDS, bring


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "100.100.100.200", "168.63.129.16", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::",
        "::127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
        "2002:7f00:1::", "2001:0:0:0:0:0:0:1", "fe80::1", "fe80::1%lo", "fc00::1",
        "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1",
    ],
)  # fmt: skip
def test_addresses_of_one_s_own_are_never_connected_to(address: str) -> None:
    assert not is_public(address)
    network = Network(Transfer("x", BOUNDS), False, lambda host, port: ["1.1.1.1", address])
    with pytest.raises(InvalidRequest, match="--private-sources"):
        network.connect_tcp("rebound.example", 443)


def test_the_address_that_was_looked_at_is_the_one_that_is_connected_to() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        answers = iter([["127.0.0.1"], ["169.254.169.254"]])
        network = Network(Transfer("x", BOUNDS), True, lambda host, port: next(answers))
        network.connect_tcp("rebound.example", port).close()
        listener.accept()[0].close()
    for address in ("8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"):
        assert is_public(address)


@pytest.mark.parametrize(
    "source",
    [
        "https://host/spam",
        "https://host/a/../b/",
        "https://host/%2e%2e/",
        "https://host/spam/?signature=secret",
        "https://someone:secret@host/spam/",
        "https://host/a b/",
        "https://host/\r\nx/",
        "https:///spam/",
        "https://ho\u00dft/",
        "hf://owner",
        "hf://owner/..",
        "s3://bucket/a/../b",
        "s3://bu/cket@x:y/..",
        "s3://" + "x" * 2000,
        "ftp://host/",
        "memory://x/y",
    ],
)
def test_odd_addresses_are_refused_before_anybody_is_asked(registry: Registry, source: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        bring(registry, source)
    assert caught.value.param == "source"
    assert "secret" not in str(caught.value)


ALLOWED = [
    "hf://my-org/*",
    "hf://other/*@*",
    "s3://bucket/deltas/*/spam",
    "https://*.mine.example/*",
]


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        ("hf://my-org/spam", True),
        ("hf://my-org/spam/sub/folder", True),
        ("hf://my-org/spam@abc", False),
        ("hf://other/spam@abc", True),
        ("hf://my-org-2/spam", False),
        ("hf://my-orgs/spam", False),
        ("s3://bucket/deltas/a/spam", True),
        ("s3://bucket/deltas/a/b/spam", False),
        ("s3://bucket/deltas/a/spam/more", False),
        ("https://a.mine.example/x/", True),
        ("https://mine.example/x/", False),
        ("https://evil.example/x.mine.example/", False),
        ("http://a.mine.example/x/", False),
        ("gs://bucket/deltas/a/spam", False),
    ],
)
def test_requests_may_name_what_the_operator_allows(source: str, allowed: bool) -> None:
    sources = Sources(allowed=ALLOWED, bounds=BOUNDS)
    if allowed:
        sources.asked(source)
    else:
        with pytest.raises(InvalidRequest, match="--sources"):
            sources.asked(source)
    with pytest.raises(InvalidRequest, match="--sources"):
        Sources(bounds=BOUNDS).asked(source)
