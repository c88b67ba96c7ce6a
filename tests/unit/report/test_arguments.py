"""Words on the command line become notebooks, parameters and values, or one sentence."""

import pytest

from muse_core.errors import MuseError
from muse_core.report import arguments

from .conftest import Writer


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


def test_a_list_that_is_none_is_a_sentence() -> None:
    with pytest.raises(MuseError, match=r"write it as '\[1, 2\]'"):
        arguments.parse_value("[1,2")


def test_a_line_too_long_for_one_keeps_its_words(write_notebook: Writer) -> None:
    cell = 'steps: int = 0  # 0 = the preset\nmode: str = (\n    "a"  # a, b\n)'
    known = arguments.known_parameters(write_notebook("00_a", parameters=cell))
    assert (known["steps"].default, known["steps"].help) == ("0", "0 = the preset")
    assert (known["mode"].default, known["mode"].type, known["mode"].help) == ("'a'", "str", "a, b")


def test_notebooks_come_in_the_pipelines_order_and_paths_last(write_notebook: Writer) -> None:
    second, first, other = (write_notebook(stem) for stem in ("01_b", "00_a", "one_run"))
    assert arguments.choose_notebooks([str(other), "01", "00_a"]) == [first, second, other]
    assert arguments.choose_notebooks(["all"]) == [first, second]
    assert arguments.choose_notebooks(["1", "one_run"]) == [second, other], "a copy of one's own"
    with pytest.raises(MuseError, match="can be no path"):
        arguments.choose_notebooks(["x" * 300])


def test_a_near_miss_is_recognised(write_notebook: Writer) -> None:
    write_notebook("01_topology")
    with pytest.raises(MuseError, match="did you mean '01_topology'"):
        arguments.choose_notebooks(["01_topolgy"])
    with pytest.raises(MuseError, match=r"'stepz' \(did you mean 'steps'\?\): .*run, steps"):
        arguments.check_names({"stepz": "1"}, ["run", "steps"])
