"""A measurement is made once for the same inputs and sources, and again for any others."""

import pytest
import torch

from muse_core.errors import MuseError
from muse_core.evaluation import cache as module
from muse_core.evaluation.cache import Cache
from muse_core.results import tensor_files, trained_code

INPUTS = {"weights": "a1", "data": "scenes", "limit": 5, "sizes": [1, 2]}
TENSORS = {"x": torch.rand(3, 4).half(), "labels": torch.arange(3)}
NOTE = {"grid": {"latent z": [4, 4]}, "words": "Fréchet", "none": None}


class Made:
    """Counts how often a measurement was made."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> tuple:
        self.times += 1
        return TENSORS, NOTE


def test_a_second_call_reads_what_the_first_made_bit_by_bit(tmp_path) -> None:
    made = Made()
    for _ in range(2):
        tensors, note = Cache(tmp_path / "deep" / "folder").recall("row", INPUTS, made)
        assert note == NOTE and tensors.keys() == TENSORS.keys()
        assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
        assert {name: each.dtype for name, each in tensors.items()} == {
            name: t.dtype for name, t in TENSORS.items()
        }
    assert made.times == 1


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("features", {}),
        ("row", {"weights": "a2"}),
        ("row", {"limit": 6}),
        ("row", {"sizes": [2, 1]}),
        ("row", {"new": None}),
    ],
)
def test_any_other_input_is_measured_anew(tmp_path, kind, changed) -> None:
    made = Made()
    Cache(tmp_path).recall("row", INPUTS, made)
    Cache(tmp_path).recall(kind, INPUTS | changed, made)
    assert made.times == 2


def test_the_order_of_the_inputs_does_not_matter(tmp_path) -> None:
    made = Made()
    Cache(tmp_path).recall("row", INPUTS, made)
    Cache(tmp_path).recall("row", dict(reversed(INPUTS.items())), made)
    assert made.times == 1


def test_other_sources_measure_anew(tmp_path, monkeypatch) -> None:
    made = Made()
    Cache(tmp_path).recall("row", INPUTS, made)
    monkeypatch.setattr(module, "code_fingerprint", lambda: "other sources")
    Cache(tmp_path).recall("row", INPUTS, made)
    assert made.times == 2


def test_the_fingerprint_covers_what_measures_and_not_what_draws(tmp_path, monkeypatch) -> None:
    package = tmp_path / "muse_core"
    for folder in ("evaluation", "data", "figures"):
        (package / folder).mkdir(parents=True)
        (package / folder / "a.py").write_text("1")
    monkeypatch.setattr(trained_code.paths, "checkout", lambda: tmp_path)
    fresh = module.code_fingerprint.__wrapped__
    first = fresh()
    (package / "figures" / "a.py").write_text("2")
    assert fresh() == first
    (package / "data" / "a.py").write_text("2")
    second = fresh()
    (package / "data" / "a.py").rename(package / "data" / "b.py")
    assert len({first, second, fresh()}) == 3


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"x" * 99])
def test_a_damaged_file_is_made_again_and_mended(tmp_path, damage) -> None:
    made = Made()
    Cache(tmp_path).recall("row", INPUTS, made)
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    for _ in range(2):
        assert Cache(tmp_path).recall("row", INPUTS, made)[1] == NOTE
    assert made.times == 2


def test_a_file_without_a_note_is_made_again(tmp_path) -> None:
    from safetensors.torch import save_file

    made = Made()
    Cache(tmp_path).recall("row", INPUTS, made)
    (file,) = tmp_path.iterdir()
    save_file({"x": torch.zeros(1)}, file)
    assert Cache(tmp_path).recall("row", INPUTS, made)[1] == NOTE and made.times == 2


def test_no_folder_remembers_nothing() -> None:
    made = Made()
    assert Cache(None).recall("row", INPUTS, made) == Cache(None).recall("row", INPUTS, made)
    assert made.times == 2


def test_only_the_finished_file_is_left(tmp_path) -> None:
    Cache(tmp_path).recall("row", INPUTS, Made())
    assert [file.suffix for file in tmp_path.iterdir()] == [".safetensors"]


def test_what_cannot_be_made_leaves_nothing(tmp_path) -> None:
    def fails():
        raise MuseError("no data")

    with pytest.raises(MuseError, match="no data"):
        Cache(tmp_path / "new").recall("row", INPUTS, fails)
    assert not (tmp_path / "new").exists()


def test_a_measurement_without_tensors_is_remembered_too(tmp_path) -> None:
    for _ in range(2):
        assert Cache(tmp_path).recall("row", {}, lambda: ({}, NOTE)) == ({}, NOTE)


def test_views_and_tensors_on_a_tape_can_be_kept(tmp_path) -> None:
    odd = {
        "view": torch.rand(4, 4)[:, 1],
        "turned": torch.rand(2, 3).T,
        "taped": torch.ones(2, requires_grad=True) * 2,
    }
    Cache(tmp_path).recall("row", {}, lambda: (odd, {}))
    tensors, _ = Cache(tmp_path).recall("row", {}, Made())
    assert all(torch.equal(tensors[name], odd[name]) for name in odd)


def test_a_folder_that_is_a_file_is_a_sentence(tmp_path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(MuseError, match=r"Cannot write .*taken"):
        Cache(tmp_path / "taken").recall("row", INPUTS, Made())


def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path, monkeypatch) -> None:
    def full(tensors, file, metadata):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensor_files, "save_file", full)
    with pytest.raises(MuseError, match="No space left"):
        Cache(tmp_path).recall("row", INPUTS, Made())
    assert not list(tmp_path.iterdir())
