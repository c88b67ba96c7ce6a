"""Running a study: each run in a process of its own, failures that stop no other, and what is done
is not done twice.
"""

from pathlib import Path

import pytest

from muse_core.cli import main
from muse_core.report.study import Study, study_named
from muse_core.report.study_runner import RunState, line, run_study, states

from .conftest import Writer

CODE = """import os
from muse_core.errors import MuseError
if x == 3 and not os.path.exists("mended"):
    raise MuseError("x is 3: choose another.")
if x == 4:
    os._exit(9)
"""
STUDY = """
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
    (workspace / "studies" / "s.yaml").write_text(STUDY)
    return study_named("s")


def status(found: list[RunState]) -> dict[str, str]:
    return {state.planned.run: state.status for state in found}


@pytest.mark.slow
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
    file.write_text(STUDY.replace("x: 3", "x: 1"))
    assert set(status(run_study(study_named("s"), jobs=2, say=lambda _: None)).values()) == {"done"}
    file.write_text(STUDY.replace("x: 3", "x: 4"))
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
    assert line(RunState(study.runs[0], "done", 75.0)) == "s.full.0  done after 1 min 15 s"
    assert line(RunState(study.runs[0], "failed", error="no")) == "s.full.0  failed: no"
