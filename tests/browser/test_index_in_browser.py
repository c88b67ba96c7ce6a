"""The index and the gallery in a real browser, from disk: they fit, read well in light and dark,
and load nothing.
"""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from PIL import Image

from muse_core.results.measurements import Comparison, Measurement

from ..unit.report.executed import FINAL, SHARED, write_evaluation

EVERYWHERE = pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
)
CLAIM = (
    "A claim of usual length that says what the notebook shows, in one sentence or two. And "
    + "a long_word_" * 9
)
VALUES = {
    "psnr": 26.5,
    "zero_shot": 0.986,
    "linear_probe": 0.988,
    "miou": 0.668,
    "attention_auc": 0.987,
}

FAINT = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (value) => value <= 0.04045 * 255 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const found = numbers(getComputedStyle(node).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const contrast = (node) => {
    const ends = [light(numbers(getComputedStyle(node).color)), light(behind(node))].sort((a, b) => b - a);
    return (ends[0] + 0.05) / (ends[1] + 0.05);
  };
  const own = (node) => [...node.childNodes].some((one) => one.nodeType === 3 && one.textContent.trim());
  return [...document.querySelectorAll("main *")].filter((node) => own(node) && node.checkVisibility())
    .map((node) => [contrast(node).toFixed(1), node.textContent.trim().slice(0, 40)]).filter(([ratio]) => ratio < 4.5);
}"""
"""Texts whose contrast is below WCAG's AA."""


def picture(alt: str, plotly: bool = False) -> Any:
    """An output of a `Picture`."""
    buffer = io.BytesIO()
    Image.effect_noise((900, 400), 60).convert("RGB").save(buffer, format="PNG")
    output = nbformat.v4.new_output(
        "display_data", data={"image/png": base64.b64encode(buffer.getvalue()).decode()}
    )
    output.metadata.update({"muse": {"name": "a", "alt": alt}, "image/png": {"width": 450}})
    if plotly:
        trace = {"type": "scatter", "mode": "lines", "y": [1, 3, 2]}
        output.data["application/vnd.plotly.v1+json"] = {
            "data": [trace],
            "layout": {"title": {"text": "A curve"}},
        }
    return output


def execute(folder: Path, stem: str, *outputs: Any, status: str = "done", error: str = "") -> None:
    """What a run leaves of one notebook."""
    from muse_core.report.stamps import Stamp, write_stamp

    folder.mkdir(parents=True, exist_ok=True)
    prose = nbformat.v4.new_markdown_cell(f"# {stem[:2]} · Title of {stem}\n\n{CLAIM}")
    code = nbformat.v4.new_code_cell("1", outputs=list(outputs))
    nbformat.write(nbformat.v4.new_notebook(cells=[prose, code]), folder / f"{stem}.ipynb")
    values = {
        "commit": "0123456789+changes",
        "preset": "tiny",
        "device": "cpu",
        "date": "2026-01-01T10:00:00+00:00",
    }
    write_stamp(
        folder / f"{stem}.ipynb",
        Stamp("key", status, folder.name, **values, seconds=90.0, error=error),
    )


def measure(folder: Path) -> None:
    """Records of an evaluation and of three stages."""
    figures = {
        name: Measurement(value, low=value * 0.9, high=value * 1.1)
        for name, value in VALUES.items()
    }
    pairs = [Comparison(name, FINAL, SHARED, 0.0, -1.0, 1.0) for name in VALUES]
    write_evaluation(folder, *pairs, final=figures, shared=figures)
    losses = {
        name: {"first": 1.25, "last": 0.125} for name in ("topology", "anchor", "reconstruction")
    }
    stage = {
        "preset": "tiny",
        "data": "scenes",
        "routing": "orthogonal",
        "steps": 440,
        "seconds": 90,
        "losses": losses,
    }
    for number in (1, 2, 3):
        (folder / f"records/stage{number}.json").write_text(
            json.dumps(stage | {"held_out": {"psnr": 21.0}})
        )


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two runs, one measured, one failed; the index of both, and a gallery of the first."""
    from muse_core.report import gallery, html, index

    root = tmp_path_factory.mktemp("workspace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUSE_ROOT", str(root))
        execute(root / "reports/tiny", "00_foundations", picture("Tiles"))
        execute(root / "reports/tiny", "01_topology_warmup", picture("A curve", plotly=True))
        measure(root / "reports/tiny")
        execute(
            root / "reports/broken",
            "00_foundations",
            status="failed",
            error="No weights: run 00 first.",
        )
        html.export_run(root / "reports/tiny")
        html.export_run(root / "reports/broken")
        index.write()
        gallery.put(gallery.site(gallery.light(root / "reports/tiny", "tiny")), gallery.folder())
        yield root / "reports"


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What pages wrote to the console or asked of the network: nothing, at the end of each test."""
    found: list[str] = []
    yield found
    assert found == []


