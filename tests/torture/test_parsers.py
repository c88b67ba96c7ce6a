"""The table that the search by coverage works on: every parser takes its own seeds, and refuses
noise in words.
"""

import random

import pytest

from muse_core.errors import MuseError
from torture import fuzz
from torture.parsers import PARSERS

NOISE = random.Random(0).randbytes(200)


@pytest.mark.parametrize("name", sorted(set(PARSERS) - {"shard pattern"}))
def test_the_seeds_are_good(name, tmp_path) -> None:
    for seed in PARSERS[name].seeds:
        assert PARSERS[name].parse(seed, tmp_path) is not None


@pytest.mark.parametrize("name", sorted(set(PARSERS) - {"tar shard", "checkpoint card"}))
def test_noise_is_refused(name, tmp_path) -> None:
    with pytest.raises(PARSERS[name].refusals, match=r"\w"):
        PARSERS[name].parse(NOISE, tmp_path)


def test_where_noise_holds_nothing_nothing_is_found(tmp_path) -> None:
    assert PARSERS["tar shard"].parse(NOISE, tmp_path) == 0
    assert PARSERS["checkpoint card"].parse(NOISE, tmp_path) is False


def test_without_atheris_it_is_a_sentence(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(fuzz, "find_spec", lambda name: None)
    with pytest.raises(MuseError, match="needs atheris: `pip install atheris`"):
        fuzz.try_fuzz(tmp_path, 1)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, "Done 12 runs in 1 second(s)"),
        (77, "uncaught\nDone 3 runs in 1 second(s)"),
        (1, "killed"),
    ],
)
def test_what_was_found_is_kept(tmp_path, monkeypatch, code, said) -> None:
    monkeypatch.setattr(fuzz, "find_spec", lambda name: True)
    monkeypatch.setattr(
        fuzz.subprocess,
        "run",
        lambda command, **_: fuzz.subprocess.CompletedProcess(command, code, "", said),
    )
    report = fuzz.try_fuzz(tmp_path, 1)
    assert set(report["fuzz_inputs"]) == set(PARSERS) and set(report["fuzz_found"]) == (
        set(PARSERS) if code else set()
    )
    assert set(report["fuzz_inputs"].values()) == {{0: 12, 77: 3, 1: 0}[code]}
