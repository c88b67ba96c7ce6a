"""A study's file: what it becomes, one sentence for each mistake in it, and its runs: failures that
stop no other, and what is done is not done twice.
"""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from muse_core import paths
from muse_core.cli import main
from muse_core.errors import MuseError
from muse_core.evaluation.evaluate import Evaluated
from muse_core.evaluation.study_rows import write_row
from muse_core.report import study as study_module
from muse_core.report.kept_rows import FOLDERS, code_by_folder, write_kept
from muse_core.report.stamps import Stamp, write_stamp
from muse_core.report.study import (
    RunState,
    Study,
    _code_of,
    finished_runs,
    row_of,
    run_study,
    states,
    study_named,
)
from muse_core.results.measurements import Measurement, Row
from muse_core.results.records import write_json
from muse_core.results.trained_code import code_digests

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
    assert study.all_parameters(study.runs[0])["device"] == "cpu"


def test_words_of_a_preset_become_overrides(write, write_notebook: Writer) -> None:
    write_notebook("one", parameters='seed: int = 0  # seed\noverrides: str = ""  # fields')
    study = study_named(
        str(
            write(
                "name: a\ncommon: {share: 0.5, overrides: stage.steps=3}\nseeds: [0]\nrows:\n"
                "  b: {words: c, change: {without: anchor, connector.width: 192}}\n"
            )
        )
    )
    changes = "stage.steps=3 curriculum.share=0.5 curriculum.without=anchor connector.width=192"
    assert study.runs[0].parameters == {"overrides": changes, "seed": 0, "run": "a.b.0"}
    assert study.preset(study.runs[0]).connector.width == 192
    with pytest.raises(MuseError, match="did you mean 'without'"):
        study_named(
            str(write("name: a\nseeds: [0]\nrows: {b: {words: c, change: {withuot: anchor}}}"))
        )


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


@pytest.mark.parametrize("name", ["mine", "small"])
def test_a_file_anywhere_extends_a_study_of_ours(write, workspace: Path, name: str) -> None:
    write()
    own = workspace / f"{name}.yaml"
    own.write_text("extends: small\nname: mine\nrows: {own: {words: c, change: {x: 5}}}\n")
    rows = study_named(str(own)).spec.rows
    assert rows["own"].change == {"x": 5} and len(rows) > 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "cannot be read"),
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
    arms = [row for row in study.spec.rows.values() if not row.control]
    assert all(len(row.change) <= 4 for row in arms)
    trained = [study.configuration(run) for run in study.runs]
    assert len(set(trained)) == len(trained), "two rows are the same"


CODE = """import os
from muse_core.errors import MuseError
if x == 3 and not os.path.exists("mended"):
    raise MuseError("x is 3: choose another.")
if x == 4:
    os._exit(9)
"""
RUNNABLE = """
name: s
notebook: notebooks/one.ipynb
seeds: [0]
rows:
  full: {words: all is well}
  bad: {words: fails, change: {x: 3}}
"""


@pytest.fixture
def study(workspace: Path, write_notebook: Writer) -> Study:
    write_notebook("00_a")
    write_notebook("one", CODE, parameters="seed: int = 0  # seed\nx: int = 0  # a number")
    (workspace / "studies").mkdir()
    (workspace / "studies" / "s.yaml").write_text(RUNNABLE)
    return study_named("s")


def status(found: list[RunState]) -> dict[str, str]:
    return {state.planned.run: state.status for state in found}


@pytest.mark.long
def test_a_failure_stops_no_other_is_told_with_its_reason_and_done_again(
    study: Study, workspace: Path
) -> None:
    assert status(states(study)) == {"s.full.0": "missing", "s.bad.0": "missing"}
    said: list[str] = []
    found = run_study(study, jobs=2, say=said.append)
    assert status(found) == {"s.full.0": "done", "s.bad.0": "failed"}
    assert found[1].error == "x is 3: choose another." and any("x is 3" in words for words in said)
    (workspace / "mended").touch()
    said.clear()
    assert set(status(run_study(study, jobs=1, say=said.append)).values()) == {"done"}
    assert said[0].startswith("s: 1 of 2 runs to do"), "what was done is not done again"
    said.clear()
    run_study(study, say=said.append)
    assert said == []


@pytest.mark.slow
def test_other_parameters_make_a_run_stale_and_a_dead_kernel_is_a_reason(
    study: Study, workspace: Path
) -> None:
    file = workspace / "studies" / "s.yaml"
    file.write_text(RUNNABLE.replace("x: 3", "x: 1"))
    assert set(status(run_study(study_named("s"), jobs=2, say=lambda _: None)).values()) == {"done"}
    file.write_text(RUNNABLE.replace("x: 3", "x: 4"))
    changed = study_named("s")
    assert status(states(changed))["s.bad.0"] == "changed"
    found = run_study(changed, jobs=1, say=lambda _: None)
    assert (
        status(found) == {"s.full.0": "done", "s.bad.0": "failed"}
        and "kernel died" in found[1].error
    )


def test_a_report_that_was_cut_short_is_unfinished(study: Study, workspace: Path) -> None:
    folder = workspace / "reports" / "s.full.0"
    folder.mkdir(parents=True)
    (folder / "one.ipynb").write_text("{")
    assert status(states(study))["s.full.0"] == "unfinished"


