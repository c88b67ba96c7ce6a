"""``python -m tests.golden`` trains the three micro stages, in float32 and with bf16 arithmetic, and
writes their first five steps to ``curves_fp32.json`` and ``curves_bf16.json``.

Do this only when a change is meant to change training, and say why in the commit.
"""

import json
import platform
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from .curves import CURVES, PRECISIONS, TOLERANCE, measured_curves


def main() -> None:
    for precision in PRECISIONS:
        record(precision)


def record(precision: str) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        curves = measured_curves(Path(folder), monkeypatch, precision)
    made = {
        "how": "python -m tests.golden: the micro preset of tests/integration/micro.py (random "
        "foundations, seed 0)",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"CPU, {platform.machine()}, {platform.system()}, Python "
        f"{platform.python_version()}",
        "versions": {
            name: version(name)
            for name in ("torch", "transformers", "diffusers", "timm", "tokenizers")
        },
        "tolerance": f"relative {TOLERANCE[precision]}: kernels and thread counts differ between "
        "machines",
    }
    CURVES[precision].write_text(json.dumps({"made": made, "curves": curves}, indent=2) + "\n")
    print(f"Wrote {CURVES[precision]}")


if __name__ == "__main__":
    main()
