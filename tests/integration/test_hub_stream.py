"""A data set is streamed through the hub's own client, from a hub on this machine: nothing but what
is needed is fetched.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..small_hub import NAME, REVISION, small_hub
from ..unit.data.parquets import write_parquet

ROOT = Path(__file__).resolve().parents[2]

READ = f"""
from muse_core.data import hub_stream
from muse_core.data.loader import training_batches
from muse_core.data.sources import open_source

hub_stream.BUFFER = 20
source = open_source("hf-stream:{NAME}", "train", 8)
assert all("@{REVISION}/data/train-" in path for path, _ in source.files)
batches = [batch.to("cpu") for batch in training_batches(source, 16, 0, 0, 36, workers=2)]
assert not any(batch.skipped for batch in batches)
print(*(caption.rsplit(" ", 1)[1] for batch in batches for caption in batch.captions))
"""

ABSENT = """
open_source("hf-stream:owner/nothing", "train", 8)
"""


def run(code: str, address: str, home: Path) -> subprocess.CompletedProcess:
    """In a process of its own, which knows no other hub."""
    environment = os.environ | {
        "HF_ENDPOINT": address,
        "HF_HOME": str(home),
        "PYTHONPATH": str(ROOT),
    }
    environment |= {
        "HF_HUB_OFFLINE": "0",
        "HF_DATASETS_OFFLINE": "0",
        "OMP_NUM_THREADS": "1",
        "NO_PROXY": "127.0.0.1",
    }
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.long
def test_a_data_set_of_a_hub_is_streamed(tmp_path: Path) -> None:
    hub, home = tmp_path / "hub", tmp_path / "home"
    for name, first, last in (
        ("train-00000", 0, 300),
        ("train-00001", 300, 600),
        ("validation-00000", 600, 630),
    ):
        write_parquet(hub / "data" / f"{name}.parquet", first, last, 10)
    with small_hub(hub) as (address, sent):
        done = run(READ + ABSENT, address, home)
        read = [int(number) for number in done.stdout.split()]
        assert len(read) == len(set(read)) == 36 * 16, done.stderr[-3000:]
        assert set(read) <= set(range(600))
        asked = {name for name, _ in sent}
        assert asked == {"data/train-00000.parquet", "data/train-00001.parquet"}
        assert sum(file.stat().st_size for file in home.rglob("*") if file.is_file()) < 10_000
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode and "The data set hf-stream:owner/nothing cannot be opened (" in last, (
        done.stderr[-3000:]
    )
