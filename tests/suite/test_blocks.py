"""``tetragrad show``: blocks of the same name side by side, of the backends that are asked for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import backends
import tasks
from suite.show.blocks import BACKWARD, BLOCKS, ELSEWHERE, blocks
from tests.suite.command import assert_refused, in_process

FILES = [file for task in tasks.NAMES for _, file in backends.sources(task) if file]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_blocks_have_all_of_a_file_but_its_imports(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    found = blocks(text)
    assert {"forward", "loss", "build"} <= found.keys() <= {*BLOCKS}
    own = [node for node in ast.parse(text).body[1:] if not isinstance(node, ast.Import)]
    own = [node for node in own if not isinstance(node, ast.ImportFrom)]
    wanted = sorted(
        line.strip()
        for node in own
        for line in (ast.get_source_segment(text, node) or "").splitlines()
        if line.strip() and not line.strip().startswith(("#", "@"))
    )
    shown = [line.strip() for block in found.values() for line in block.splitlines()]
    assert sorted(line for line in shown if line and not line.startswith(("#", "@"))) == wanted


def test_the_way_back_is_a_block_of_its_own_where_it_is_by_hand() -> None:
    source = (
        '"""Doc."""\nimport x\n# why\nN = 1\n\n\ndef loss(a):\n    v = a\n\n'
        "    # how\n    def backward(c):\n        return c\n\n    return v, backward\n\n\n"
        "@x.jit\ndef forward(a):\n    return N\n"
    )
    assert blocks(source) == {
        "model": "# why\nN = 1",
        "forward": "@x.jit\ndef forward(a):\n    return N",
        "loss": f"def loss(a):\n    v = a\n\n    {ELSEWHERE}\n\n    return v, backward",
        BACKWARD: "# how\ndef backward(c):\n    return c",
    }


def test_a_block_that_is_taken_from_another_file_is_shown_as_taken() -> None:
    taken = "from .layers import loss, other"
    assert blocks(f"import numpy\n{taken}\n\ndef forward(a):\n    return a\n") == {
        "forward": "def forward(a):\n    return a",
        "loss": taken,
    }


def test_those_that_are_asked_for_stand_side_by_side(tmp_path: Path) -> None:
    asked = ("show", "fashion_mlp", "--backend", "numpy", "--backend", "torch:compile")
    done = in_process(tmp_path, *asked, COLUMNS="180")
    titles = [line.strip() for line in done.stdout.splitlines() if line.strip() in BLOCKS]
    assert titles == [*BLOCKS]
    assert "backends/torch/fashion_mlp.py" in done.stdout
    assert "backends/jax" not in done.stdout
    assert "import " not in done.stdout
    (line,) = (line for line in done.stdout.splitlines() if "PyTorch derives it" in line)
    assert "def backward(cotangent: float)" in line
    assert_refused(in_process(tmp_path, "show", "lstm", "--backend", "numpi"), "numpy")
