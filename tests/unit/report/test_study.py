"""A study's file: what it becomes, and one sentence for each mistake in it."""

from pathlib import Path

import pytest

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.report.study import study_named

from .conftest import Writer

GOOD = """
name: small
common: {preset: tiny, x: 1}
seeds: [0, 1]
rows:
  full: {words: everything}
  more: {words: more x, change: {x: 2}, expects: {psnr: lower}}
"""


@pytest.fixture
def write(workspace: Path, write_notebook: Writer):
    """Writes a study's file beside a notebook it may run."""
    write_notebook("00_a")
    write_notebook("one", parameters="seed: int = 0  # seed\nx: int = 0  # a number")

    def study(text: str = GOOD, name: str = "small") -> Path:
        file = workspace / "studies" / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text("notebook: notebooks/one.ipynb\n" + text)
        return file

    return study


def test_every_row_and_seed_is_a_run_whose_parameters_differ_by_the_rows_change(write) -> None:
    study = study_named(str(write()))
    assert [each.run for each in study.runs] == [
        "small.full.0",
        "small.more.0",
        "small.full.1",
        "small.more.1",
    ]
    assert study.runs[3].parameters == {"preset": "tiny", "x": 2, "seed": 1, "run": "small.more.1"}
    assert [each.seed for each in study.of_row("more")] == [0, 1]


def test_a_name_stands_for_the_file_in_studies(write) -> None:
    write()
    assert study_named("small").spec.rows["more"].expects == {"psnr": "lower"}


def test_one_file_extends_another_and_keeps_some_rows(write) -> None:
    write()
    write(
        "extends: small\nname: short\ncommon: {preset: smoke}\nseeds: [7]\nonly: [more]\n", "short"
    )
    study = study_named("short")
    assert [each.parameters for each in study.runs] == [
        {"preset": "smoke", "x": 2, "seed": 7, "run": "short.more.7"}
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "cannot be read|is no mapping"),
        ("name: a\nseeds: [0]\nrows: {b: {words: c, change: {y: 1}}}", "no parameter 'y'"),
        (
            "name: a\ncommon: {xx: 1}\nseeds: [0]\nrows: {b: {words: c}}",
            "no parameter 'xx' .did you mean 'x'",
        ),
        ("name: a\nseeds: []\nrows: {b: {words: c}}", "mistake at seeds"),
        ("name: a\nseeds: [0, 0]\nrows: {b: {words: c}}", "seed twice"),
        ("name: a\nseeds: [0]\nrows: {}", "mistake at rows"),
        ("name: a\nseeds: [0]\nrows: {b: {}}", "mistake at rows.b.words: it is missing"),
        ("name: a\nseeds: [0]\nrows: {b: {words: c, chnage: {}}}", "no such entry"),
        (
            "name: a\nseeds: [0]\nrows: {b: {words: c, expects: {pnsr: lower}}}",
            "Unknown metric 'pnsr'",
        ),
        (
            "name: a\nseeds: [0]\nrows: {b: {words: c, expects: {psnr: down}}}",
            "Unknown direction 'down'",
        ),
        (
            "name: a\nseeds: [0]\nrows: {b: {words: c, expects: {psnr: below zero}}}",
            "Unknown direction 'below zero'",
        ),
        ("name: a/b\nseeds: [0]\nrows: {b: {words: c}}", "not a folder name"),
        ("name: a\nseeds: [0]\nrows: {b: {words: c}}\nonly: [d]", "keeps only the row 'd'"),
        ("name: [a\n", "cannot be read"),
        ("extends: nowhere\n", "extends 'nowhere', which is not there"),
        ("extends: small\n", "extends 'small', which extends this one"),
        ("name: a\nname: b\n", "the key 'name' stands there twice"),
    ],
)
def test_a_mistake_is_one_sentence(write, text: str, says: str) -> None:
    file = write(text)
    with pytest.raises(MuseError, match=says):
        study_named(str(file))


def test_an_unknown_study_names_those_there_are(write) -> None:
    write()
    with pytest.raises(MuseError, match="Unknown study 'smal': choose one of small"):
        study_named("smal")


def test_a_notebook_that_is_not_there_is_a_sentence(write) -> None:
    file = write()
    file.write_text(file.read_text().replace("one.ipynb", "two.ipynb"))
    with pytest.raises(MuseError, match="which is no file"):
        study_named(str(file))


@pytest.mark.parametrize(
    "file", sorted((paths.root() / "studies").glob("*.yaml")), ids=lambda file: file.stem
)
def test_the_studies_of_this_workspace_are_whole(file: Path) -> None:
    study = study_named(str(file))
    assert study.spec.name == file.stem and len(study.runs) >= 2
    assert not next(iter(study.spec.rows.values())).change, (
        "the first row is what the others are compared with"
    )
    assert all(len(row.change) <= 2 for row in study.spec.rows.values())
