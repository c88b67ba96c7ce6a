"""Every command of docs/scaling.md is run: two processes for eight, one machine for four, the
preset ``smoke`` for a large.
"""

import os
import re
import shlex
import socket
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "scaling.md").read_text()
QUICK = "-p preset smoke -p steps 2 -p batch_size 4"


def commands() -> list[str]:
    """In the order of the page; a line of a batch script counts when it trains."""
    lines = [
        line
        for block in re.findall(r"```(?:bash|sbatch)\n(.*?)```", PAGE, re.DOTALL)
        for line in block.splitlines()
    ]
    return [line for line in lines if re.match(r"([A-Z_]+=\w+ )*(muse|torchrun|srun) ", line)]


def test_the_page_has_the_commands_that_are_promised() -> None:
    heads = [line.split()[0] for line in commands()]
    assert heads.count("muse") == 5 and heads.count("torchrun") == 1 and heads.count("srun") == 1
    assert heads.count("ACCELERATE_USE_FSDP=true") == 1


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the notebooks, the embedded foundations and the page's configuration, and
    nothing else.
    """
    root = tmp_path_factory.mktemp("scaling")
    (root / "data").mkdir()
    (root / "data" / "foundations").symlink_to(ROOT / "data" / "foundations")
    (root / "notebooks").symlink_to(ROOT / "notebooks")
    (sharded,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (root / "sharded.yaml").write_text(sharded.replace("num_processes: 8", "num_processes: 2"))
    return root


def small(command: str, pets: Path) -> list[str]:
    """The command on this machine, without relying on what is on the PATH."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for large, little in {
        "srun ": "",
        '"$SLURM_NNODES"': "1",
        '"$SLURM_JOB_ID"': "7",
        "--nnodes 4": "--nnodes 1",
        "--nproc-per-node 8": "--nproc-per-node 2",
        "$HEAD:29500": f"127.0.0.1:{port}",
        "processes 8": "processes 2",
        "-p preset muse-1b": QUICK,
        "PATH/TO/oxford_pets": str(pets),
        "--into shards": "--into shards --samples-per-shard 16 --limit 48",
        "--no-python muse": "-m muse_core.cli",
    }.items():
        command = command.replace(large, little)
    words = shlex.split(command)
    variables = list(takewhile(lambda word: "=" in word, words))
    first, *rest = words[len(variables) :]
    program = {"muse": "muse_core.cli", "torchrun": "torch.distributed.run"}[first]
    return ["env", *variables, sys.executable, "-m", program, *rest]


@pytest.mark.long
def test_every_command_of_the_page_runs(workspace: Path, photographs: Path) -> None:
    """One after the other, as a reader would: shards, then trainings on them, then reports of
    finished stages.
    """
    environment = os.environ | {
        "MUSE_ROOT": str(workspace),
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    for command in commands():
        done = subprocess.run(
            small(command, photographs / "oxford_pets"),
            cwd=workspace,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    reports = [workspace / "reports" / run / "01_topology_warmup.html" for run in ("big", "wide")]
    assert [page.exists() for page in reports] == [True] * 2
