"""Everything that is done to a training to see whether it survives, as one file: `make torture`.

    python -m tests.torture [kills inputs soak] [--kills 40] [--minutes 60]
        [--preset tiny] [--seed 0]

Writes ``reports/torture/torture.json``; what an earlier call found by other parts stays in it.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.results.records import provenance, read_json, write_json
from tests.torture.bad_input import try_all
from tests.torture.bad_inputs import table
from tests.torture.kills import try_kills
from tests.torture.soak import try_soak


def try_inputs(folder: Path) -> dict[str, Any]:
    """How many wrong inputs were really given, and which of them were not answered in one clear
    sentence.
    """
    verdicts = list(try_all(folder, table()))
    unclear = [asdict(verdict) for verdict in verdicts if verdict.why]
    return {
        "bad_inputs": len(verdicts),
        "bad_inputs_unclear": len(unclear),
        "unclear": unclear,
    }


PARTS: dict[str, Callable[[Path, argparse.Namespace], dict[str, Any]]] = {
    "kills": lambda root, asked: try_kills(
        root, asked.kills, asked.seed, lambda line: print(line, file=sys.stderr)
    ),
    "inputs": lambda root, asked: try_inputs(root),
    "soak": lambda root, asked: try_soak(root, asked.minutes, asked.preset),
}
"""Name of each part -> what it finds, given an empty folder and the options."""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="torture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help="default: all")
    top.add_argument("--kills", type=int, default=40, help="SIGKILLs at random moments")
    top.add_argument("--minutes", type=float, default=60.0, help="of the soak")
    top.add_argument("--preset", default="tiny", help="what the soak trains: micro, tiny, ...")
    top.add_argument("--seed", type=int, default=0, help="of the moments")
    return top


def main(words: list[str] | None = None) -> None:
    asked = parser().parse_args(words)
    file = paths.root() / "reports" / "torture" / "torture.json"
    found = _earlier(file)
    for name in asked.parts or PARTS:
        with tempfile.TemporaryDirectory(prefix=f"muse-{name}-") as root:
            found |= PARTS[name](Path(root), asked) | {
                f"{name}_seed": asked.seed,
                f"{name}_by": asdict(provenance()),
            }
        write_json(file, found)
    for verdict in found.get("unclear", ()):
        print(f"{verdict['name']}: {verdict['why']}: {verdict['said']}", file=sys.stderr)
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
