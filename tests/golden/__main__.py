"""``python -m tests.golden [NAME ...]`` trains the three micro stages, in float32 and with bf16
arithmetic, and the systems of Table 1, and writes their first five steps to ``curves_NAME.json``.

Names: fp32, bf16, systems; all of them where none is given.

Do this only when a change is meant to change training, and say why in the commit.
"""

import argparse
import json
import platform
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from .curves import CURVES, TOLERANCE, measured


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args().names or [*CURVES]
    if unknown := set(names) - CURVES.keys():
        parser.error(f"unknown {', '.join(sorted(unknown))}: choose of {', '.join(CURVES)}")
    for name in names:
        record(name)


def record(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        curves = measured(name, Path(folder), monkeypatch)
    made = {
        "how": "python -m tests.golden: the micro preset of tests/integration/micro.py (random "
        "foundations, seed 0)",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"CPU, {platform.machine()}, {platform.system()}, Python "
        f"{platform.python_version()}",
        "versions": {
            package: version(package)
            for package in ("torch", "transformers", "diffusers", "timm", "tokenizers")
        },
        "tolerance": f"relative {TOLERANCE[name]}: kernels and thread counts differ between "
        "machines",
    }
    CURVES[name].write_text(json.dumps({"made": made, "curves": curves}, indent=2) + "\n")
    print(f"Wrote {CURVES[name]}")


if __name__ == "__main__":
    main()