def test_the_command_lists_a_study_and_refuses_mistakes(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", "s", "--list"]) == 0
    assert capsys.readouterr().out == "s.full.0  missing\ns.bad.0  missing\n"
    assert main(["study", "t"]) == 2 and main(["study", "s", "--jobs", "-1"]) == 2
    assert capsys.readouterr().err.count("muse: ") == 2


def test_a_line_says_how_long_it_took_and_why_it_failed(study: Study) -> None:
    assert str(RunState(study.runs[0], "done", 75.0)) == "s.full.0  done after 1 min 15 s"
    assert str(RunState(study.runs[0], "failed", error="no")) == "s.full.0  failed: no"


def test_a_row_that_a_picture_needs_and_has_no_run_is_a_sentence(study: Study) -> None:
    full, bad = study.runs
    found = [RunState(full, "done"), RunState(bad, "failed", error="the loss is nan")]
    assert finished_runs(found) == {"full": [full], "bad": []}
    assert finished_runs(found, "full") == {"full": [full]}
    with pytest.raises(MuseError, match=r"row 'release' is done .the study has no such row"):
        finished_runs(found, "release")
    with pytest.raises(MuseError, match=r"No run of the row 'bad' is done .*the loss is nan"):
        finished_runs(found, "bad")
    with pytest.raises(MuseError, match="No run of the study could be finished"):
        finished_runs(found[1:])
    kept = [RunState(full, "done", kept=True)]
    assert finished_runs(kept, "full") == {"full": [full]}
    with pytest.raises(MuseError, match=r"row 'full' is done .*kept.*--force` trains a kept one"):
        finished_runs(kept, "full", here=True)


def test_a_kept_row_is_not_run_again_unless_it_is_another(
    study: Study, workspace: Path, write_notebook: Writer
) -> None:
    write_notebook("one", parameters='seed: int = 0  # seed\noverrides: str = ""  # fields')
    file = workspace / "studies" / "s.yaml"
    file.write_text(
        "name: s\nkeep: true\nnotebook: notebooks/one.ipynb\nseeds: [0]\n"
        "rows: {full: {words: all is well}}\n"
    )
    study = study_named("s")
    (run,) = study.runs
    report = paths.report_folder(run.run)
    code = code_digests(FOLDERS)
    write_json(report / "records" / "stage1.json", {"code": code})
    write_row(run.run, Evaluated(Row(run.run, "", {"psnr": Measurement(26.0, 2)}), {}))
    write_json(report / "one.ipynb", {"cells": []})
    stamp = Stamp("", "done", run.run, "abc", "smoke", "cpu", "", 60.0, run.parameters)
    write_stamp(report / "one.ipynb", stamp)
    assert run_study(study)[0].status == "done" and study.kept_file(run).is_file()
    # On another machine, where nothing was trained.
    shutil.rmtree(report)
    (state,) = run_study(study)
    assert str(state) == "s.full.0  done after 1 min 0 s, kept in the repository"
    assert row_of(study, run).row.value("psnr") == 26.0
    changed = {name: "0" if name.startswith("models/") else each for name, each in code.items()}
    kept = study.kept(run)
    assert kept is not None
    write_kept(study.kept_file(run), replace(kept, code=code_by_folder(changed)))
    assert states(study)[0].other_code == ("models",)
    file.write_text(file.read_text().replace("well}", "well, change: {weights.anchor: 2}}"))
    assert status(states(study_named("s"))) == {"s.full.0": "missing"}


def test_code_is_that_of_the_last_training_which_used_it(tmp_path: Path) -> None:
    """A drawer is trained on a tokenizer of before: what it is made of is as it was then."""
    assert _code_of(tmp_path) == code_digests()
    made = lambda digest: {"models/a.py": digest, "generation/b.py": digest, "unified/c.py": digest}
    write_json(tmp_path / "stage1.json", {"code": made("0")})
    write_json(tmp_path / "stage3.json", {"code": made("1")})
    write_json(tmp_path / "08_generation_own.json", {"code": made("2")})
    write_json(tmp_path / "10_unified_both.json", {"code": made("3")})
    os.utime(tmp_path / "10_unified_both.json", (0, 0))
    write_json(tmp_path / "10_unified_10c_editing.json", {"code": made("4")})
    wanted = {"models/a.py": "1", "generation/b.py": "2", "unified/c.py": "4"}
    assert _code_of(tmp_path) == wanted


def test_a_row_is_kept_as_soon_as_it_is_done(
    study: Study, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = workspace / "studies" / "s.yaml"
    file.write_text(RUNNABLE.replace("seeds: [0]", "seeds: [0]\nkeep: true"))
    said: list[str] = []
    done = lambda study, run, jobs, fresh: RunState(run, "done")
    monkeypatch.setattr(study_module, "_execute", done)
    monkeypatch.setattr(study_module.Study, "kept", lambda self, run: None)
    keep = lambda study, state: said.append(f"kept {state.planned.row}")
    monkeypatch.setattr(study_module, "_keep", keep)
    run_study(study_named("s"), jobs=1, say=said.append)
    assert [words.split()[0] for words in said] == ["s:", "1/2", "kept", "2/2", "kept"]
