"""The gallery: whole, linked, light, the same every time, and refused rather than half written."""

import json
from pathlib import Path

import pytest

from muse_core.cli import main
from muse_core.errors import MuseError
from muse_core.figures import PLOTLY_MIME
from muse_core.report import freshness, gallery, gallery_checks, html

from .conftest import Writer
from .executed import executed_copy, picture, png


@pytest.fixture(autouse=True)
def _quiet_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "package_sha", lambda: "package")


@pytest.fixture
def run(write_notebook: Writer, workspace: Path) -> Path:
    """A finished run of two notebooks, the second with an interactive figure."""
    figure = picture("A curve", png(60, 40))
    figure.data[PLOTLY_MIME] = {"data": [{"type": "scatter", "y": [1, 2]}], "layout": {}}
    executed_copy(write_notebook("00_a", "1", title="Foundations"), "tiny", picture("A tile"))
    executed_copy(write_notebook("01_b", "1", title="Warm-up"), "tiny", figure)
    html.export_run(workspace / "reports/tiny")
    return workspace / "reports/tiny"


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_it_holds_the_pages_an_index_a_readme_covers_and_a_manifest(run: Path) -> None:
    files = content(gallery.write("tiny"))
    assert {"README.md", "index.html", "manifest.json", "tiny/00_a.html", "tiny/01_b.html"} <= set(
        files
    )
    assert {name.split(".")[0] for name in files if name.startswith("covers/")} == {
        "covers/00_a",
        "covers/01_b",
    }
    assert not [name for name in files if name.endswith((".ipynb", ".min.js"))]
    assert gallery_checks.broken_links(files) == []


def test_the_pages_lead_to_the_gallerys_own_index_and_to_each_other(run: Path) -> None:
    files = content(gallery.write("tiny"))
    assert (
        b'href="../index.html"' in files["tiny/00_a.html"]
        and b'href="01_b.html"' in files["tiny/00_a.html"]
    )
    assert (
        b'href="tiny/00_a.html"' in files["index.html"]
        and b'src="covers/00_a.' in files["index.html"]
    )


def test_the_manifest_names_the_sources(run: Path, workspace: Path) -> None:
    manifest = json.loads((gallery.write("tiny") / "manifest.json").read_text())
    hashes = {
        stem: freshness.source_sha(workspace / f"notebooks/{stem}.ipynb")
        for stem in ("00_a", "01_b")
    }
    assert manifest["notebooks"] == hashes
    assert (manifest["run"], manifest["commit"], manifest["figures"]) == (
        "tiny",
        "abc",
        "interactive",
    )
    assert manifest["date"] == "2026-01-01T10:00:00+00:00"


def test_equal_runs_give_equal_bytes(run: Path) -> None:
    before = content(gallery.write("tiny"))
    assert content(gallery.write("tiny")) == before


def test_figures_become_stills_where_plotly_is_too_heavy(run: Path) -> None:
    rich = gallery.contents(run)
    light = gallery.contents(run, gallery_checks.size(rich) - 1)
    assert "tiny/assets/plotly.packed.js" in rich and not [
        name for name in light if name.endswith(".js")
    ]
    assert (
        b'"figures": "stills"' in light["manifest.json"]
        and gallery.STILLS.encode() in light["README.md"]
    )
    assert gallery_checks.broken_links(light) == []


def test_what_is_too_heavy_anyhow_is_refused(run: Path) -> None:
    with pytest.raises(MuseError, match="MB at most"):
        gallery.contents(run, 1000)


def test_a_refusal_leaves_the_old_gallery_alone(run: Path, write_notebook: Writer) -> None:
    before = content(gallery.write("tiny"))
    write_notebook("00_a", "2")
    with pytest.raises(MuseError, match="00_a is stale"):
        gallery.write("tiny")
    assert content(gallery.folder()) == before


def test_a_machine_path_in_a_page_is_refused(run: Path, workspace: Path) -> None:
    page = run / "00_a.html"
    page.write_text(page.read_text().replace("</main>", f"<pre>{workspace}/secret</pre></main>"))
    with pytest.raises(MuseError, match=r"tiny/00_a\.html shows a path of this machine"):
        gallery.write("tiny")
    assert not gallery.folder().exists()


def test_what_was_removed_from_the_run_goes_and_nothing_else_is_left(run: Path) -> None:
    folder = gallery.write("tiny")
    (folder / "old.html").write_text("old")
    gallery.write("tiny")
    assert not (folder / "old.html").exists()
    assert sorted(path.name for path in folder.parent.iterdir()) == ["gallery", "tiny"]


def test_a_swap_that_fails_brings_the_old_gallery_back(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, rename = content(gallery.write("tiny")), Path.rename

    def refusing(path: Path, target: Path) -> Path:
        if path.name.endswith(".new"):
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refusing)
    with pytest.raises(MuseError, match="No space left on device"):
        gallery.write("tiny")
    assert content(gallery.folder()) == before


def test_a_folder_that_is_no_gallery_is_not_replaced(run: Path) -> None:
    gallery.folder().mkdir()
    (gallery.folder() / "mine.txt").write_text("mine")
    with pytest.raises(MuseError, match="is not a gallery"):
        gallery.write("tiny")
    assert (gallery.folder() / "mine.txt").exists()


def test_the_index_of_all_runs_does_not_count_the_gallery(run: Path) -> None:
    from muse_core.report import index

    gallery.write("tiny")
    assert [one.name for one in index.summaries()] == ["tiny"]


def test_the_command_says_where_it_is_or_why_not(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gallery"]) == 0 and capsys.readouterr().out.strip() == str(gallery.folder())
    assert main(["gallery", "--run", "wide"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("muse: There is no run 'wide'") and said.count("\n") == 1


def test_the_ablation_showcase_needs_only_what_was_run_and_keeps_its_record(
    run: Path, write_notebook: Writer
) -> None:
    write_notebook("02_c")
    with pytest.raises(MuseError, match="02_c is missing"):
        gallery.write("tiny")
    (run / "records").mkdir()
    (run / "records/ablations.json").write_text('{"study": "s"}')
    assert main(["gallery", "--run", "tiny", "--into", "ablations"]) == 0
    files = content(gallery.folder(gallery.ABLATIONS))
    assert files["records/ablations.json"] == b'{"study": "s"}' and "tiny/01_b.html" in files
    assert b"`make ablations`" in files["README.md"] and b"MUSE ablations" in files["index.html"]


def test_a_showcase_without_its_record_is_a_sentence(run: Path) -> None:
    with pytest.raises(MuseError, match=r"has no ablations\.json"):
        gallery.write("tiny", gallery.ABLATIONS)
