"""Fetching and checking data sets, against a local server that misbehaves."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tasks import datasets
from tasks.datasets import downloads
from tasks.datasets.sources import SOURCES, File, Source
from tasks.task import RequestError

GOOD = b"the official bytes " * 10_000


class Handler(BaseHTTPRequestHandler):
    """Serves the file as the first folder of the address says; the rest is 404.

    Of those that break off, /resumes/ goes on where it is asked to, /restarts/ begins anew,
    /splices/ began with a false byte. /slow/ falls silent after half. /endless/ never stops.
    """

    asked: ClassVar[list[tuple[str, str | None]]] = []
    """Address and range of every request."""

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["Range"]))
        folder = self.path.split("/")[-2]
        half, wrong = len(GOOD) // 2, b"T" + GOOD[1:]
        begin = int((self.headers["Range"] or "bytes=0-")[6:-1])
        if folder == "redirects":
            self.send_response(302)
            self.send_header("Location", self.path.replace("redirects", "good"))
            self.end_headers()
            return
        body = {
            "good": GOOD,
            "wrong": wrong,
            "breaks": GOOD[:half],
            "slow": GOOD[:half],
            "resumes": GOOD[begin:] if begin else GOOD[:half],
            "restarts": GOOD if begin else GOOD[:half],
            "splices": wrong[begin:] if begin else wrong[:half],
            "endless": GOOD,
        }.get(folder)
        resumed = begin and folder in ("resumes", "splices")
        self.send_response(404 if body is None else 206 if resumed else 200)
        if body is not None and folder != "endless":
            self.send_header("Content-Length", str(len(GOOD) - begin if resumed else len(GOOD)))
        self.end_headers()
        self.wfile.write(body or b"")
        if folder == "slow":
            time.sleep(2)
        with suppress(ConnectionError):
            while folder == "endless":
                self.wfile.write(GOOD)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TETRAGRAD_DATA", str(tmp_path))
    for proxy in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    monkeypatch.setattr(downloads, "PAUSE", 0.0)
    Handler.asked.clear()
    return tmp_path / "example"


def source(server: str, *folders: str) -> Source:
    addresses = tuple(f"{server}/{f}/" for f in folders)
    return Source("example", {"data.bin": file_of(GOOD)}, addresses, "none", "none")


def file_of(content: bytes) -> File:
    return File(len(content), hashlib.sha256(content).hexdigest())


def test_a_file_comes_from_the_official_address(server: str, folder: Path) -> None:
    datasets.fetch(source(server, "good"))
    assert (folder / "data.bin").read_bytes() == GOOD
    datasets.verify(source(server, "good"))


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_users_umask_decides_who_may_read_what_was_fetched(
    server: str, folder: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        datasets.fetch(source(server, "good"))
    finally:
        os.umask(before)
    assert (folder / "data.bin").stat().st_mode & 0o777 == 0o666 & ~umask


BAD = ("wrong", "breaks", "gone", "slow", "splices", "endless")


@pytest.mark.parametrize("bad", BAD)
def test_the_mirror_serves_when_the_official_address_does_not(
    server: str, folder: Path, bad: str
) -> None:
    datasets.fetch(source(server, bad, "good"), timeout=0.2)
    assert (folder / "data.bin").read_bytes() == GOOD


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("wrong", "not the official file"),
        ("splices", "not the official file"),
        ("endless", "not the official file"),
        ("gone", "404 Not Found"),
        ("breaks", "Chunked|Connection"),
        ("slow", "Connection"),
    ],
)
def test_nothing_is_left_when_no_address_serves(
    server: str, folder: Path, bad: str, reason: str
) -> None:
    with pytest.raises(
        RequestError, match=rf"data.bin of example could not be downloaded.*({reason}).*network"
    ):
        datasets.fetch(source(server, bad), timeout=0.2)
    assert not [f for f in folder.rglob("*") if f.is_file()]


@pytest.mark.parametrize("kind", ["resumes", "restarts"])
def test_what_broke_off_is_gone_on_with(server: str, folder: Path, kind: str) -> None:
    datasets.fetch(source(server, kind))
    assert (folder / "data.bin").read_bytes() == GOOD
    ranges = [asked for _, asked in Handler.asked]
    assert ranges == [None, f"bytes={downloads.BLOCK}-"]


def test_a_redirection_is_followed(server: str, folder: Path) -> None:
    datasets.fetch(source(server, "redirects"))
    assert (folder / "data.bin").read_bytes() == GOOD


def test_a_proxy_is_asked(server: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server)
    datasets.fetch(source("http://data.invalid", "good"))
    assert (folder / "data.bin").read_bytes() == GOOD
    assert Handler.asked == [("http://data.invalid/good/data.bin", None)]


def test_a_terminal_sees_a_bar(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    datasets.fetch(source(server, "good"))
    assert "data.bin: " in terminal.getvalue()
    assert "/190k" in terminal.getvalue()


def test_an_unreachable_address_is_a_clear_error() -> None:
    with pytest.raises(RequestError, match="ConnectionError"):
        datasets.fetch(source("http://127.0.0.1:9", "good"))


def test_a_damaged_file_is_named_and_mended_by_fetch(server: str, folder: Path) -> None:
    folder.mkdir()
    (folder / "data.bin").write_bytes(b"T" + GOOD[1:])
    with pytest.raises(RequestError, match=r"data.bin is damaged.*data fetch example"):
        datasets.verify(source(server, "good"))
    datasets.fetch(source(server, "good"))
    datasets.verify(source(server, "good"))


def test_a_folder_that_cannot_be_written_is_named(server: str, tmp_path: Path) -> None:
    (tmp_path / "example").write_text("a file where the folder should be")
    with pytest.raises(RequestError, match=r"cannot be written.*TETRAGRAD_DATA"):
        datasets.fetch(source(server, "good"))


def test_a_file_may_lie_in_a_folder_of_its_own(server: str, folder: Path) -> None:
    apart = replace(source(server), addresses=(f"{server}/",), folders={"data.bin": "good/"})
    datasets.fetch(apart)
    assert (folder / "data.bin").read_bytes() == GOOD
    with pytest.raises(RequestError, match="could not be downloaded"):
        datasets.fetch(replace(apart, name="elsewhere", folders={}))


class TestSubstitute:
    """A file that serves in place of the official one."""

    OTHER = b"the same in fewer bytes"

    def source(self, server: str) -> Source:
        substitutes = {"data.bin": {"other.bin": file_of(self.OTHER)}}
        return replace(source(server, "good"), substitutes=substitutes)

    def test_it_is_read_where_only_it_is_there(self, folder: Path) -> None:
        offline = self.source("http://127.0.0.1:9")
        assert datasets.missing(offline) == [folder / "data.bin"]
        folder.mkdir()
        (folder / "other.bin").write_bytes(self.OTHER)
        assert datasets.missing(offline) == []
        assert datasets.read(offline, "data.bin") == self.OTHER
        datasets.fetch(offline)
        assert not (folder / "data.bin").exists()

    def test_the_official_file_comes_first(self, server: str, folder: Path) -> None:
        folder.mkdir()
        (folder / "other.bin").write_bytes(self.OTHER)
        (folder / "data.bin").write_bytes(GOOD)
        assert datasets.read(self.source(server), "data.bin") == GOOD

    def test_a_damaged_one_is_named_and_the_official_one_fetched(
        self, server: str, folder: Path
    ) -> None:
        folder.mkdir()
        (folder / "other.bin").write_bytes(b"damaged")
        with pytest.raises(RequestError, match=r"other.bin is damaged"):
            datasets.verify(self.source(server))
        datasets.fetch(self.source(server))
        assert datasets.read(self.source(server), "data.bin") == GOOD


class TestResolve:
    @pytest.fixture(autouse=True)
    def offline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        offline = replace(SOURCES["fashion_mnist"], addresses=("http://127.0.0.1:9/",))
        monkeypatch.setitem(SOURCES, "fashion_mnist", offline)

    def test_auto_says_so_when_it_falls_back_to_generated_data(self) -> None:
        used, notice = datasets.resolve("fashion_mnist", "auto")
        assert used == "generated"
        assert notice
        assert "GENERATED" in notice

    def test_real_is_never_replaced(self) -> None:
        with pytest.raises(RequestError, match="could not be downloaded"):
            datasets.resolve("fashion_mnist", "real")

    def test_generated_asks_for_nothing(self) -> None:
        assert datasets.resolve("fashion_mnist", "generated") == ("generated", None)
        for wanted in ("generated", "real", "auto"):  # there is nothing that could be missing
            assert datasets.resolve("points", wanted) == ("real", None)

    def test_a_damaged_file_never_turns_into_generated_data(self, tmp_path: Path) -> None:
        (tmp_path / "fashion_mnist").mkdir()
        for file in SOURCES["fashion_mnist"].files:
            (tmp_path / "fashion_mnist" / file).write_bytes(b"damaged")
        with pytest.raises(RequestError, match="damaged"):
            datasets.resolve("fashion_mnist", "auto")

    def test_an_unknown_data_set_is_refused_by_name(self) -> None:
        with pytest.raises(RequestError, match="no data set 'mnist'"):
            datasets.source("mnist")
