"""``python -m tests.golden`` trains the three micro stages and writes their first five steps to
``curves.json``.

Do this only when a change is meant to change training, and say why in the commit.
"""

import json
import platform
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from .curves import CURVES, measured_curves


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        curves = measured_curves(Path(folder), monkeypatch)
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
        "tolerance": "relative 1e-3: kernels and thread counts differ between machines",
    }
    CURVES.write_text(json.dumps({"made": made, "curves": curves}, indent=2) + "\n")
    print(f"Wrote {CURVES}")


if __name__ == "__main__":
    main()
