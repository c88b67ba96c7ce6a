"""Everything that is done to a training to see whether it survives, as one file: `make torture`.

    python -m torture [kills soak ...] [--kills 40] [--minutes 60] [--seconds 60] [--preset tiny] [--seed 0]

Writes ``reports/torture/torture.json``; what an earlier call found by other parts stays in it.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.results.records import provenance, read_json, write_json
from torture.bad_inputs import try_all
from torture.fuzz import try_fuzz
from torture.kills import try_kills
from torture.soak import try_soak


def try_inputs() -> dict[str, Any]:
    """How many wrong inputs were really given, and which of them were not answered in one clear
    sentence.
    """
    tried, unclear = try_all()
    return {
        "bad_inputs": tried,
        "bad_inputs_unclear": len(unclear),
        "unclear": [asdict(verdict) for verdict in unclear],
    }


PARTS: dict[str, Callable[[Path, argparse.Namespace], dict[str, Any]]] = {
    "kills": lambda root, asked: try_kills(
        root, asked.kills, asked.seed, lambda line: print(line, file=sys.stderr)
    ),
    "inputs": lambda root, asked: try_inputs(),
    "fuzz": lambda root, asked: try_fuzz(root, asked.seconds),
    "soak": lambda root, asked: try_soak(root, asked.minutes, asked.preset),
}
"""Name of each part -> what it finds, given an empty folder and the options."""
OPTIONAL = {"fuzz": "atheris"}
"""Parts that are left out, unless asked for by name, where a package is not installed."""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="torture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument(
        "parts",
        nargs="*",
        choices=[*PARTS, []],
        metavar="PART",
        help=f"{', '.join(PARTS)} (default: all)",
    )
    top.add_argument("--kills", type=int, default=40, help="SIGKILLs at random moments")
    top.add_argument("--minutes", type=float, default=60.0, help="of the soak")
    top.add_argument(
        "--seconds", type=int, default=60, help="of the search by coverage, for each parser"
    )
    top.add_argument("--preset", default="tiny", help="what the soak trains: micro, tiny, ...")
    top.add_argument("--seed", type=int, default=0, help="of the moments")
    return top


def main(words: list[str] | None = None) -> None:
    asked = parser().parse_args(words)
    file = paths.root() / "reports" / "torture" / "torture.json"
    found = _earlier(file)
    for name in asked.parts or [
        part for part in PARTS if part not in OPTIONAL or find_spec(OPTIONAL[part])
    ]:
        with tempfile.TemporaryDirectory(prefix=f"muse-{name}-") as root:
            found |= PARTS[name](Path(root), asked) | {
                f"{name}_seed": asked.seed,
                f"{name}_by": asdict(provenance()),
            }
        write_json(file, found)
    print(f"written to {file.relative_to(paths.root())}")


def _earlier(file: Path) -> dict[str, Any]:
    try:
        return read_json(file)
    except MuseError:
        return {}


if __name__ == "__main__":
    try:
        main()
    except MuseError as error:
        sys.exit(f"torture: {error}")