def visit(
    browser: Any,
    path: Path,
    complaints: list[str],
    width: int = 1280,
    scheme: str = "light",
    **options: Any,
) -> Any:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, **options
    )
    page = context.new_page()

    def answer(route: Any) -> None:
        local = route.request.url.startswith(("file:", "data:", "blob:"))
        if not local:
            complaints.append(route.request.url)
        route.continue_() if local else route.abort()

    page.route("**/*", answer)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    return page


def assert_presentable(page: Any) -> None:
    """It fits, its pictures are painted and described, its text has enough contrast, and one
    heading leads.
    """
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("[...document.images].filter(i => !i.naturalWidth || !i.alt).length") == 0
    assert page.evaluate(FAINT) == []
    assert page.locator("h1").count() == page.get_by_role("main").count() == 1


@EVERYWHERE
@pytest.mark.parametrize("place", ["index.html", "gallery/index.html"])
def test_the_index_is_presentable(
    browser: Any, reports: Path, complaints: list[str], place: str, width: int, scheme: str
) -> None:
    page = visit(browser, reports / place, complaints, width, scheme)
    page.locator("details.stages summary").first.click()
    assert page.locator("details.stages table").first.is_visible()
    assert_presentable(page)


def test_a_run_shows_its_numbers_its_cards_and_its_failure(
    browser: Any, reports: Path, complaints: list[str]
) -> None:
    page = visit(browser, reports / "index.html", complaints)
    tiny, broken = (
        page.get_by_role("region", name="Run tiny"),
        page.get_by_role("region", name="Run broken"),
    )
    assert tiny.locator("dl.numbers > div").count() == 5
    assert "not told apart from shared routing" in tiny.locator("dl.numbers").inner_text()
    assert tiny.locator(".card img").count() == 2
    assert broken.locator(".cover.none").inner_text() == "00"
    assert "No weights: run 00 first." in broken.inner_text()


def test_a_whole_card_leads_to_its_page_and_the_keyboard_reaches_it(
    browser: Any, reports: Path, complaints: list[str]
) -> None:
    page = visit(browser, reports / "gallery/index.html", complaints)
    page.keyboard.press("Tab")
    assert page.get_by_role("link", name="Skip to the runs").is_visible()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "00 · Title of 00_foundations"
    page.locator(".card .cover").nth(1).click(force=True)  # the link lies over the whole card
    assert page.title().startswith("01 · Title")
    page.get_by_role("link", name="All runs").click()
    assert page.title() == "MUSE gallery"


def test_the_gallerys_figure_wakes_from_the_packed_library(
    browser: Any, reports: Path, complaints: list[str]
) -> None:
    page = visit(browser, reports / "gallery/tiny/01_topology_warmup.html", complaints)
    page.wait_for_selector(
        "figure[data-drawn=yes] .js-plotly-plot .scatterlayer path.js-line", timeout=30_000
    )
    assert not page.locator("figure > img").is_visible()


def test_without_the_script_index_and_gallery_can_be_read(
    browser: Any, reports: Path, complaints: list[str]
) -> None:
    page = visit(browser, reports / "gallery/index.html", complaints, java_script_enabled=False)
    page.get_by_role("link", name="01 · Title").click()
    assert page.locator("figure > img").is_visible()
