"""What a start costs: a process loads a heavy library only where it uses it, and threads that wait
sleep.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HEAVY = {"torch", "transformers", "diffusers", "timm", "sklearn", "plotly", "matplotlib"}
ROOT = Path(__file__).resolve().parents[1]


def run_fresh(code: str, **environment: str) -> Any:
    """``found``, which ``code`` sets, from a Python process of its own."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("OMP_WAIT_POLICY", "COVERAGE_PROCESS_START")
    }
    code += "\nimport json, sys; print('\\n' + json.dumps(found))"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout.splitlines()[-1])


def test_the_package_loads_nothing_heavy_and_takes_less_than_a_second() -> None:
    seconds, loaded = run_fresh(
        "import sys, time\n"
        "began = time.process_time()\n"
        "import muse_core\n"
        "found = (time.process_time() - began, [name.split('.')[0] for name in sys.modules])"
    )
    assert seconds < 1 and not HEAVY & set(loaded)


def test_commands_that_train_nothing_load_nothing_heavy() -> None:
    commands = ["--help", "list", "study smoke --list", "watch nobody", "run nothing"]
    loaded = run_fresh(
        "import sys\n"
        "from muse_core.cli import main\n"
        f"for command in {commands}:\n"
        "    try:\n"
        "        main(command.split())\n"
        "    except SystemExit:\n"
        "        pass\n"
        "found = [name.split('.')[0] for name in sys.modules]"
    )
    assert not HEAVY & set(loaded)


@pytest.mark.parametrize("given", ["", "ACTIVE"])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(given: str) -> None:
    code = "import muse_core, os; found = os.environ['OMP_WAIT_POLICY']"
    environment = {"OMP_WAIT_POLICY": given} if given else {}
    assert run_fresh(code, **environment) == (given or "PASSIVE")
