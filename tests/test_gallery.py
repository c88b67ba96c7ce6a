"""What is committed of reports: made from the notebooks as they are, light, and complete without a
network.
"""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GALLERY = ROOT / "reports" / "gallery"
SHOWN_ELSEWHERE = {"08_generation"}
"""Has a committed folder of its own, from a longer training; in the gallery it is welcome and not
required.
"""

STALE = "the gallery is stale: run make reports && make gallery"

pytestmark = pytest.mark.skipif(
    not (GALLERY / "manifest.json").exists(),
    reason="there is no reports/gallery yet: make reports && make gallery",
)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {
        path.relative_to(GALLERY).as_posix(): path.read_bytes()
        for path in GALLERY.rglob("*")
        if path.is_file()
    }


def test_it_was_made_from_the_notebooks_as_they_are(files: dict[str, bytes]) -> None:
    from muse_core.report.freshness import source_sha

    now = {
        source.stem: source_sha(source)
        for source in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    }
    shown = json.loads(files["manifest.json"])["notebooks"]
    missing = now.keys() - shown.keys()
    assert missing <= SHOWN_ELSEWHERE and shown == {
        stem: now[stem] for stem in now if stem not in missing
    }, STALE


def test_every_notebook_has_its_page(files: dict[str, bytes]) -> None:
    manifest = json.loads(files["manifest.json"])
    missing = [
        stem for stem in manifest["notebooks"] if f"{manifest['run']}/{stem}.html" not in files
    ]
    assert not missing, STALE


def test_it_is_light_enough_for_git(files: dict[str, bytes]) -> None:
    assert sum(map(len, files.values())) < 10_000_000


def test_its_pages_ask_nothing_of_the_network(files: dict[str, bytes]) -> None:
    from muse_core.report.html import external_requests

    pages = {
        name: content.decode() for name, content in files.items() if name.endswith((".html", ".md"))
    }
    assert {name: found for name, page in pages.items() if (found := external_requests(page))} == {}


def test_its_links_lead_somewhere(files: dict[str, bytes]) -> None:
    from muse_core.report.gallery_checks import broken_links

    assert broken_links(files) == []


ABLATIONS = ROOT / "reports" / "ablations"


@pytest.fixture(scope="module")
def ablations() -> dict[str, bytes]:
    return {
        path.relative_to(ABLATIONS).as_posix(): path.read_bytes()
        for path in ABLATIONS.rglob("*")
        if path.is_file()
    }


def test_the_ablation_report_is_whole_and_light(ablations: dict[str, bytes]) -> None:
    from muse_core.report.gallery_checks import broken_links
    from muse_core.report.html import external_requests

    assert sum(map(len, ablations.values())) < 10_000_000 and broken_links(ablations) == []
    pages = {
        name: content.decode() for name, content in ablations.items() if name.endswith(".html")
    }
    assert {name: found for name, page in pages.items() if (found := external_requests(page))} == {}
    assert any("07_ablations" in name for name in pages) and any(
        "06_gradient" in name for name in pages
    )


def test_the_ablation_record_holds_the_study_as_it_is_written(ablations: dict[str, bytes]) -> None:
    """Every row of studies/ablations.yaml, two seeds at least, and the commit of each."""
    import yaml

    study = yaml.safe_load((ROOT / "studies" / "ablations.yaml").read_text())
    record = json.loads(ablations["records/ablations.json"])
    assert [row["name"] for row in record["rows"]] == list(study["rows"]) and len(
        record["seeds"]
    ) >= 2
    assert record["commits"] and all(
        len(row["cells"]["psnr"]["by_seed"]) >= 2 for row in record["rows"]
    )


GENERATION = ROOT / "reports" / "generation"


@pytest.mark.parametrize("name", ["generation", "generation-long"])
def test_the_generation_report_is_whole_light_and_of_the_notebook_as_it_is(name: str) -> None:
    from muse_core.report.freshness import source_sha
    from muse_core.report.gallery_checks import broken_links
    from muse_core.report.html import external_requests

    folder = ROOT / "reports" / name
    if not folder.exists():
        pytest.skip(f"there is no reports/{name} yet: make {name}")
    held = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    pages = {name: content.decode() for name, content in held.items() if name.endswith(".html")}
    assert sum(map(len, held.values())) < 10_000_000 and broken_links(held) == []
    assert {name: found for name, page in pages.items() if (found := external_requests(page))} == {}
    shown = json.loads(held["manifest.json"])["notebooks"]["08_generation"]
    assert shown == source_sha(ROOT / "notebooks" / "08_generation.ipynb"), (
        f"stale: run make {name}"
    )
    assert any("08_generation" in name for name in pages)


@pytest.mark.skipif(
    not GENERATION.exists(), reason="there is no reports/generation yet: make generation"
)
def test_the_generation_record_compares_three_latents_with_n_seed_steps_and_intervals() -> None:
    record = json.loads((GENERATION / "records" / "generation.json").read_text())
    rows = {row["name"]: row["measurements"] for row in record["rows"]}
    assert {"MUSE", "shared routing", "plain autoencoder", "real images"} <= rows.keys()
    assert record["steps"] >= 1000 and record["n_test"] >= 256 and record["seed"] == 0
    for name in ("MUSE", "shared routing", "plain autoencoder"):
        distance = rows[name]["fd_teacher"]
        assert (
            distance["n"] == record["n_test"]
            and distance["low"] < distance["value"] < distance["high"]
        )
        assert {"follows_shape", "follows_colour", "follows_count", "follows_relation"} <= rows[
            name
        ].keys()
    assert rows["real images"]["follows_all"]["value"] > rows["MUSE"]["follows_all"]["value"], (
        "the judge is the ceiling"
    )
