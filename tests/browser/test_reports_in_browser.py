"""Exported pages in a real browser, from disk, with the network shut."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest

STORY = """from muse_core.figures import loss_curves
from math import exp
rows = [{"step": at, "loss/topology": exp(-at / 20)} for at in range(50)]
title = "A title that is much too long for a telephone, so that it has to be wrapped"
loss_curves(rows, title=title).shown(name="curve", alt="A curve falls.")"""
ROUTES = """from muse_core.figures import stage_routes
from muse_core.models.gradient_routes import WeightGroup
opened = {"topology": {str(group): group is WeightGroup.QUERY_KEY for group in WeightGroup}}
stage_routes({"topology": 1.0}, opened).shown(name="routes", alt="Only W_Q and W_K.")"""
LIVE = """from io import BytesIO
from IPython.display import Image, display
from PIL import Image as Drawn
drawn = BytesIO()
Drawn.new("RGB", (900, 300)).save(drawn, "png")
handle = display(Image(drawn.getvalue(), metadata={"alt": "So far."}), display_id=True)"""
TABLE = "from IPython.display import HTML\nHTML('<table><tr>' + '<td>a wide cell</td>' * 30 + '</tr></table>')"
PROSE = "# Warm-up\n\nOnly $W_Q$ and $W_K$ learn from $\\mathcal{L}_{topo}$:\n\n$$A = \\frac{qk^T}{\\sqrt{d}}$$"


@dataclass
class Visit:
    """A page in the browser with everything it complained about or asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two executed notebooks with their pages and an index."""
    from muse_core.report import run as pipeline

    root = tmp_path_factory.mktemp("workspace")
    (root / "notebooks").mkdir()
    parameters = nbformat.v4.new_code_cell(
        'run: str = "smoke"\ndevice: str = "cpu"', metadata={"tags": ["parameters"]}
    )
    for stem, code in {
        "00_a": [STORY, TABLE],
        "00_c": [ROUTES, LIVE],
        "01_b": ["x = 'y' * 400\nprint(x)", "raise ValueError('no')"],
    }.items():
        cells = [
            nbformat.v4.new_markdown_cell(PROSE),
            parameters,
            *map(nbformat.v4.new_code_cell, code),
        ]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "notebooks" / f"{stem}.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUSE_ROOT", str(root))
        pipeline.run(
            pipeline.plan(sorted((root / "notebooks").iterdir()), "smoke", {}), say=lambda _: None
        )
        yield root / "reports"


def visit(browser: Any, path: Path, *, width: int = 1280, scheme: str = "light") -> Visit:
    """Open a page from disk; any address that is not on it is noted and refused."""
    seen = Visit(browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme))

    def answer(route: Any) -> None:
        local = route.request.url.startswith(("file:", "data:", "blob:"))
        if not local:
            seen.requests.append(route.request.url)
        route.continue_() if local else route.abort()

    seen.page.route("**/*", answer)
    seen.page.on("console", lambda message: seen.complaints.append(message.text))
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    seen.page.goto(path.as_uri())
    return seen


def assert_clean(seen: Visit) -> None:
    assert seen.complaints == [] and seen.requests == []


def assert_fits(seen: Visit) -> None:
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [1280, 390])
def test_the_figure_is_interactive_and_everything_fits(
    browser: Any, reports: Path, width: int
) -> None:
    seen = visit(browser, reports / "smoke/00_a.html", width=width)
    seen.page.wait_for_selector(
        "figure[data-drawn=yes] .js-plotly-plot .scatterlayer path.js-line", timeout=30_000
    )
    assert not seen.page.locator("figure > img").is_visible()
    assert seen.page.locator("figure .plot").get_attribute("aria-label") == "A curve falls."
    assert_fits(seen)
    assert_clean(seen)


def test_on_a_telephone_names_of_columns_and_live_pictures_have_room(
    browser: Any, reports: Path
) -> None:
    seen = visit(browser, reports / "smoke/00_c.html", width=390)
    seen.page.wait_for_selector("figure[data-drawn=yes] .xtick text", timeout=30_000)
    names = seen.page.locator("figure .xtick text")
    boxes = [names.nth(at).bounding_box() for at in range(names.count())]
    edges = sorted((box["x"], box["x"] + box["width"]) for box in boxes)
    assert len(edges) == 7
    assert all(end <= start for (_, end), (start, _) in pairwise(edges))
    assert seen.page.get_by_alt_text("So far.").is_visible()
    assert_fits(seen)
    assert_clean(seen)


def test_every_picture_is_painted_and_described(browser: Any, reports: Path) -> None:
    seen = visit(browser, reports / "smoke/00_a.html")
    pictures = seen.page.evaluate("[...document.images].map(i => [i.naturalWidth, i.alt])")
    assert len(pictures) == 1 and all(width > 0 and alt for width, alt in pictures)
    assert_clean(seen)


def test_equations_are_drawn_by_the_browser(browser: Any, reports: Path) -> None:
    seen = visit(browser, reports / "smoke/00_a.html")
    equations = seen.page.locator("math")
    boxes = [equations.nth(at).bounding_box() for at in range(equations.count())]
    assert len(boxes) == 4 and all(box and box["width"] > 8 for box in boxes)
    fraction, letter = (seen.page.locator(name).first.bounding_box() for name in ("mfrac", "mi"))
    assert fraction["height"] > 1.5 * letter["height"]
    assert "$" not in seen.page.locator("main .text").first.inner_text()
    assert_clean(seen)


def test_a_figure_gives_its_numbers_and_its_command(browser: Any, reports: Path) -> None:
    seen = visit(browser, reports / "smoke/00_a.html")
    seen.page.wait_for_selector("figure[data-drawn=yes]", timeout=30_000)
    with seen.page.expect_download() as download:
        seen.page.get_by_role("button", name="data as CSV").click()
    assert download.value.suggested_filename == "curve.csv"
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0] == "panel,series,x,y,z,below,above" and len(lines) > 50
    assert not any("NaN" in line or "null" in line for line in lines)
    x, y = lines[1].split(",")[2:4]
    assert (float(x), float(y)) == (0, 1)
    seen.page.evaluate("navigator.clipboard.writeText = async (text) => { window.taken = text; }")
    seen.page.get_by_role("button", name="copy command").click()
    assert seen.page.evaluate("window.taken") == "muse run 00 --run smoke"
    assert_clean(seen)


def test_a_dark_page_has_dark_figures(browser: Any, reports: Path) -> None:
    for name in ("00_a", "00_c"):
        seen = visit(browser, reports / f"smoke/{name}.html", scheme="dark")
        seen.page.wait_for_selector("figure[data-drawn=yes]", timeout=30_000)
        paper = "getComputedStyle(document.querySelector('.main-svg')).backgroundColor"
        page = "getComputedStyle(document.body).backgroundColor"
        assert seen.page.evaluate(paper) == seen.page.evaluate(page) == "rgb(20, 24, 28)"
        fills = seen.page.evaluate(
            "[...document.querySelectorAll('.main-svg text')].map(t => getComputedStyle(t).fill)"
        )
        assert fills and "rgb(31, 41, 51)" not in fills, "no ink of the light page"
        assert_clean(seen)


def test_what_is_too_wide_says_so(browser: Any, reports: Path) -> None:
    seen = visit(browser, reports / "smoke/00_a.html", width=390)
    seen.page.wait_for_selector("figure[data-drawn=yes]", timeout=30_000)
    assert seen.page.locator(".hint").count() >= 1
    assert_fits(seen)


def test_without_the_script_the_still_remains(browser: Any, reports: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((reports / "smoke/00_a.html").as_uri())
    assert page.locator("figure > img").is_visible()
    context.close()


def test_code_opens_at_a_press(browser: Any, reports: Path) -> None:
    seen = visit(browser, reports / "smoke/00_a.html")
    assert not seen.page.locator("details.code pre").first.is_visible()
    seen.page.get_by_role("button", name="Show code").click()
    assert seen.page.locator("details.code pre").first.is_visible()
    assert_clean(seen)


@pytest.mark.parametrize("width", [1280, 390])
def test_a_failed_page_says_so_and_leads_to_its_cell(
    browser: Any, reports: Path, width: int
) -> None:
    seen = visit(browser, reports / "smoke/01_b.html", width=width, scheme="dark")
    assert "ValueError: no" in seen.page.get_by_role("alert").inner_text()
    seen.page.get_by_role("link", name="See the cell.").click()
    assert seen.page.locator("#failed-cell .trace").is_visible()
    assert_fits(seen)
    assert_clean(seen)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_index_leads_to_the_pages_and_back(browser: Any, reports: Path, width: int) -> None:
    seen = visit(browser, reports / "index.html", width=width)
    assert_fits(seen)
    seen.page.get_by_role("link", name="Warm-up").first.click()
    seen.page.get_by_role("link", name="All runs").click()
    assert seen.page.title() == "MUSE reports"
    assert_clean(seen)
