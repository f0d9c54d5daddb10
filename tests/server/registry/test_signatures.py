"""Signatures: what is served is what was signed, by the key that the operator names."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from deltas.base import BaseSpec
from server.errors import DeltaUnavailable, InvalidSettings, UnsignedDelta
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.signatures import Signatures
from server.registry.sources.sources import Sources
from server.registry.sources.transfer import Bounds
from server.registry.store import Store
from tests.file_server import serving_files
from tests.hub_server import HubServer
from tests.server.registry.prompts import number_of, write_prompt
from tests.signing import Pair

NAME = shared("spam")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair.make(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def registry(base: BaseSpec, tmp_path: Path, pair: Pair) -> Iterator[Registry]:
    with closing(demanding(tmp_path / "store", base, pair)) as registry:
        yield registry


def demanding(root: Path, base: BaseSpec, pair: Pair) -> Registry:
    return Registry(Store(root), base, signatures=Signatures(pair.public))


def with_template(folder: Path, base: BaseSpec, number: int = 1) -> Path:
    write_prompt(folder, base, number)
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    return folder


def answers(registry: Registry) -> int:
    return number_of(registry.load(registry.get(NAME).active.ref))


def test_what_the_command_line_signs_is_served_and_keeps_its_signature(
    registry: Registry, base: BaseSpec, tmp_path: Path, pair: Pair
) -> None:
    folder = with_template(tmp_path / "delta", base, 7)
    # What is no file of a delta is signed, too, and not kept.
    (folder / "README.txt").write_text("about")
    (folder / "checkpoint-1").mkdir()
    (folder / "checkpoint-1" / "optimizer.pt").write_bytes(b"state")
    pair.sign_by_command(folder)
    registry.put(NAME, folder)
    assert answers(registry) == 7
    kept = registry.file(registry.get(NAME).active.ref.digest, "model.sig")
    assert kept is not None
    assert kept.read_bytes() == (folder / "model.sig").read_bytes()


def test_the_refusal_says_what_to_type(
    registry: Registry, delta: Callable[[int], Path], pair: Pair
) -> None:
    folder = delta(3)
    with pytest.raises(UnsignedDelta, match="signed deltas alone") as caught:
        registry.put(NAME, folder)
    said = str(caught.value).partition("again: ")[2].removesuffix(".")
    typed = said.replace("DIRECTORY", str(folder)).replace(" KEY ", f" {pair.private} ").split()
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(typed, check=True, capture_output=True, env=os.environ | {"PATH": places})
    registry.put(NAME, folder)
    assert answers(registry) == 3


@pytest.mark.parametrize("name", ["delta.json", "delta.safetensors", "chat_template.jinja"])
@pytest.mark.parametrize("change", ["another", "gone", "added"])
def test_each_file_is_as_it_was_signed_or_nothing_is_served(
    registry: Registry, base: BaseSpec, tmp_path: Path, pair: Pair, name: str, change: str
) -> None:
    folder = with_template(tmp_path / "delta", base)
    kept = (folder / name).read_bytes()
    if change == "added":
        (folder / name).unlink()
        pair.sign(folder)
        (folder / name).write_bytes(kept)
    else:
        pair.sign(folder)
        (folder / name).unlink()
        if change == "another":
            (folder / name).write_bytes(_another(kept, name))
    # Without its configuration it is not even looked at as a delta.
    with pytest.raises(Exception, match=r"signed|signs|No delta"):
        registry.put(NAME, folder)
    assert registry.all() == []


def test_a_version_that_goes_while_it_is_checked_is_not_available(
    registry: Registry, base: BaseSpec, tmp_path: Path, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_prompt(tmp_path / "delta", base, 1)
    pair.sign_by_command(folder)
    registry.put(NAME, folder)
    signed = Signatures._signed

    def swept(self: Signatures, signature: Path) -> Mapping[str, str]:
        found = signed(self, signature)
        shutil.rmtree(signature.parent)
        return found

    monkeypatch.setattr(Signatures, "_signed", swept)
    with pytest.raises(DeltaUnavailable, match="could not be read"):
        answers(registry)


def _another(content: bytes, name: str) -> bytes:
    if name.endswith(".json"):
        return json.dumps(json.loads(content)).encode()
    return content[:-1] + bytes([content[-1] ^ 1])


def test_no_other_dialect_is_read_into_what_was_signed(
    registry: Registry, base: BaseSpec, tmp_path: Path, pair: Pair
) -> None:
    # A directory of both dialects is the native one's; without its mark it would be PEFT's.
    folder = write_prompt(tmp_path / "delta", base, 1)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (folder / "adapter_model.safetensors").write_bytes((folder / "delta.safetensors").read_bytes())
    pair.sign(folder)
    registry.put(NAME, folder)
    (folder / "delta.json").unlink()
    with pytest.raises(UnsignedDelta):
        registry.put(shared("other"), folder)


def test_signatures_by_others_and_of_something_else_are_none(
    registry: Registry, delta: Callable[[int], Path], pair: Pair, tmp_path: Path
) -> None:
    folder = pair.sign(delta(1))
    own = (folder / "model.sig").read_bytes()
    Pair.make(tmp_path, "stranger").sign(folder)
    theirs = (folder / "model.sig").read_bytes()
    bundle = json.loads(own)
    envelope = bundle["dsseEnvelope"]
    hostile = [
        theirs,
        (pair.sign(delta(2)) / "model.sig").read_bytes(),
        b"",
        b"[" * 100_000,
        b"{}",
        json.dumps(bundle | {"dsseEnvelope": envelope | {"signatures": []}}).encode(),
        json.dumps(
            bundle | {"verificationMaterial": json.loads(theirs)["verificationMaterial"]}
        ).encode(),
        json.dumps(bundle | {"dsseEnvelope": json.loads(theirs)["dsseEnvelope"]}).encode(),
        own + bytes(1 << 20),
    ]
    for signature in hostile:
        (folder / "model.sig").write_bytes(signature)
        with pytest.raises(UnsignedDelta):
            registry.put(NAME, folder)
    (folder / "model.sig").write_bytes(own)
    registry.put(NAME, folder)
    assert answers(registry) == 1


def test_digests_that_nobody_compares_are_told(
    registry: Registry, delta: Callable[[int], Path], pair: Pair
) -> None:
    with pytest.raises(UnsignedDelta, match="sha256"):
        registry.put(NAME, pair.sign(delta(1), algorithm="blake2"))


def test_versions_from_before_are_served_if_they_are_signed(
    base: BaseSpec, tmp_path: Path, delta: Callable[[int], Path], pair: Pair
) -> None:
    root = tmp_path / "store"
    with closing(Registry(Store(root), base)) as registry:
        registry.put(NAME, pair.sign(delta(1)))
        registry.put(NAME, delta(2))
    with closing(demanding(root, base, pair)) as registry:
        with pytest.raises(DeltaUnavailable, match="not served: This server takes signed"):
            answers(registry)
        with pytest.raises(UnsignedDelta):
            registry.put(NAME, delta(2))
        with pytest.raises(UnsignedDelta):
            registry.versions.activate(NAME, 2)
        registry.versions.activate(NAME, 1)
        assert answers(registry) == 1
        registry.put(NAME, pair.sign(delta(2)))
        assert answers(registry) == 2
        assert registry.get(NAME).active.number == 3


@pytest.mark.parametrize("scheme", ["file", "http", "hf", "s3"])
def test_the_signature_comes_with_the_files_wherever_they_are(
    registry: Registry, base: BaseSpec, tmp_path: Path, pair: Pair, scheme: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = write_prompt(tmp_path / "delta", base, 5)
    with serving_files() as files, serving_files() as storage:
        for name, value in {
            "HF_ENDPOINT": files.url,
            "AWS_ENDPOINT_URL": files.url,
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "eu-west-1",
        }.items():
            monkeypatch.setenv(name, value)

        def bring() -> None:
            files.put("/bucket/spam", folder)
            HubServer(files, storage).add("my-org/spam", folder)
            sources = Sources(private=True, bounds=Bounds(1 << 20, seconds=20))
            source = sources.own(
                {
                    "file": folder.as_uri(),
                    "http": f"{files.url}/bucket/spam/",
                    "hf": "hf://my-org/spam",
                    "s3": "s3://bucket/spam",
                }[scheme]
            )
            with registry.stage() as staging:
                source.bring(staging, sources.transfer(source))
                registry.put_staged(NAME, staging)

        with pytest.raises(UnsignedDelta):
            bring()
        pair.sign(folder)
        bring()
    assert answers(registry) == 5


def test_a_key_that_cannot_be_used_is_told_before_anything_starts(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = rsa.generate_private_key(65537, 2048).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    other = tmp_path / "rsa.pub"
    other.write_bytes(public.public_bytes(serialization.Encoding.PEM, form))
    for key in (tmp_path / "none", pair.private, other, tmp_path):
        with pytest.raises(InvalidSettings, match=r"openssl ecparam .* -pubout -out key.pub"):
            Signatures(key)
    monkeypatch.setitem(sys.modules, "model_signing._signing.sign_ec_key", None)
    with pytest.raises(InvalidSettings, match=r"pip install 'polydelta\[signatures\]'"):
        Signatures(pair.public)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
def test_the_keys_that_the_refusal_says_how_to_make_are_good(
    tmp_path: Path, delta: Callable[[int], Path]
) -> None:
    with pytest.raises(InvalidSettings) as caught:
        Signatures(tmp_path / "none")
    said = str(caught.value).partition("pair: ")[2].removesuffix(".")
    for command in said.split(";"):
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    pair = Pair(tmp_path / "key.pem", tmp_path / "key.pub")
    Signatures(pair.public).check(pair.sign(delta(1)))
