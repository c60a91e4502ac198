"""A whole study as a user meets it in MLflow: from the front to a trial, its formats and its analysis; the pages."""

import sys
from pathlib import Path

import pytest

from wordlength.search.plots import pareto_html
from wordlength.search.tracking import Description, Tracker
from wordlength.search.views import link

# What a recorded study is made of lies with the tests of the recorder.
sys.path.insert(0, str(Path(__file__).parents[1] / "search"))

from recorded import BASELINE, INFOS, SLOTS, report, view

pytestmark = [
    pytest.mark.usefixtures("keep"),
    pytest.mark.filterwarnings(
        r"ignore:The ``noload`` loader strategy is deprecated and will be removed in a future release"
    ),
]

ROWS = [(0, 0.031, 60_000), (1, 0.02, 70_000), (2, 0.025, 20_000), (3, 0.01, 10_000)]
QUIET = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
"""MLflow's assistant opens by itself on the first visit, over a quarter of the window."""


@pytest.fixture(scope="module")
def tracker(server, tmp_path_factory) -> Tracker:
    """A study recorded through the server's store by the real recorder."""
    tracker = Tracker(server.store, tmp_path_factory.mktemp("artifacts"), "recorded study")
    tracker.begin(Description(BASELINE, INFOS, tuple(SLOTS)))
    for number, stoi, memory in ROWS:
        changes = {"stoi": stoi, "memory_bytes": memory, "bits": 2 + number}
        tracker.log_trial(report(number, **changes))
    tracker.show(view(*ROWS), final=True)
    tracker.finish()
    return tracker


def followed(browser, name: str):
    """The artifact in its frame, on the page that a link of a note opens beside this one."""
    with browser.page.context.expect_page() as opened:
        browser.page.get_by_role("link", name=name).click()
    browser.follow(opened.value)
    return browser.page.frame_locator("iframe")


def test_from_the_front_to_a_trial_and_its_analysis(tracker, server, browser) -> None:
    browser.open(server.address + link(tracker.experiment_id), before=QUIET)
    browser.wait_for("[...document.querySelectorAll('a')].filter(a => /^trial \\d/.test(a.innerText)).length == 3")
    browser.page.get_by_role("link", name="trial 2").first.click()
    browser.wait_for("document.body.innerText.includes('STOI improvement +0.0250')")
    assert browser.evaluate("document.body.innerText.includes('20,000 bytes, 80.0 % saved')")
    frame = followed(browser, "Fixed-point analysis")
    frame.locator("h1", has_text="Trial 2").wait_for(timeout=20_000)
    assert frame.locator("h2", has_text="Findings, worst first").count() == 1
    assert browser.unexpected == []


def test_a_click_on_a_point_reaches_its_run(tracker, server, browser) -> None:
    browser.open(server.address + link(tracker.experiment_id), before=QUIET)
    browser.wait_for("document.querySelectorAll('.scatterlayer .point').length == 3")
    box = browser.page.locator(".scatterlayer .point").nth(1).bounding_box()
    browser.page.mouse.move(box["x"] + 4, box["y"] + 4)
    browser.page.mouse.click(box["x"] + 4, box["y"] + 4)
    # Beside the point: its run, and what it reached.
    browser.wait_for("[...document.querySelectorAll('a')].filter(a => a.innerText == 'trial 2').length == 2")
    browser.wait_for("document.body.innerText.includes('STOI improvement +0.0250')")
    browser.page.get_by_role("link", name="trial 2").last.click()
    browser.page.wait_for_timeout(2000)
    browser.follow(browser.page.context.pages[-1])  # A page of its own, where the run opens in one.
    browser.wait_for("/Fixed-point analysis/.test(document.body.innerText)")
    assert browser.unexpected == []


def test_the_summary_shows_the_picture_and_links_to_every_page(tracker, server, browser) -> None:
    summary = f"{server.address}/#/experiments/{tracker.experiment_id}/runs/{tracker.run_id}"
    browser.open(summary + "?workflowType=machine_learning", before=QUIET)
    browser.page.get_by_text("Show more").click()
    browser.wait_for("[...document.images].some(i => i.src.includes('pareto_front.png') && i.naturalWidth == 816)")
    frame = followed(browser, "Interactive figure")
    frame.locator("#pareto-front[data-ready=true]").wait_for(timeout=20_000)
    # Hovering works within MLflow's sandbox, too.
    frame.locator(".scatterlayer .points path").last.hover(force=True)
    frame.locator("#tip:not([hidden])").wait_for(timeout=5_000)
    assert browser.unexpected == []


@pytest.fixture
def page(browser, tmp_path) -> None:
    """The interactive page as a file of its own, opened without any network."""
    path = tmp_path / "front.html"
    path.write_text(pareto_html(view(*ROWS)), encoding="utf-8")
    browser.open(path.as_uri())
    browser.wait_for("document.querySelector('#pareto-front').dataset.ready == 'true'")


def test_hovering_shows_every_format_as_a_coloured_cell(page, browser) -> None:
    front = browser.page.locator(".scatterlayer .trace").filter(has=browser.page.locator(".points path"))
    front.locator(".points path").first.hover(force=True)
    browser.wait_for("!document.querySelector('#tip').hidden")
    titles = browser.evaluate("[...document.querySelectorAll('#tip table.strip td.c')].map(cell => cell.title)")
    assert len(titles) == len(SLOTS)
    assert {title.split(":")[0] for title in titles} == {str(slot) for slot in SLOTS}
    colours = browser.evaluate(
        "[...document.querySelectorAll('#tip table.strip td.c')].map(cell => getComputedStyle(cell).backgroundColor)"
    )
    assert len(set(colours)) == 3, "weights, biases and activations have other widths"
    assert all(url.startswith("file:") for url in browser.requests)
    assert browser.errors == []
