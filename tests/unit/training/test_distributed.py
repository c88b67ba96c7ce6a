"""One process shares with nobody; what does not divide is a sentence."""

from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator

from muse_core.errors import MuseError
from muse_core.training.distributed import (
    PRECISIONS,
    accelerator_for,
    any_process,
    device_for,
    images_each,
    mean_over_processes,
    own_part,
)


def test_a_step_is_shared_evenly_or_refused() -> None:
    assert images_each(32, 4) == 8 and images_each(7, 1) == 7
    with pytest.raises(
        MuseError,
        match=r"batch_size 30, .* does not divide among 4 processes: use 28, or another number",
    ):
        images_each(30, 4)
    with pytest.raises(MuseError, match="use 4"):
        images_each(2, 4)


def test_parts_are_the_whole_in_turns() -> None:
    drawn = torch.arange(6)
    parts = [
        own_part(drawn, Mock(Accelerator, num_processes=3, process_index=rank)) for rank in range(3)
    ]
    assert torch.equal(torch.stack(parts, 1).flatten(), drawn) and all(
        len(part) == 2 for part in parts
    )


def test_alone_nothing_is_rounded_or_asked() -> None:
    alone = Accelerator(cpu=True)
    values = {"loss": 0.1 + 1e-12}
    assert mean_over_processes(values, alone) is values
    assert any_process(True, alone) and not any_process(False, alone)


def test_devices_are_named_and_must_be_there() -> None:
    with pytest.raises(MuseError, match="Unknown device 'gpu': choose one of auto, cpu, cuda, mps"):
        accelerator_for("gpu")
    assert accelerator_for("cpu").device.type == "cpu"


def test_bf16_is_used_where_it_is_asked_for_and_imitated_nowhere(monkeypatch) -> None:
    module = "muse_core.training.distributed.has_bf16"
    monkeypatch.setattr(module, lambda device: True)
    modes = [accelerator_for("cpu", precision=each).mixed_precision for each in PRECISIONS]
    assert modes == ["no", "bf16", "no"]
    monkeypatch.setattr(module, lambda device: False)
    with pytest.raises(MuseError, match=r"This cpu has no bf16 arithmetic .*: use precision=fp32"):
        accelerator_for("cpu", precision="bf16")
    with pytest.raises(MuseError, match="Unknown precision 'fp16': choose one of auto, bf16, fp32"):
        accelerator_for("cpu", precision="fp16")


def test_another_device_than_the_one_in_use_is_a_sentence(monkeypatch) -> None:
    assert accelerator_for("cpu").device.type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(MuseError, match="This process computes on cpu already: restart the kernel"):
        accelerator_for("cuda")


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_this_machine_lacks_is_a_sentence(device, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(MuseError, match=f"This machine has no {device} device: use device='cpu'"):
        accelerator_for(device)


def test_numbers_too_small_for_a_normal_float_count_as_zero() -> None:
    """SiLU and softmax make them, and a processor takes a hundred times longer for each."""
    for asked in (accelerator_for, device_for):
        torch.set_flush_denormal(False)
        assert torch.tensor(1e-30) * 1e-10 > 0
        asked("cpu")
        assert torch.tensor(1e-30) * 1e-10 == 0
