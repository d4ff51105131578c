"""The report in Chromium, at three widths, by day and by night: all is drawn. The gallery."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from suite import report
from suite.asv_benchmarks import synthetic
from suite.records import published
from suite.report import gallery
from tests.suite import reported

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium on the path to open reports with")

DRAWN = """() => [...document.querySelectorAll('.plot')].map(plot => ({
  id: plot.id,
  points: (plot.data || []).reduce((n, t) => n + (t.z ? t.z.length : (t.x || []).length), 0),
  marks: plot.querySelectorAll('.trace, .heatmaplayer image').length,
  wide: plot.getBoundingClientRect().width,
}))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("report")
    rounds = (("numpy", "eager", [1.0, 1.1]), ("jax", "jit", [0.5, 0.6]))
    timed = reported.timing(*rounds, warnings=[reported.HOSTILE])
    rounded = [reported.record(b, precision="bfloat16") for b in ("numpy", "jax")]
    found = [*reported.everything(), *rounded]
    results = reported.write(folder, found, timed, *reported.at_batches())
    return report.write(results, found, beside=[reported.TIMED]).html.as_uri()


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (800, "dark"), (1400, "light")])
def test_every_figure_is_drawn_without_an_error(
    browser: Browser, address: str, width: int, scheme: Any
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(f"dialog {dialog.message}"))
    page.route("http*://**", lambda route: said.append(route.request.url))
    page.goto(address)
    page.wait_for_selector("html[data-drawn=all]", state="attached")
    plots = page.evaluate(DRAWN)
    assert len(plots) > 20
    assert [p for p in plots if not (p["points"] and p["marks"] and 0 < p["wide"] <= width)] == []
    whiskers = page.locator("[aria-label^='Line chart of samples/s against'] .yerror")
    assert whiskers.count() == 6
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert said == []
    page.close()


def test_paper_has_every_figure_and_no_dark_background(browser: Browser, address: str) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(address)
    page.wait_for_selector("html[data-drawn=all]", state="attached")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert dark != "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert [p for p in page.evaluate(DRAWN) if not p["marks"]] == []
    assert page.pdf()[:4] == b"%PDF"
    page.close()


def test_the_gallery_opens_from_disk_and_its_filters_leave_what_was_chosen(
    browser: Browser, tmp_path: Path
) -> None:
    synthetic.write(tmp_path / "results", 0, 8)
    published.add(tmp_path / "site", [tmp_path / "results"])
    index, _ = gallery.write(tmp_path / "site")
    page = browser.new_page(viewport={"width": 360, "height": 900}, color_scheme="dark")
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(index.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.click("tbody a")
    assert page.locator("output").inner_text() == "8 of 8 records"
    page.select_option("select[name=backend]", "JAX")
    assert page.locator("tbody tr:visible").count() == 2
    assert page.locator("output").inner_text() == "2 of 8 records"
    page.locator("tr:visible td:last-child summary").first.click()
    command = page.locator(".commands:visible").inner_text()
    assert command.startswith("tetragrad reproduce records/")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator(".commands:visible ~ ul a").click()
    assert page.url.endswith(command.split()[2])
    assert said == []
    page.close()
