"""Tasks outside the house: found, loaded and named, and what is said when they cannot be."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import numpy as np
import pytest

import backends
import tasks
from tasks import outside
from tasks.task import RequestError
from tests.folders import MODEL, TASK, installed, mirrored, written


class TestTheAddress:
    def test_is_the_path_of_a_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = written(tmp_path / "port")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path))
        choice = ((str(folder), None),)
        for wanted in ("port", "./port", "port/", "~/port", str(folder), "../port"[3:]):
            assert tasks.choices(wanted) == choice
        monkeypatch.chdir(folder)
        assert tasks.choices(".") == choice

    def test_is_the_house_s_name_where_both_are_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = written(tmp_path / "lstm")
        monkeypatch.chdir(tmp_path)
        assert tasks.choices("lstm") == (("lstm", None),)
        assert tasks.choices("./lstm") == ((str(folder), None),)

    def test_says_what_is_missing(self, tmp_path: Path) -> None:
        folder = written(tmp_path / "port")
        with pytest.raises(RequestError, match=r"no folder .*prot; did you mean 'port'.*new"):
            tasks.choices(str(tmp_path / "prot"))
        (folder / "task.py").unlink()
        with pytest.raises(RequestError, match=r"port is no task's folder: it has no task\.py"):
            tasks.choices(str(folder))
        with pytest.raises(RequestError, match=r"no task 'port'.*or a folder with a task\.py"):
            tasks.choices("port")

    def test_is_shown_as_it_can_be_asked_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = written(tmp_path / "here" / "port")
        monkeypatch.chdir(tmp_path)
        assert outside.shown(str(folder)) == f".{os.sep}here{os.sep}port"
        monkeypatch.chdir(folder)
        assert outside.shown(str(folder)) == str(folder)
        assert outside.shown("lstm") == outside.plain("lstm") == "lstm"

    def test_gives_files_a_name_that_no_other_folder_gives(self) -> None:
        first, second = outside.plain("/a/my port"), outside.plain("/b/my port")
        assert first.startswith("my_port.")
        assert first != second


class TestItsFiles:
    def test_hide_no_package_of_their_names(self, tmp_path: Path) -> None:
        address = str(written(tmp_path / "port", numpy="import numpy\nHERE = numpy.pi\n"))
        module = outside.module(address, "numpy")
        assert np.pi == module.HERE
        assert importlib.import_module("numpy") is np

    def test_do_not_clash_with_those_of_a_folder_of_the_same_name(self, tmp_path: Path) -> None:
        found = [
            outside.module(
                str(written(tmp_path / place / "port", numpy=f"HERE = '{place}'")), "numpy"
            )
            for place in ("a", "b")
        ]
        assert [module.HERE for module in found] == ["a", "b"]

    def test_may_import_each_other_and_the_engines(self, tmp_path: Path) -> None:
        text = "from .parts.sizes import WIDTH\nfrom backends.numpy.engine import Program\n"
        folder = written(tmp_path / "port", numpy=text)
        (folder / "parts").mkdir()
        (folder / "parts" / "sizes.py").write_text("WIDTH = 7\n")
        assert outside.module(str(folder), "numpy").WIDTH == 7

    def test_have_a_digest_of_what_models_are_made_of(self, tmp_path: Path) -> None:
        folder = written(tmp_path / "port")
        address, digests = str(folder), []
        for path in ("tests/test_same.py", ".git/hook.py", "results/x.py", "notes.txt", "numpy.py"):
            digests.append(outside.digest(address))
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text("# changed")
        *before, last = digests
        assert set(before) == {last}
        assert outside.digest(address) != last

    def test_have_an_oracle(self, tmp_path: Path) -> None:
        none = str(written(tmp_path / "none", torch="", jax=""))
        named = TASK.replace("steps,", 'oracle = "jax"\n    steps,')
        assert backends.oracle("lstm") == ("numpy", "eager")
        assert backends.oracle(none) == ("torch", "eager")
        assert backends.oracle(str(written(tmp_path / "named", named, torch="", jax=""))) == (
            "jax",
            "jit",
        )
        assert (
            backends.oracle(str(written(tmp_path / "numpy", named, numpy="", jax="")))[0] == "numpy"
        )
        with pytest.raises(RequestError, match=r"is 'jax', for which it has no file.*torch"):
            backends.oracle(str(written(tmp_path / "lost", named, torch="")))

    def test_say_which_backends_are_meant(self, tmp_path: Path) -> None:
        address = str(written(tmp_path / "port", torch="", jax=""))
        assert backends.chosen([], of=[(address, None)]) == (("torch", "eager"), ("jax", "jit"))
        assert len(backends.chosen([], of=[(address, None), ("lstm", None)])) == 4
        assert "write numpy.py there" in str(backends.lacking("numpy", address))


class TestABrokenTask:
    @pytest.mark.parametrize(
        ("right", "wrong", "said"),
        [
            (
                "import numpy as np\n",
                "import nunpy as np\n",
                "task.py, line 2: ModuleNotFoundError",
            ),
            ("class Tiny(OwnTask):", "class Tiny(OwnTask:", "task.py, line 10: SyntaxError"),
            ("class Tiny(OwnTask):", "class Tiny:", "must define one subclass .* it has: none"),
            ("Leaf((16, 6), glorot_uniform)", "(16, 6)", "Tiny needs params = "),
            ("RMSprop(learning_rate=1e-3, rho=0.9, epsilon=1e-7)", "'rmsprop'", "one of SGD, Mom"),
            ("def batch(", "def batches(", r"needs batch\(self, seed, step\)"),
            ("default_rng([seed, step])", "default_rng()", r"gives other images .*\[seed, step\]"),
            ("(8, 16)", "(4, 16)", r"arrays of different lengths: {'images': 4, 'labels': 8}"),
            ('"images": images', '"images": [1]', "must return NumPy's arrays"),
            ("seed, step])", "seed, stop])", "task.py, line 21: NameError.*stop.*; mend it there"),
            ("steps, chunk_steps = 6, 4", "steps = 0", "chunk_steps and epochs from 1"),
        ],
    )
    def test_is_said_in_a_line(self, tmp_path: Path, right: str, wrong: str, said: str) -> None:
        assert TASK.count(right) == 1
        address = str(written(tmp_path / "port", TASK.replace(right, wrong)))
        with pytest.raises(RequestError, match=said) as raised:
            tasks.load(address, "full", "real")
        assert "\n" not in str(raised.value)
        assert "port/task.py" in str(raised.value)

    def test_has_no_data_but_its_own_and_no_other_batches(self, tmp_path: Path) -> None:
        address = str(written(tmp_path / "port"))
        assert tasks.resolve(address, "auto") == ("real", None)
        with pytest.raises(RequestError, match="port has no generated data"):
            tasks.resolve(address, "generated")
        with pytest.raises(RequestError, match="cannot have batches 2 times as large"):
            tasks.config(address, "full", options={tasks.BATCH_SCALE: "2"})
        with pytest.raises(RequestError, match="there is no profile 'fast'"):
            tasks.config(address, "fast")


class TestAnInstalledPackage:
    def test_announces_a_task(self, site: Path) -> None:
        written(site / "myports" / "mine", numpy=MODEL)
        installed(site, "my_ports", tetragrad_tasks="mine = myports.mine")
        assert tasks.names() == (*tasks.NAMES, "mine")
        assert tasks.choices("mine") == (("mine", None),)
        assert tasks.origin("mine") == "my_ports 1.0"
        assert tasks.origin("lstm") == "tetragrad"
        assert tasks.load("mine", "full", "real").label == "mine"
        assert backends.module("numpy", "mine") == "myports.mine.numpy"
        assert backends.lacking("numpy", "mine") is None
        assert "write torch.py there" in str(backends.lacking("torch", "mine"))
        with pytest.raises(RequestError, match="did you mean 'mine'"):
            tasks.choices("nine")

    def test_announces_a_backend(self, site: Path) -> None:
        mirrored(site)
        assert backends.names() == (*backends.NAMES, "mirror")
        assert backends.load("mirror").TITLE == "Mirror"
        assert backends.origin("mirror") == "tetragrad_mirror 1.0"
        assert backends.chosen([])[-1] == ("mirror", "eager")
        assert backends.lacking("mirror", "fashion_mlp") is None
        assert backends.source("mirror", "fashion_mlp") == site / "mirror" / "fashion_mlp.py"
        assert backends.lacking("mirror", "lstm") == "lstm has no Mirror implementation"

    def test_that_is_broken_is_named(self, site: Path) -> None:
        (site / "broken.py").write_text("import nothing_of_that_name")
        installed(site, "bad", tetragrad_backends="mirror = broken", tetragrad_tasks="mine = gone")
        with pytest.raises(
            RequestError, match=r"bad 1\.0 announces the backend 'mirror'.*uninstall"
        ):
            backends.load("mirror")
        with pytest.raises(
            RequestError, match=r"bad 1\.0 announces 'mine', but has no package gone"
        ):
            tasks.load("mine", "full", "real")

    def test_shares_its_name_with_no_other(self, site: Path) -> None:
        installed(site, "one", tetragrad_tasks="mine = one.mine")
        installed(site, "two", tetragrad_tasks="mine = two.mine")
        with pytest.raises(RequestError, match=r"both announce 'mine'.*uninstall one"):
            tasks.choices("mine")
