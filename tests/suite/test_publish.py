"""Published records: by the hash of their content, merged, refused, attested, shown."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from suite.asv_benchmarks import synthetic
from suite.records import published as folders, record as records, soundness
from suite.records.events import Outcome
from suite.records.findings import Finding
from suite.records.published import Attestation
from suite.records.record import Record
from suite.report import gallery
from suite.session import reproduce as reproduction
from suite.session.reproduce import Rerun
from tasks.task import RequestError
from tests.suite.command import assert_refused, in_process
from tests.suite.pages import Seen
from tests.suite.reported import HOSTILE
from tests.tiny import tiny_task

MACHINES = ({"cpu": "one", "cores": 2}, {"cpu": "another", "cores": 8})


def session(results: Path, number: int = 0, **changes: Any) -> list[Record]:
    """A session of four records on one of two machines, written below ``results``."""
    first = 4 * number
    found = [
        replace(synthetic.record(n), machine=MACHINES[number % 2], **changes)
        for n in range(first, first + 4)
    ]
    for one in found:
        records.write(results, one)
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def seen(folder: Path, task: str = "") -> str:
    """The text of the first page, or of those of a task."""
    paths = (folder / "pages").glob(f"{task}*.html") if task else [folder / "index.html"]
    return " ".join(Seen(path.read_text()).text for path in paths)


def test_a_site_has_each_record_by_its_hash_and_is_the_same_again(tmp_path: Path) -> None:
    found = session(tmp_path / "results") + session(tmp_path / "results", 1)
    done = in_process(tmp_path, "publish", "site")
    assert done.returncode == 0, done
    assert done.stdout.startswith("8 records added, 0 already there, 0 refused; 8 published\n")
    before = files(tmp_path / "site")
    kept = [*(tmp_path / "site" / "records").iterdir()]
    assert {p.stem for p in kept} == {soundness.digest(json.loads(canon(r))) for r in found}
    assert all(hashlib.sha256(p.read_bytes()).hexdigest() == p.stem for p in kept)
    pages = sorted(name for name in before if name.startswith("pages"))
    assert [name.split("-")[:2] for name in pages] == [
        *(["pages/fashion_mlp", "another"], ["pages/fashion_mlp", "one"])
    ]
    (tmp_path / "site" / "pages" / "old.html").write_text(gallery.MARK)
    (tmp_path / "site" / "pages" / "theirs.html").write_text("mine")
    assert "0 records added, 8 already" in in_process(tmp_path, "publish", "site").stdout
    assert files(tmp_path / "site") == before | {"pages/theirs.html": b"mine"}


def canon(record: Record) -> str:
    return soundness.canonical(asdict(record))


def test_a_page_has_the_verdict_the_command_and_no_speed_of_another_model(tmp_path: Path) -> None:
    ours, other, crashed, skipped = session(tmp_path / "results")
    assert other.equivalence
    assert ours.equivalence
    ours.equivalence["uncompared"] = ["hidden.bias"]
    records.write(tmp_path / "results", ours)
    wrong = copy.deepcopy(other.equivalence)
    wrong["findings"][2] |= {"error": 0.3, "passed": False}
    records.write(tmp_path / "results", replace(other, verified=False, equivalence=wrong))
    nothing: dict[str, Any] = {"chunks": [], "epochs": [], "timed": None, "reason": HOSTILE}
    records.write(tmp_path / "results", replace(crashed, outcome=Outcome.CRASHED, **nothing))
    records.write(tmp_path / "results", replace(skipped, outcome=Outcome.SKIPPED, **nothing))
    found = folders.add(tmp_path / "site", [tmp_path / "results"])
    assert (found.new, found.refused) == (3, ())
    gallery.write(tmp_path / "site")
    (page,) = gallery.build(folders.read(tmp_path / "site"))
    rows = {row.backend: row for row in page.rows}
    assert rows["numpy"].speed == ours.throughput
    assert rows["torch"].speed is rows["tensorflow"].speed is None
    hash_ = soundness.digest(json.loads(canon(ours)))
    assert rows["numpy"].command == f"tetragrad reproduce records/{hash_}.json --attest ."
    assert rows["tensorflow"].command.startswith("tetragrad run --task fashion_mlp --backend tens")
    assert page.filters.keys() == {"backend", "verified"}
    text = seen(tmp_path / "site", "fashion")
    for words in (
        *("10 quantities over 48 steps in float32 and float64 agree with NumPy's float64.", hash_),
        *("Nearest to its limit comes initial loss: error 4.2e-07, allowed 5.0e-05.", HOSTILE),
        "hidden.bias not compared: the first gradients are rounding alone.",
        "the loss agrees, its gradients differ: gradient in float32 differs most at hidden.kernel",
    ):
        assert words in text
    assert "GENERATED DATA" in text


def test_folders_merge_by_hash(tmp_path: Path) -> None:
    mine, theirs, both = (tmp_path / name for name in ("mine", "theirs", "both"))
    first = session(tmp_path / "a")[0]
    session(tmp_path / "b", 1)
    folders.add(mine, [tmp_path / "a"])
    folders.add(theirs, [tmp_path / "b", tmp_path / "a" / "records" / first.session])
    folders.attest(theirs, attestation(first))
    done = in_process(tmp_path, "publish", "mine", "theirs", "mine")
    assert done.returncode == 0
    assert done.stdout.startswith("4 records added, 4 already there, 0 refused; 8 published\n")
    for folder in (theirs, mine):  # copied, and published again
        shutil.copytree(folder, both, dirs_exist_ok=True)
    assert in_process(tmp_path, "publish", "both").returncode == 0
    assert files(both) == files(mine)
    assert "✓ reproduced : another, 2026-11-30" in " ".join(seen(mine, "fashion").split())


def attestation(record: Record, passed: bool = True) -> Attestation:
    finding = Finding("losses", "same", "all 3 steps to the bit", passed)
    hash_ = soundness.digest(json.loads(canon(record)))
    rest: Any = (dict(MACHINES[1]), {}, {})
    return Attestation(hash_, "2026-11-30T00:00:00.000+00:00", (finding,), (), *rest)


Change = Callable[[dict[str, Any]], Any]
UNSOUND: dict[str, tuple[Change, str]] = {
    "later schema": (lambda d: d.update(schema_version=9), "schema version 9"),
    "unknown field": (lambda d: d.update(score=1), "score"),
    "no cell": (lambda d: d.pop("cell"), "not a record"),
    "type": (lambda d: d.update(created=3), "created is 3"),
    "type below": (lambda d: d["cell"].update(seed="0"), "cell is"),
    "metric": (lambda d: d["epochs"][1]["metrics"].update(test_loss="low"), "'metrics'"),
    "epoch": (lambda d: d.update(stopped={"epoch": 5, "best": 9}), "best epoch is 9"),
    "speed": (lambda d: d["timed"]["throughput"].update(median="fast"), "'median' in its timed"),
    "no time": (lambda d: d["chunks"][0].update(seconds=0), "took no time"),
    "data": (lambda d: d["cell"].update(data="real"), "its data are 'generated'"),
    "command": (lambda d: d["cell"].update(backend="x; rm -rf ~"), "no plain name"),
    "folder": (lambda d: d["cell"].update(task="/home/me/port"), "no plain name"),
    "no verdict": (lambda d: d.update(equivalence=None), "rests on nothing"),
    "no findings": (lambda d: d["equivalence"].update(findings=[]), "nothing was compared"),
    "error": (lambda d: d["equivalence"]["findings"][2].update(error=0.5), "is said to pass"),
    "allowed": (
        lambda d: [f.update(tolerance=2.0) for f in d["equivalence"]["findings"]],
        "nothing was compared of initial loss",
    ),
    "failed": (lambda d: d["equivalence"]["findings"][2].update(passed=False), "says verified"),
    "another's": (lambda d: d["equivalence"].update(backend="jax"), "fashion_mlp jax float32"),
    "shape": (lambda d: d["equivalence"]["findings"].append(3), "its schema does not hold"),
}


def published(folder: Path, document: Any) -> Path:
    """A record under its hash, whatever it says."""
    path = folder / "records" / f"{soundness.digest(document)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(soundness.canonical(document))
    return path


@pytest.mark.parametrize("name", UNSOUND)
def test_what_does_not_hold_is_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    change, words = UNSOUND[name]
    document = json.loads(canon(synthetic.record(0)))
    change(document)
    published(tmp_path, document)
    found = folders.read(tmp_path)
    assert found.published == ()
    assert words in found.refused[0].reason
    assert str(tmp_path) not in found.refused[0].reason


def test_a_refused_file_is_listed_and_takes_no_good_one_s_place(tmp_path: Path) -> None:
    good = session(tmp_path / "results")
    folders.add(tmp_path / "site", [tmp_path / "results"])
    document = json.loads(canon(good[0]))
    forged = published(tmp_path / "theirs", document)
    forged.write_text(canon(replace(good[0], created="2020")))
    (forged.parent / f"{'0' * 64}.json").write_text("[" * 100_000)
    done = in_process(tmp_path, "publish", "site", "theirs")
    assert done.returncode == 1
    assert f"refused: {forged.name}: its hash does not hold" in done.stderr
    assert done.stdout.startswith("0 records added, 0 already there, 2 refused; 4 published\n")
    done = in_process(tmp_path, "publish", "site")  # they stay listed, and all else is well
    assert done.returncode == 0
    for words in ("its hash does not hold", "it is no JSON document", forged.name):
        assert words in seen(tmp_path / "site")
    kept = tmp_path / "site" / "records" / forged.name
    kept.write_bytes(forged.read_bytes())
    assert in_process(tmp_path, "publish", "site", "theirs").returncode == 1
    assert in_process(tmp_path, "publish", "site").returncode == 0  # the results mended it
    assert json.loads(kept.read_bytes()) == document


def test_requests_that_cannot_be_met(tmp_path: Path) -> None:
    assert_refused(in_process(tmp_path, "publish", "site"), "no records in", "`tetragrad run`")
    session(tmp_path / "results")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text("<h1>mine</h1>")
    assert_refused(in_process(tmp_path, "publish", "results"), "is a folder of results")
    assert_refused(in_process(tmp_path, "publish", "other"), "no page of `tetragrad publish`")
    assert_refused(in_process(tmp_path, "publish", "other/index.html"), "is a file")
    assert_refused(in_process(tmp_path, "publish", "site", "nowhere"), "no records in", "nowhere")
    assert_refused(in_process(tmp_path, "publish", ""), "has no name")
    assert_refused(in_process(tmp_path, "publish", "/proc/site"), "cannot be written")
    assert (tmp_path / "other" / "index.html").read_text() == "<h1>mine</h1>"
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("same", [True, False])
def test_attested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: bool) -> None:
    record = session(tmp_path / "results")[0]
    folders.add(tmp_path / "site", [tmp_path / "results"])
    again = replace(copy.deepcopy(record), machine=MACHINES[1])
    again.chunks[0]["losses"][1] *= 1 if same else 2
    monkeypatch.setattr(reproduction, "require_rerunnable", lambda record: tiny_task())
    monkeypatch.setattr(reproduction, "rerun", lambda r, task, *_: Rerun(r, again, task))
    path = records.path_of(tmp_path / "results", record)
    done = in_process(tmp_path, "reproduce", str(path), "--attest", "site")
    assert done.returncode == (not same), done
    (found,) = (p for p in folders.read(tmp_path / "site").published if p.attestations)
    assert found.record == record
    assert [a.reproduced for a in found.attestations] == [same]
    told = " ".join(seen(tmp_path / "site", "fashion").split())
    assert ("✓ reproduced : another" in told) is same
    assert ("✗ NOT reproduced : another" in told) is not same
    assert "differs: machine: cpu: one (the record); another (here)" in told


def test_attestations_that_do_not_hold(tmp_path: Path) -> None:
    record = session(tmp_path / "results")[0]
    site = tmp_path / "site"
    folders.add(site, [tmp_path / "results"])
    silent = replace(attestation(record), findings=(Finding("texts", "none", "none"),))
    unknown = replace(attestation(record), record="0" * 64)
    for one in (silent, unknown):
        folders.attest(site, one)
    changed = folders.attest(site, attestation(record, passed=False))
    changed.write_text(soundness.canonical(asdict(attestation(record))))
    found = folders.read(site)
    assert not any(one.attestations for one in found.published)
    assert sorted(refusal.reason[:28] for refusal in found.refused) == [
        *(
            "its hash does not hold: its ",
            "its verdict does not hold: i",
            "the record 000000000000… is ",
        ),
    ]
    stray = records.write(tmp_path / "stray", synthetic.record(8))
    with pytest.raises(RequestError, match="does not hold the record"):
        folders.require_published(site, soundness.record_in(stray)[0])
    done = in_process(tmp_path, "reproduce", str(stray), "--attest", "site")
    assert_refused(done, "does not hold the record", "`tetragrad publish` adds it")
    hash_ = soundness.digest(json.loads(canon(record)))
    kept = site / "records" / f"{hash_}.json"
    kept.write_text(canon(replace(record, created="2020")))
    with pytest.raises(RequestError, match=rf"{hash_}.json is refused: its hash does not hold"):
        folders.require_published(site, hash_)
