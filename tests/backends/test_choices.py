"""Choices that ``--backend`` and ``--mode`` ask for, and the needs of a mode."""

from __future__ import annotations

from pathlib import Path

import pytest

import backends
import backends.torch
from tasks.task import RequestError

NUMPY, EAGER, COMPILE = ("numpy", "eager"), ("torch", "eager"), ("torch", "compile")
REPLAYED = ("torch", "graph")
XLA, JIT = ("tensorflow", "xla"), ("jax", "jit")
DEFAULTS = tuple((name, backends.load(name).MODES[0]) for name in backends.NAMES)
EVERY = tuple((name, mode) for name in backends.NAMES for mode in backends.load(name).MODES)


@pytest.mark.parametrize(
    ("wanted", "mode", "found"),
    [
        ([], None, DEFAULTS),
        (["torch"], None, (EAGER,)),
        (["torch:compile", "torch"], None, (COMPILE, EAGER)),
        (["jax", "torch:all", "torch:eager"], None, (JIT, EAGER, COMPILE, REPLAYED)),
        (["all"], None, EVERY),
        (["numpy", "torch"], "compile", (NUMPY, COMPILE)),
        ([], "xla", tuple(XLA if name == "tensorflow" else (name, m) for name, m in DEFAULTS)),
        (["torch:eager", "torch"], "compile", (EAGER, COMPILE)),
    ],
)
def test_what_is_chosen(
    wanted: list[str], mode: str | None, found: tuple[backends.Choice, ...]
) -> None:
    assert backends.chosen(wanted, mode) == found


@pytest.mark.parametrize(
    ("wanted", "mode", "words"),
    [
        (["torch:fast"], None, "torch has no mode 'fast'; its modes are: eager, compile, graph"),
        (["theano:all"], None, "no backend 'theano'"),
        (["theano"], "compile", "no backend 'theano'"),
        (["torch", "numpy"], "xla", "--mode xla .*torch: eager, compile, graph; numpy: eager"),
        (["torch:compile"], "compile", "--mode compile .*a --backend without a mode of its own"),
    ],
)
def test_what_there_is_not_is_refused(wanted: list[str], mode: str | None, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        backends.chosen(wanted, mode)


class TestCompiler:
    @pytest.fixture(autouse=True)
    def nothing_is_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("CXX", raising=False)

    def there_is(self, path: Path) -> None:
        path.touch(mode=0o755)

    def test_without_one_only_what_compiles_is_missing_and_says_what_to_do(self) -> None:
        assert "needs a C++ compiler" in str(backends.torch.available("compile"))
        assert "apt install g++" in str(backends.torch.available("compile"))
        assert backends.torch.available("eager") is None

    @pytest.mark.parametrize("name", ["g++", "clang++"])
    def test_one_on_the_path_is_found_and_named_to_the_worker(
        self, tmp_path: Path, name: str
    ) -> None:
        self.there_is(tmp_path / name)
        assert backends.torch.available("compile") is None
        assert backends.torch.environment("cpu", 1)["CXX"] == name

    def test_an_empty_name_asks_for_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CXX", "")
        assert "no g++ or clang++" in str(backends.torch.available("compile"))
        self.there_is(tmp_path / "g++")
        assert backends.torch.environment("cpu", 1)["CXX"] == "g++"

    def test_its_version_is_told_if_it_can_be_read(self, tmp_path: Path) -> None:
        """An update of it changes kernels, and nothing that Python has installed."""
        for name, script in {
            "g++": "echo 'g++ (Debian) 14.2.0'; echo Copyright",
            "mute": "exit 1",
            "odd": "printf '\\377 9\\n'",
        }.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
        versions = [backends.torch._version(n) for n in ("g++", "mute", "odd", "absent", None)]
        assert versions[0] == "g++ (Debian) 14.2.0"
        assert versions[2] == "\ufffd 9"
        assert {versions[1], *versions[3:]} == {"not readable"}

    def test_the_one_that_is_asked_for_has_to_be_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.there_is(tmp_path / "g++")
        own = tmp_path / "elsewhere"
        monkeypatch.setenv("CXX", str(own))
        assert str(own) in str(backends.torch.available("compile"))
        self.there_is(own)
        assert backends.torch.available("compile") is None
        assert backends.torch.environment("cpu", 1)["CXX"] == str(own)
