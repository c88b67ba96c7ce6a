"""What is committed of reports: made from the notebooks as they are, light, and complete without a network."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GALLERY = ROOT / "reports" / "gallery"
STALE = "the gallery is stale: run make reports && make gallery"

pytestmark = pytest.mark.skipif(
    not (GALLERY / "manifest.json").exists(), reason="there is no reports/gallery yet: make reports && make gallery"
)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {path.relative_to(GALLERY).as_posix(): path.read_bytes() for path in GALLERY.rglob("*") if path.is_file()}


def test_it_was_made_from_the_notebooks_as_they_are(files: dict[str, bytes]) -> None:
    from muse_core.reporting.freshness import source_sha

    now = {source.stem: source_sha(source) for source in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
    assert json.loads(files["manifest.json"])["notebooks"] == now, STALE


def test_every_notebook_has_its_page(files: dict[str, bytes]) -> None:
    manifest = json.loads(files["manifest.json"])
    missing = [stem for stem in manifest["notebooks"] if f"{manifest['run']}/{stem}.html" not in files]
    assert not missing, STALE


def test_it_is_light_enough_for_git(files: dict[str, bytes]) -> None:
    assert sum(map(len, files.values())) < 10_000_000


def test_its_pages_ask_nothing_of_the_network(files: dict[str, bytes]) -> None:
    from muse_core.reporting.html import external_requests

    pages = {name: content.decode() for name, content in files.items() if name.endswith((".html", ".md"))}
    assert {name: found for name, page in pages.items() if (found := external_requests(page))} == {}


def test_its_links_lead_somewhere(files: dict[str, bytes]) -> None:
    from muse_core.reporting.gallery_checks import broken_links

    assert broken_links(files) == []


ABLATIONS = ROOT / "reports" / "ablations"


@pytest.fixture(scope="module")
def ablations() -> dict[str, bytes]:
    return {
        path.relative_to(ABLATIONS).as_posix(): path.read_bytes() for path in ABLATIONS.rglob("*") if path.is_file()
    }


def test_the_ablation_report_is_whole_and_light(ablations: dict[str, bytes]) -> None:
    from muse_core.reporting.gallery_checks import broken_links
    from muse_core.reporting.html import external_requests

    assert sum(map(len, ablations.values())) < 10_000_000 and broken_links(ablations) == []
    pages = {name: content.decode() for name, content in ablations.items() if name.endswith(".html")}
    assert {name: found for name, page in pages.items() if (found := external_requests(page))} == {}
    assert any("07_ablations" in name for name in pages) and any("06_gradient" in name for name in pages)


def test_the_ablation_record_holds_the_study_as_it_is_written(ablations: dict[str, bytes]) -> None:
    """Every row of studies/ablations.yaml, two seeds at least, and the commit of each."""
    import yaml

    study = yaml.safe_load((ROOT / "studies" / "ablations.yaml").read_text())
    record = json.loads(ablations["records/ablations.json"])
    assert [row["name"] for row in record["rows"]] == list(study["rows"]) and len(record["seeds"]) >= 2
    assert record["commits"] and all(len(row["cells"]["psnr"]["by_seed"]) >= 2 for row in record["rows"])
