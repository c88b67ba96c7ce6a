"""Running notebooks: order, what is up to date, failures that resume, parameters that reach who
knows them.
"""

import json
import os
from pathlib import Path
from typing import Any

import papermill
import pytest

from muse_core.errors import MuseError
from muse_core.report import arguments
from muse_core.report import run as pipeline
from muse_core.report.run import STARTS, execute
from muse_core.report.stamps import read_stamp
from muse_core.results.records import write_json
from muse_core.results.trained_code import code_digests

from .conftest import Writer
from .executed import executed_copy

SILENT = RuntimeError("Kernel didn't respond in 60 seconds")


def run(words: list[str], **given: Any) -> list[tuple[str, str]]:
    how = {name: given.pop(name) for name in ("force", "fresh", "say") if name in given}
    tasks = pipeline.plan(arguments.choose_notebooks(words), given.pop("run", "smoke"), given)
    outcomes = pipeline.run(tasks, **{"say": lambda _: None} | how)
    return [(one.notebook, one.status) for one in outcomes]


def test_notebooks_run_in_order_and_only_once(workspace: Path, write_notebook: Writer) -> None:
    write_notebook("01_b", "print('b')")
    write_notebook("00_a", "print('a')")
    assert run(["all"]) == [("00_a", "done"), ("01_b", "done")]
    assert run(["all"]) == [("00_a", "up to date"), ("01_b", "up to date")]
    assert (workspace / "reports/smoke/01_b.html").exists() and (
        workspace / "reports/index.html"
    ).exists()


def test_a_changed_notebook_makes_those_after_it_stale(write_notebook: Writer) -> None:
    write_notebook("00_a", "print('a')")
    write_notebook("01_b", "print('b')")
    run(["all"])
    write_notebook("00_a", "print('changed')")
    assert run(["01"]) == [("01_b", "up to date")]
    assert run(["all"]) == [("00_a", "done"), ("01_b", "done")]


def test_what_a_cell_notes_is_told_on_the_terminal(write_notebook: Writer) -> None:
    write_notebook("00_a", "print('loud')\nprint('note: kept elsewhere')")
    said: list[str] = []
    run(["00"], say=said.append)
    assert said[-1] == "smoke/00_a  kept elsewhere" and "loud" not in " ".join(said)


def test_force_and_another_value_run_again(write_notebook: Writer) -> None:
    write_notebook("00_a", "print(x)", parameters="x: int = 1")
    run(["00"])
    assert run(["00"], force=True) == [("00_a", "done")]
    assert run(["00"], x="2") == [("00_a", "done")]


def test_fresh_reaches_the_notebooks_that_know_it_and_leaves_their_key_alone(
    workspace: Path, write_notebook: Writer
) -> None:
    write_notebook("00_a", "print('fresh is', fresh)", parameters="fresh: bool = False")
    write_notebook("01_b", "print('b')")
    run(["all"])
    assert run(["all"], fresh=True) == [("00_a", "done"), ("01_b", "done")]
    assert "fresh is True" in (workspace / "reports/smoke/00_a.html").read_text()
    assert run(["all"]) == [("00_a", "up to date"), ("01_b", "up to date")]


def test_a_page_whose_stage_was_trained_with_other_code_says_so_and_stays(
    workspace: Path, write_notebook: Writer
) -> None:
    source = write_notebook("01_a")
    code = code_digests()
    record, said = workspace / "reports/smoke/records/stage1.json", []
    write_json(record, {"code": code})
    executed_copy(source, "smoke", parameters={"run": "smoke"})
    assert run(["01"], force=True) == [("01_a", "done")]
    assert run(["01"], say=said.append) == [("01_a", "up to date")] and len(said) == 1
    write_json(record, {"code": code | {"losses/topology.py": "another"}})
    run(["01"], force=True)
    assert run(["01"], say=said.append) == [("01_a", "up to date")]
    wanted = "trained with other code: losses/topology.py changed since; `--fresh` trains again"
    assert wanted in said[-1] and wanted in (workspace / "reports/smoke/01_a.html").read_text()


