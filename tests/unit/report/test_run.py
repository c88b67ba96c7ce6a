"""Running notebooks: order, what is up to date, failures that resume, parameters that reach who
knows them.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from muse_core.errors import MuseError
from muse_core.report import arguments, freshness
from muse_core.report import run as pipeline
from muse_core.report.stamps import read_stamp

from .conftest import Writer


@pytest.fixture(autouse=True)
def _quiet_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources of the package may change under our feet while others work."""
    monkeypatch.setattr(freshness, "package_sha", lambda: "package")


def run(words: list[str], *, force: bool = False, **given: Any) -> list[tuple[str, str]]:
    tasks = pipeline.plan(arguments.choose_notebooks(words), given.pop("run", "smoke"), given)
    return [
        (one.notebook, one.status) for one in pipeline.run(tasks, force=force, say=lambda _: None)
    ]


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


def test_force_and_another_value_run_again(write_notebook: Writer) -> None:
    write_notebook("00_a", "print(x)", parameters="x: int = 1")
    run(["00"])
    assert run(["00"], force=True) == [("00_a", "done")]
    assert run(["00"], x="2") == [("00_a", "done")]


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


def test_a_parameter_that_nobody_knows_is_refused(write_notebook: Writer) -> None:
    notebooks = [write_notebook("00_a", parameters="steps: int = 0")]
    with pytest.raises(
        MuseError, match=r"'stepz' \(did you mean 'steps'\?\): .*run, preset, device, steps"
    ):
        pipeline.plan(notebooks, "smoke", {"stepz": "1"})


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("false", "bool", False),
        ("True", "", True),
        ("1e-4", "float", 1e-4),
        ("-5", "int", -5),
        ("007", "", "007"),
        ("2026", "str", "2026"),
        ("2026", "int", 2026),
        ("none", "int | None", None),
        ("yes", "", "yes"),
        ("2026-01-01", "", "2026-01-01"),
        ("[3, 4]", "list", [3, 4]),
        ("1.2.3", "", "1.2.3"),
    ],
)
def test_values_of_the_command_line(text: str, kind: str, value: object) -> None:
    parsed = arguments.parse_value(text, kind)
    assert parsed == value and type(parsed) is type(value)


def test_durations_are_read_by_people() -> None:
    assert [pipeline.duration(s) for s in (3.4, 130.0, 11100.0)] == [
        "3 s",
        "2 min 10 s",
        "3 h 5 min",
    ]
