"""Versions of packages: of the copy that is imported, whatever else lies on the path."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from suite.records import builder
from suite.system import environment
from suite.system.packages import versions
from tests.suite.examples import CELL


def install(folder: Path, version: str, name: str = "thing", module: str | None = "thing") -> Path:
    """A copy in ``folder``, with its metadata and, unless None, its module."""
    files = ["METADATA", "RECORD"]
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    listed = [f"{info.name}/{file},," for file in files]
    source = f"__version__ = '{version}'\n"
    listed.append(f"thing/__init__.py,sha256=0,{len(source)}")
    if module:
        (folder / module).mkdir(exist_ok=True)
        (folder / module / "__init__.py").write_text(source)
    (info / "RECORD").write_text("\n".join(listed))
    return info


def of(*folders: Path, certain: str = "") -> dict[str, str]:
    return versions([str(folder) for folder in folders], (certain,))


class TestTwice:
    def test_the_first_on_the_path_is_imported(self, tmp_path: Path) -> None:
        install(tmp_path / "a", "1.0")
        install(tmp_path / "b", "2.0")
        assert of(tmp_path / "a", tmp_path / "b") == {"thing": "1.0"}
        assert of(tmp_path / "b", tmp_path / "a") == {"thing": "2.0"}

    def test_metadata_without_its_module_are_not_what_is_imported(self, tmp_path: Path) -> None:
        install(tmp_path / "a", "1.0", module=None)
        install(tmp_path / "b", "2.0")
        assert of(tmp_path / "a", tmp_path / "b") == {"thing": "2.0"}

    def test_another_spelling_is_the_same_package(self, tmp_path: Path) -> None:
        install(tmp_path / "a", "1.0", "Some.Thing")
        install(tmp_path / "b", "2.0", "some_thing")
        assert of(tmp_path / "a", tmp_path / "b") == {"Some.Thing": "1.0"}
        assert of(tmp_path / "b", tmp_path / "a") == {"some_thing": "2.0"}

    @pytest.mark.parametrize(("first", "second"), [("1.0", "2.10.0"), ("2.10.0", "1.0")])
    def test_of_two_in_one_folder_it_is_that_whose_files_are_there(
        self, tmp_path: Path, first: str, second: str
    ) -> None:
        """As an update leaves them that was interrupted."""
        install(tmp_path, first)
        install(tmp_path, second)
        assert of(tmp_path) == {"thing": second}


class TestWithoutMetadata:
    @pytest.mark.parametrize(
        "metadata", [None, b"", b"Name: thing", b"Version: 1.0", b"Name: \xff\xfe\nVersion: 1\n"]
    )
    def test_a_leftover_costs_nothing(self, tmp_path: Path, metadata: bytes | None) -> None:
        leftover = tmp_path / "a" / "thing-0.9.dist-info"
        leftover.mkdir(parents=True)
        (leftover / "INSTALLER").write_text("pip")
        if metadata is not None:
            (leftover / "METADATA").write_bytes(metadata)
        install(tmp_path / "b", "2.0")
        assert of(tmp_path / "a", tmp_path / "b") == {"thing": "2.0"}

    def test_files_that_cannot_be_listed_cost_nothing(self, tmp_path: Path) -> None:
        (install(tmp_path / "a", "1.0") / "RECORD").write_bytes(b'"\xff,,,,')
        (install(tmp_path / "b", "2.0", module=None) / "RECORD").unlink()
        assert of(tmp_path / "a", tmp_path / "b") == {"thing": "1.0"}

    def test_a_record_is_begun_all_the_same(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Commands begin with it: ``run``, ``time``, ``check``, ``compare`` and ``reproduce``."""
        (tmp_path / "numpy-0.9.dist-info").mkdir()
        monkeypatch.setattr(sys, "path", [sys.path[0], str(tmp_path), *sys.path[1:]])
        monkeypatch.setattr(
            environment, "package_versions", environment.package_versions.__wrapped__
        )
        import numpy

        record = builder.begin("s", CELL)
        assert record.packages["numpy"] == numpy.__version__
        assert environment.computing(record.packages)["numpy"] == numpy.__version__


class TestOtherCopies:
    def test_a_source_tree_without_metadata_is_no_version_that_is_known(
        self, tmp_path: Path
    ) -> None:
        tree = tmp_path / "tree"
        (tree / "thing").mkdir(parents=True)
        (tree / "thing" / "__init__.py").touch()
        install(tmp_path / "b", "2.0")
        found = of(tree, tmp_path / "b", certain="thing")
        assert found == {"thing": f"unknown: imported from {tree.resolve()}"}
        assert of(tmp_path / "b", tree, certain="thing") == {"thing": "2.0"}

    def test_an_editable_install_is_imported_from_its_source(self, tmp_path: Path) -> None:
        tree = tmp_path / "tree"
        (tree / "thing").mkdir(parents=True)
        (tree / "thing" / "__init__.py").touch()
        info = install(tmp_path / "b", "2.0", module=None)
        (info / "direct_url.json").write_text('{"dir_info": {"editable": true}, "url": "file:"}')
        assert of(tree, tmp_path / "b", certain="thing") == {"thing": "2.0"}

    @pytest.mark.parametrize(("safe", "version"), [(False, "2.0"), (True, "1.0")])
    def test_where_python_was_started_no_worker_searches(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, safe: bool, version: str
    ) -> None:
        install(tmp_path / "here", "1.0")
        install(tmp_path / "site", "2.0")
        path = [str(tmp_path / "here"), str(tmp_path / "site")]
        flags = SimpleNamespace(safe_path=safe)
        monkeypatch.setattr(environment, "sys", SimpleNamespace(path=path, flags=flags))
        assert environment.package_versions.__wrapped__() == {"thing": version}
