"""Pages made of hostile captions, names and records, in a real browser: they are read, and nothing
of them runs.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..evil_pages import write_run


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("evil")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUSE_ROOT", str(root))
        write_run(root)
        yield root / "reports"


def test_a_page_that_is_not_escaped_would_be_noticed(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<img src=x onerror=window.owned=1>")
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_function("window.owned === 1", timeout=10_000)


@pytest.mark.parametrize("place", ["evil/00_evil.html", "index.html"])
def test_no_script_of_theirs_runs(browser: Any, reports: Path, place: str) -> None:
    page, errors = browser.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: (errors.append("a dialog"), dialog.dismiss()))
    page.goto((reports / place).as_uri())
    if place.startswith("evil"):
        page.wait_for_selector("figure[data-drawn=yes] .js-plotly-plot", timeout=60_000)
        page.locator(".js-plotly-plot").first.hover()
        page.wait_for_selector(".muse-explorer canvas", timeout=30_000)
    for element in page.locator("details > summary").all():
        if element.is_visible():
            element.click()
    page.wait_for_timeout(500)
    assert page.evaluate("typeof window.owned") == "undefined" and errors == []
    assert page.locator("img[src=x], svg[onload], a[href^='javascript']").count() == 0
    assert "window.owned" in page.locator("body").inner_text(), (
        "what they wrote is there to be read"
    )
