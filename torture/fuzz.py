"""Every parser searched by coverage: are there bytes that are answered by neither a result nor a
refusal?

    pip install atheris; python -m torture fuzz [--seconds 60]

atheris ends its process, so each parser is searched in one of its own: ``python -m torture.fuzz
PARSER FOLDER SECONDS``."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from muse_core.errors import MuseError

SLOWEST_SECONDS, MOST_MEGABYTES, LONGEST = 60, 4096, 8192
"""An input that takes longer, and a process that grows larger, are findings; inputs have at most so
many bytes.
"""
DONE = re.compile(r"^Done (\d+) runs in \d+ second", re.MULTILINE)


def try_fuzz(root: Path, seconds: int) -> dict[str, Any]:
    """Search each parser for ``seconds``; how many inputs it was given and what was found, for
    torture.json.

    Raises MuseError without atheris.
    """
    from torture.parsers import PARSERS

    if find_spec("atheris") is None:
        raise MuseError("The search by coverage needs atheris: `pip install atheris`.")
    tried, found = {}, {}
    for number, name in enumerate(PARSERS):
        command = [
            sys.executable,
            "-m",
            "torture.fuzz",
            name,
            str(root / str(number)),
            str(seconds),
        ]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        runs = DONE.search(done.stderr)
        tried[name] = int(runs[1]) if runs else 0
        if done.returncode or not runs:
            found[name] = (done.stdout + done.stderr)[-2000:]
        print(
            f"{name}: {tried[name]:,} inputs, {'one found' if name in found else 'nothing found'}",
            file=sys.stderr,
        )
    return {"fuzz_inputs": tried, "fuzz_found": found, "fuzz_seconds_each": seconds}


def search(name: str, folder: Path, seconds: int) -> None:
    """Does not return: atheris ends the process, with an exit code that is not 0 where something
    was found.
    """
    import atheris

    with atheris.instrument_imports(include=["muse_core", "yaml"]):
        from torture.parsers import PARSERS
    parser = PARSERS[name]

    def one(content: bytes) -> None:
        try:
            parser.parse(content, folder)
        except parser.refusals as refusal:
            assert str(refusal).strip(), "a refusal without a word"

    seeds = folder / "seeds"
    seeds.mkdir(parents=True)
    for number, seed in enumerate(parser.seeds):
        (seeds / str(number)).write_bytes(seed)
    limits = [
        f"-timeout={SLOWEST_SECONDS}",
        f"-rss_limit_mb={MOST_MEGABYTES}",
        f"-max_len={LONGEST}",
    ]
    found = f"-artifact_prefix={folder}/found-"
    atheris.Setup([sys.argv[0], str(seeds), f"-max_total_time={seconds}", found, *limits], one)
    atheris.Fuzz()


if __name__ == "__main__":
    search(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
