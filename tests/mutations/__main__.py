"""`python -m tests.mutations [NAME ...] [--tier check]`: are the faults caught?

Each is planted alone in a copy of the working tree, where its tests must then fail; without a fault
they must pass.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from .faults import FAULTS, Fault

ROOT = Path(__file__).parents[2]
LEFT_OUT = "reports/"
"""Executed reports: large, and no test that catches a fault reads them."""
PATIENCE = 600
"""Seconds after which tests count as hanging."""


def copy_tree(to: Path) -> Path:
    """The files that git knows, or would take, as they are now."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if not name.startswith(LEFT_OUT) and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    return to


def run_tests(tree: Path, selections: Iterable[str]) -> tuple[int, str]:
    """Exit status and output of pytest in the copy, without bytecode that could outlive a fault."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *selections]
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    options = {"cwd": tree, "env": environment, "timeout": PATIENCE}
    try:
        done = subprocess.run(command, capture_output=True, text=True, **options)
    except subprocess.TimeoutExpired:
        return -1, f"no end after {PATIENCE} s"
    return done.returncode, done.stdout + done.stderr


def verdict(tree: Path, fault: Fault) -> str:
    """The test that caught the fault, SURVIVED, or why it is broken: no test failed by itself."""
    file = tree / fault.file
    original = file.read_text()
    try:
        file.write_text(fault.planted_in(original))
        status, output = run_tests(tree, fault.caught_by.split())
    except LookupError as error:
        return f"broken: {error}"
    finally:
        file.write_text(original)
    if status == 0:
        return "SURVIVED"
    found = re.search(r"^(?:FAILED|ERROR) (\S+::\S+)", output, re.MULTILINE)
    return f"caught by {found[1]}" if status == 1 and found else f"broken: {output[-300:]!r}"


def chosen(names: list[str], tier: str | None) -> list[Fault]:
    """The faults asked for; all of them where nothing is said."""
    known = {fault.name: fault for fault in FAULTS}
    if missing := set(names) - set(known):
        raise SystemExit(f"Unknown faults {sorted(missing)}: choose of {', '.join(known)}.")
    return [known[name] for name in names or known if tier in (None, known[name].tier)]


def main() -> int:
    """0 where every fault is caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--tier", choices=sorted({fault.tier for fault in FAULTS}))
    options = parser.parse_args()
    faults, began = chosen(options.names, options.tier), time.monotonic()
    with TemporaryDirectory() as folder:
        tree = copy_tree(Path(folder))
        selections = dict.fromkeys(each for fault in faults for each in fault.caught_by.split())
        status, output = run_tests(tree, selections)
        print(
            f"{time.monotonic() - began:6.1f} s  without a fault: {output.splitlines()[-1]}",
            flush=True,
        )
        if status:
            print(output)
            return 1
        caught = 0
        for fault in faults:
            started = time.monotonic()
            found = verdict(tree, fault)
            caught += found.startswith("caught")
            print(f"{time.monotonic() - started:6.1f} s  {fault.name}: {found}", flush=True)
    print(f"{caught} of {len(faults)} caught in {time.monotonic() - began:.0f} s")
    return int(caught < len(faults))


if __name__ == "__main__":
    sys.exit(main())
