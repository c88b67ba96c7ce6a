"""What a run wrote down, read as far as it can be: a record that is missing or damaged is an empty
one.
"""

from pathlib import Path
from typing import Any

from muse_core.errors import MuseError
from muse_core.results import records

STAGE_NAMES = {1: "Topology warm-up", 2: "Semantic injection", 3: "Synergistic tuning"}


def record(run: Path, name: str) -> dict[str, Any]:
    """``records/<name>.json`` of a run's report folder."""
    try:
        found = records.read_json(run / "records" / f"{name}.json")
    except (MuseError, OSError):
        return {}
    return found if isinstance(found, dict) else {}


def stage_records(run: Path) -> dict[int, dict[str, Any]]:
    """Number of the stage -> its record, for the stages that have one."""
    found = {number: record(run, f"stage{number}") for number in STAGE_NAMES}
    return {number: one for number, one in found.items() if one}


def part(found: dict[str, Any], name: str) -> dict[str, Any]:
    """A mapping inside a record; an empty one where there is none."""
    inner = found.get(name)
    return inner if isinstance(inner, dict) else {}


def parts(found: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The mappings of a list inside a record; none where there is no list."""
    inner = found.get(name)
    return [one for one in inner if isinstance(one, dict)] if isinstance(inner, list) else []


def number(value: Any, form: str) -> str:
    """ "{:.1f}" of a number, and "" of anything else."""
    return (
        form.format(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""
    )


def minutes(seconds: Any) -> str:
    return number(seconds / 60, "{:,.1f}") if isinstance(seconds, int | float) else ""
