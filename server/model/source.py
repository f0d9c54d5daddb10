"""Where a base's files come from: a directory, an installed package or a hub."""

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RevisionNotFoundError,
)

from server.errors import BaseNotFound
from server.model.gguf import converted
from server.model.package import package_directory

PACKAGE = "package:"

# No pickle and no code, whatever else a repository holds.
_HUB_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]


@dataclass(frozen=True, slots=True)
class Source:
    """A base's name on the wire and its directory of safetensors, in Transformers' layout.

    `revision` is the commit that a hub's files are of; empty for all others.
    """

    name: str
    directory: Path
    revision: str = ""


def resolve_base(base: str, cache: Path) -> Source:
    """Find the base: a local path, `package:NAME` or a hub id, with `@revision` to pin one.

    GGUF weights are converted once, into `cache`. Raises BaseNotFound saying what to do.
    """
    if base.startswith(PACKAGE):
        name = base.removeprefix(PACKAGE)
        return Source(name, _weights_in(package_directory(name), cache))
    path = Path(base).expanduser()
    if path.exists():
        return Source(path.resolve().name, _weights_in(path, cache))
    if base.startswith((".", "/", "~")):
        raise BaseNotFound(f"There is no directory {base}.")
    repository, _, revision = base.partition("@")
    snapshot = _download(repository, revision or None)
    # A hub's cache names a snapshot's directory by its commit.
    return Source(repository, _weights_in(snapshot, cache), snapshot.name)


def _weights_in(place: Path, cache: Path) -> Path:
    """The shallowest folder under `place` that Transformers can load, or a converted GGUF file."""
    if place.is_file() and place.suffix == ".gguf":
        return converted(place, cache)
    configs = sorted(place.rglob("config.json"), key=lambda file: (len(file.parts), file))
    for config in configs:
        if any(config.parent.glob("*.safetensors")):
            return config.parent
    files = sorted(place.rglob("*.gguf"))
    if len(files) == 1:
        return converted(files[0], cache)
    if files:
        names = ", ".join(file.name for file in files)
        raise BaseNotFound(f"{place} holds several GGUF files; name one of them: {names}.")
    raise BaseNotFound(
        f"{place} holds no base: expected config.json with *.safetensors beside it, "
        "or one .gguf file. Pickled weights (.bin, .pt) are never opened."
    )


def _download(repository: str, revision: str | None) -> Path:
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=_HUB_FILES))
    except HFValidationError:
        raise BaseNotFound(
            f"'{repository}' is neither a directory here, package:NAME, nor a hub id."
        ) from None
    except RevisionNotFoundError as error:
        raise BaseNotFound(
            f"'{repository}' has no revision '{revision}': name a branch, a tag or a whole commit."
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        at = f" at revision '{revision}'" if revision else ""
        raise BaseNotFound(
            f"'{repository}'{at} is no directory here and could not be fetched from the hub "
            f"({type(error).__name__}); give a local directory or package:NAME."
        ) from error
