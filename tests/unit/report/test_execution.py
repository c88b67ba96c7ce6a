"""A kernel that does not start is started again, and a machine that cannot start one says so."""

from pathlib import Path
from typing import Any

import papermill
import pytest

from muse_core.report.execution import STARTS, execute

SILENT = RuntimeError("Kernel didn't respond in 60 seconds")


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
    assert (
        status == "failed"
        and "did not start in 3 attempts (Kernel didn't respond in 60 seconds)" in error
    )


def test_other_errors_are_not_taken_for_a_kernel_that_does_not_start(
    attempts: list[Exception | None], tmp_path: Path
) -> None:
    attempts += [RuntimeError("a mistake of ours"), None]
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        execute(tmp_path / "a.ipynb", tmp_path / "b.ipynb", {})
    assert attempts == [None]
