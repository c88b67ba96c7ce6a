"""Every fault can still be planted: code and tests that move take their faults along."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from .faults import FAULTS

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def seed() -> None:
    """Nothing is drawn here, so torch need not be loaded."""


def test_a_fault_is_one_snippet_that_stands_once_and_what_it_makes_is_python() -> None:
    for fault in FAULTS:
        ast.parse(fault.planted_in((ROOT / fault.file).read_text()))
        assert fault.old != fault.new, fault.name


def test_the_tests_that_catch_it_are_there() -> None:
    for fault in FAULTS:
        for selection in fault.caught_by.split():
            file, *names = selection.split("::")
            there = (ROOT / file).read_text()
            assert all(f"def {name}(" in there for name in names), fault.name


def test_names_are_unique_and_there_are_enough() -> None:
    times = Counter(fault.name for fault in FAULTS)
    assert [name for name in times if times[name] > 1] == []
    assert {fault.tier for fault in FAULTS} == {"check", "test"}
    assert len(FAULTS) >= 32 and sum(fault.tier == "check" for fault in FAULTS) >= 22
