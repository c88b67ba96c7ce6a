"""Killed and stopped for real: SIGKILL resumes bit for bit, SIGTERM and Ctrl-C save first, memory
stays flat.
"""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture import child, processes
from tests.torture.kills import (
    CHECKPOINT_EVERY,
    Tormentor,
    never_in_an_epoch,
    try_kills,
    twice_in_an_epoch,
)
from tests.torture.soak import try_soak

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def offline_children() -> Iterator[None]:
    """The server of the children takes its environment from here, once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.mark.long
def test_killed_at_random_moments_it_ends_as_if_never_stopped(tmp_path: Path) -> None:
    found = try_kills(tmp_path, kills=5, seed=1)
    assert found["differing"] == [] and found["kills_survived"] == found["kills_tried"] == 5
    assert (found["samples_lost"], found["duplicate_reads"]) == (0, 0)
    assert found["steps_lost_at_most"] <= CHECKPOINT_EVERY


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_saves_first_and_says_so(tmp_path: Path, number: signal.Signals) -> None:
    root, reads = child.write_workspace(tmp_path), tmp_path / "stopped.reads"
    process = processes.begin(child.train, root, "stopped", 400, 1000, reads)
    deadline = time.monotonic() + 300
    while not reads.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, number)
    assert processes.finish(process, 300) == 2
    (saved,) = (root / "data" / "runs" / "stopped" / child.STAGE / "checkpoints").iterdir()
    step = int(saved.name.removeprefix("step-"))
    assert 1 <= step < 400
    words = f"muse: Interrupted {child.STAGE} of run 'stopped' at step {step}; it is saved: "
    assert words in reads.with_suffix(".out").read_text()


def test_the_instrument_sees_lost_and_doubled_samples() -> None:
    whole = {0: ["a", "b"], 1: ["c", "d"], 2: ["b", "a"], 3: ["d", "c"]}
    assert (twice_in_an_epoch(whole, 2), never_in_an_epoch(whole, whole, 2)) == (0, 0)
    bent = whole | {1: ["b", "d"]}
    assert (twice_in_an_epoch(bent, 2), never_in_an_epoch(bent, whole, 2)) == (1, 1)


@pytest.mark.long
def test_the_instrument_sees_a_run_that_was_bent(tmp_path: Path) -> None:
    """A checkpoint whose weights are another's, with digests that agree, as no kill may
    leave it.
    """
    from safetensors.torch import load_file, save_file

    tormentor = Tormentor(tmp_path, seed=0)
    other = tormentor.story("other")
    tormentor.undisturbed(other)
    assert tormentor.differences(other) == []
    file = sorted(tormentor.checkpoints(other).glob("step-*"))[-1] / "training.safetensors"
    state = load_file(file)
    name = next(name for name in state if name.startswith("ema/"))
    state[name].view(-1)[0] += 1e-6
    save_file(state, file)
    assert tormentor.differences(other) == [name]


@pytest.mark.long
def test_memory_stays_flat_and_a_leak_would_be_seen(tmp_path: Path) -> None:
    """In seconds only a large leak stands out of the noise; the hour is `make torture`."""
    sound = try_soak(tmp_path / "sound", minutes=0.1)
    leaky = try_soak(tmp_path / "leaky", minutes=0.1, leak_mb=1.0)
    growth = lambda found: found["rss_mb_at_the_end"] - found["rss_mb_after_warm_up"]
    half_of_the_leak = 0.5 * 0.75 * leaky["soak_steps"]
    assert growth(sound) < half_of_the_leak < growth(leaky)
    assert (
        leaky["rss_slope_mb_per_hour"] - leaky["rss_slope_error_mb_per_hour"]
        > sound["rss_slope_mb_per_hour"]
    )
    assert 0 <= sound["data_wait_share"] < 0.5
