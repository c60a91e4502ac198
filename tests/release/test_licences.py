"""docs/licences.md is what the installed packages say."""

import sys

import licences
import pytest

PINNED = licences.pinned()
pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="constraints.txt pins what Python 3.11 installs"
)


def test_the_page_is_of_the_installed_packages() -> None:
    assert licences.PAGE.read_text(encoding="utf-8") == licences.page(), "make licences writes it anew"


def test_what_asks_for_more_than_a_notice_is_optional_or_told() -> None:
    page = licences.page()
    always = page.split("## Always installed")[1].split("## With")[0]
    assert "| numpy |" in always
    assert "GPL" not in always
    assert "| espeakng-loader | 0.2.4 | GPL-3.0-or-later |" in page.split("## With the extra `demo`")[1]


def test_a_copyleft_package_that_is_not_told_of_stops_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(licences.COPYLEFT, "quantizers")
    with pytest.raises(LookupError, match=r"COPYLEFT must tell .* but does not of \['quantizers'\]"):
        licences.page()


def test_a_licence_that_nothing_tells_stops_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(licences.READ, "huey")
    with pytest.raises(LookupError, match="a package must tell its licence, but huey tells"):
        licences.page()


def test_a_pin_that_nothing_brings_stops_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(licences, "pinned", lambda: PINNED | {"left-over": "1.0"})
    with pytest.raises(LookupError, match=r"nothing brings \['left-over'\]"):
        licences.page()