def test_a_failure_keeps_its_page_and_the_next_call_resumes_there(
    workspace: Path, write_notebook: Writer
) -> None:
    flag = workspace / "mended"
    code = f"from muse_core.errors import MuseError\nimport os\nif not os.path.exists({str(flag)!r}):\n"
    write_notebook("00_a", "print('a')")
    write_notebook("01_b", code + "    raise MuseError('No checkpoint: run 00 first.')")
    write_notebook("02_c", "print('c')")
    assert run(["all"]) == [("00_a", "done"), ("01_b", "failed")]
    stamp = read_stamp(workspace / "reports/smoke/01_b.ipynb")
    assert stamp is not None and stamp.error == "No checkpoint: run 00 first."
    assert "No checkpoint: run 00 first." in (workspace / "reports/smoke/01_b.html").read_text()
    flag.touch()
    assert run(["all"]) == [("00_a", "up to date"), ("01_b", "done"), ("02_c", "done")]


def test_a_kernel_that_dies_is_a_failure_with_advice(
    workspace: Path, write_notebook: Writer
) -> None:
    write_notebook("00_a", "import os; os._exit(9)")
    assert run(["00"]) == [("00_a", "failed")]
    stamp = read_stamp(workspace / "reports/smoke/00_a.ipynb")
    assert stamp is not None and "kernel died" in stamp.error


def test_the_stamp_says_where_a_report_comes_from(workspace: Path, write_notebook: Writer) -> None:
    write_notebook("00_a", "print(x)", parameters="x: float = 1.0  # 0 = nothing")
    run(["00"], run="wide", x="1e-4")
    report = workspace / "reports/wide/00_a.ipynb"
    stamp = read_stamp(report)
    assert stamp is not None
    assert (stamp.preset, stamp.device, stamp.status, stamp.run) == ("smoke", "cpu", "done", "wide")
    assert stamp.parameters == {"run": "wide", "x": 1e-4} and stamp.seconds > 0
    assert str(workspace) not in json.dumps(json.loads(report.read_text())["metadata"])


def test_a_parameter_goes_only_to_notebooks_that_know_it(write_notebook: Writer) -> None:
    notebooks = [
        write_notebook("00_a"),
        write_notebook("01_b", parameters="steps: int = 0  # 0 = the preset"),
    ]
    first, second = pipeline.plan(notebooks, "smoke", {"steps": "12"})
    assert first.parameters == {"run": "smoke"} and second.parameters == {
        "run": "smoke",
        "steps": 12,
    }


def test_a_field_of_the_preset_becomes_an_override_where_there_is_no_such_parameter(
    write_notebook: Writer,
) -> None:
    notebooks = [
        write_notebook("00_a", parameters="steps: int = 0"),
        write_notebook("01_b", parameters='overrides: str = ""'),
    ]
    given = {"steps": "12", "overrides": "weights.topology=2", "teacher": "a place"}
    first, second = pipeline.plan(notebooks, "smoke", given)
    assert first.parameters == {"run": "smoke", "steps": 12}
    assert second.parameters["overrides"] == (
        "weights.topology=2 stage.steps=12 'foundations.teacher=a place'"
    )
    with pytest.raises(MuseError, match="no parameter 'stepz'"):
        pipeline.plan(notebooks, "smoke", {"stepz": "1"})


def test_a_parameter_that_nobody_knows_is_refused(write_notebook: Writer) -> None:
    notebooks = [write_notebook("00_a", parameters="steps: int = 0")]
    with pytest.raises(
        MuseError, match=r"'stepz' \(did you mean 'steps'\?\): .*run, preset, device, steps"
    ):
        pipeline.plan(notebooks, "smoke", {"stepz": "1"})


def test_durations_are_read_by_people() -> None:
    assert [pipeline.duration(s) for s in (3.4, 130.0, 11100.0)] == [
        "3 s",
        "2 min 10 s",
        "3 h 5 min",
    ]


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[Exception | None]:
    """What each attempt at an execution meets: an error, or None where it goes well."""
    planned: list[Exception | None] = []

    def execute_notebook(*_: Any, **__: Any) -> None:
        met = planned.pop(0)
        if met:
            raise met

    monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)
    return planned


def test_a_kernel_that_never_answers_is_started_again(
    attempts: list[Exception | None], tmp_path: Path
) -> None:
    attempts += [SILENT, None]
    assert execute(tmp_path / "a.ipynb", tmp_path / "b.ipynb", {}) == ("done", "")
    assert attempts == []


