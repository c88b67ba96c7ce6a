"""A run as one zip: whole, linked, the same every time, without a path of this machine, and refused
where it is not finished.
"""

import hashlib
import json
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import pytest

from muse_core.cli import main
from muse_core.errors import MuseError
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.report import gallery, html
from muse_core.report.export import export
from muse_core.results.machine_paths import machine_path
from muse_core.results.measurements import Measurement
from muse_core.results.records import read_json, write_json

from ..training.finished_run import evaluated, finished_stage
from .conftest import Writer
from .executed import executed_copy, picture


@pytest.fixture
def run(workspace: Path, write_notebook: Writer) -> Path:
    """A finished and evaluated run of two notebooks, whose records and pages name this machine."""
    folder = finished_stage(run="mine", data=f"folder:{workspace}/photos")
    evaluated(folder, psnr=Measurement(26.4, 1000, "", 26.3, 26.5))
    record = workspace / "reports/mine/records/stage3.json"
    write_json(record, read_json(record) | {"files_skipped": ["/home/ada/cats/a.png"]})
    executed_copy(write_notebook("00_a", "1", title="Foundations"), "mine", picture("A tile"))
    told = picture("A curve")
    told.data["text/html"] = f"<p>read {workspace}/photos/b.png</p>"
    executed_copy(write_notebook("01_b", "1", title="Warm-up"), "mine", told)
    html.export_run(workspace / "reports/mine")
    return workspace / "reports/mine"


def contents(archive: Path) -> dict[str, bytes]:
    with ZipFile(archive) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name) for name in opened.namelist()}


def test_it_holds_pages_records_and_weights_that_load(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "mine"]) == 0
    target = Path(capsys.readouterr().out.strip())
    assert target == run.with_name("mine.zip")
    files = contents(target)
    assert files.keys() == {
        *("README.md", "index.html", "mine/00_a.html", "mine/01_b.html"),
        *("mine/records/evaluation.json", "mine/records/stage3.json"),
        *(f"tokenizer/{name}" for name in ("README.md", "config.json")),
        "tokenizer/diffusion_pytorch_model.safetensors",
        "tokenizer/preprocessor_config.json",
    }
    ZipFile(target).extractall(tmp_path / "there")
    MuseTokenizer.from_pretrained(tmp_path / "there/tokenizer")
    card = files["tokenizer/README.md"].decode()
    assert 'from_pretrained("tokenizer")' in card and "| PSNR | 26.4 dB | 26.3 to 26.5 dB |" in card


def test_every_link_leads_to_a_file_of_it_and_no_file_names_this_machine(run: Path) -> None:
    files = contents(export("mine"))
    texts = {
        name: data.decode()
        for name, data in files.items()
        if name.endswith((".html", ".md", ".json"))
    }
    for name, text in texts.items():
        assert machine_path(text) == "", name
        links = gallery.links(name, text) if not name.startswith("tokenizer") else []
        assert {gallery._target(name, link) for link in links} <= files.keys() | {"tokenizer"}
    assert json.loads(texts["mine/records/stage3.json"])["files_skipped"] == ["a.png"]
    assert "read photos/b.png" in texts["mine/01_b.html"]


def test_equal_content_gives_equal_bytes(run: Path, tmp_path: Path) -> None:
    digest = lambda file: hashlib.sha256(file.read_bytes()).hexdigest()
    first = digest(export("mine"))
    for file in run.rglob("*"):
        file.touch()
    assert digest(export("mine", into=str(tmp_path / "other.zip"))) == first
    with ZipFile(run.with_name("mine.zip")) as archive:
        kinds = {each.filename: each.compress_type for each in archive.infolist()}
        assert {each.date_time for each in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert kinds["tokenizer/diffusion_pytorch_model.safetensors"] == ZIP_STORED
    assert kinds["mine/00_a.html"] != ZIP_STORED
    page = run / "00_a.html"
    page.write_text(page.read_text() + "<!-- more -->")
    assert digest(export("mine")) != first


def test_an_unfinished_run_is_refused_unless_a_part_is_asked_for(
    run: Path, write_notebook: Writer, capsys: pytest.CaptureFixture[str]
) -> None:
    write_notebook("02_c", "1")
    assert main(["export", "mine"]) == 2
    said = capsys.readouterr().err
    assert "Run 'mine' is not finished, as 02 is missing" in said and said.count("\n") == 1
    assert not run.with_name("mine.zip").exists()
    assert main(["export", "mine", "--partial", "--into", str(run.parent)]) == 0
    assert "mine/01_b.html" in contents(run.with_name("mine.zip"))


def test_a_run_without_weights_says_so(workspace: Path, write_notebook: Writer) -> None:
    executed_copy(write_notebook("00_a", "1"), "bare")
    with pytest.raises(MuseError, match="no stage left a tokenizer"):
        export("bare")
    files = contents(export("bare", partial=True))
    assert b"there are no weights" in files["README.md"]
    assert not [name for name in files if name.startswith("tokenizer")]


def test_only_what_an_export_wrote_is_replaced_and_only_saved_files_are_packed(
    run: Path, workspace: Path
) -> None:
    theirs, site = workspace / "thesis.zip", workspace / "site.zip"
    theirs.write_bytes(b"years of work")
    with ZipFile(site, "w") as archive:
        archive.writestr("README.md", "mine")
        archive.writestr("index.html", "mine")
    for file in (theirs, site):
        before = file.read_bytes()
        with pytest.raises(MuseError, match="is there already and no export of a run"):
            export("mine", into=str(file))
        assert file.read_bytes() == before
    tokenizer = next(workspace.glob("data/runs/mine/*/tokenizer"))
    (tokenizer / "notes.txt").write_text("private")
    assert "tokenizer/notes.txt" not in contents(export("mine"))
    # An export takes the place of an earlier one.
    export("mine")


def test_a_run_that_is_not_there_is_a_sentence(workspace: Path) -> None:
    with pytest.raises(MuseError, match="There is no run 'none'"):
        export("none", partial=True)