def test_no_kernel_at_all_is_a_sentence(attempts: list[Exception | None], tmp_path: Path) -> None:
    attempts += [SILENT] * STARTS
    status, error = execute(tmp_path / "a.ipynb", tmp_path / "b.ipynb", {})
    assert status == "failed"
    assert "did not start in 3 attempts (Kernel didn't respond in 60 seconds)" in error


def test_other_errors_are_not_taken_for_a_kernel_that_does_not_start(
    attempts: list[Exception | None], tmp_path: Path
) -> None:
    attempts += [RuntimeError("a mistake of ours"), None]
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        execute(tmp_path / "a.ipynb", tmp_path / "b.ipynb", {})
    assert attempts == [None]


def test_paths_are_those_of_the_folder_where_the_command_was_typed(
    workspace: Path, write_notebook: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_notebook("00_a", "print(data)", parameters='data: str = "scenes"')
    (workspace / "here/photos").mkdir(parents=True)
    monkeypatch.chdir(workspace / "here")
    run(["00"], data="folder:photos")
    found = read_stamp(workspace / "reports/smoke/00_a.ipynb")
    assert found and found.parameters["data"] == f"folder:{workspace}/here/photos"


def test_the_same_command_runs_again_when_its_data_changed(
    workspace: Path, write_notebook: Writer
) -> None:
    from PIL import Image

    write_notebook("00_a", "print(data)", parameters='data: str = "scenes"')
    photos, said = workspace / "photos/cat", []
    photos.mkdir(parents=True)
    for number in range(4):
        Image.new("RGB", (9, 9)).save(photos / f"{number}.png")
    given = {"data": f"folder:{photos.parent}"}
    assert run(["00"], **given) == [("00_a", "done")]
    assert run(["00"], **given) == [("00_a", "up to date")]
    Image.new("RGB", (9, 9)).save(photos / "more.png")
    assert run(["00"], **given, say=said.append) == [("00_a", "done")]
    assert any("its data is another than on" in line for line in said)


@pytest.mark.parametrize("stem", ["00_a", "04_a"])
def test_a_page_is_made_again_when_what_it_compares_with_or_its_preset_file_changed(
    workspace: Path, write_notebook: Writer, stem: str
) -> None:
    write_notebook(stem, "print(preset)")
    preset = workspace / "mine.yaml"
    preset.write_text("extends: tiny")
    given = {"preset": str(preset)}
    run(["all"], **given)
    preset.write_text("extends: smoke")
    assert run(["all"], **given) == [(stem, "done")]
    write_json(workspace / "reports/smoke-shared/records/stage1.json", {"trained": "again"})
    expected = "up to date" if stem == "00_a" else "done"
    assert run(["all"], **given) == [(stem, expected)]


def test_another_kernel_of_the_same_name_is_not_ours(
    workspace: Path, write_notebook: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = workspace / "jupyter/kernels/python3/kernel.json"
    kernel.parent.mkdir(parents=True)
    words = {"argv": ["/bin/false", "{connection_file}"], "display_name": "Python 3"}
    kernel.write_text(json.dumps(words | {"language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(workspace / "jupyter"))
    write_notebook("00_a", "import sys; print(sys.executable)")
    assert run(["00"]) == [("00_a", "done")]
    assert os.environ["JUPYTER_PATH"] == str(workspace / "jupyter"), (
        "and the user's stays as it was"
    )


def test_a_wrong_value_is_refused_before_anything_is_run(
    workspace: Path, write_notebook: Writer
) -> None:
    write_notebook(
        "02_semantic_injection",
        'raise SystemExit("it ran")',
        parameters=(
            'data: str = "scenes"\noverrides: str = ""\nseed: int = 0\nresume: bool = False'
        ),
    )
    for given, words in (
        ({"steps": "[1, 2"}, "stage.steps cannot be"),
        ({"overrides": "weights.topolgy=2"}, "did you mean topology"),
        ({"seed": "-1"}, "seed must be"),
    ):
        with pytest.raises(MuseError, match=words):
            run(["02"], **given)
    assert not list((workspace / "reports").rglob("*.ipynb"))
