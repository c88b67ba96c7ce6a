"""The semantic contrast: against torch's cross-entropy written out, and across processes against a
single one.
"""

import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from muse_core.errors import MuseError
from muse_core.losses.anchor import anchor_loss


def by_hand(images: torch.Tensor, texts: torch.Tensor, scale: float) -> torch.Tensor:
    images, texts = (
        images / images.norm(dim=1, keepdim=True),
        texts / texts.norm(dim=1, keepdim=True),
    )
    scores = (scale * images @ texts.T).exp()
    pairs = scores.diagonal()
    return -((pairs / scores.sum(1)).log().mean() + (pairs / scores.sum(0)).log().mean()) / 2


def test_it_is_the_mean_of_both_cross_entropies() -> None:
    images, texts = torch.randn(5, 8), torch.randn(5, 8)
    torch.testing.assert_close(
        anchor_loss(images, texts, torch.tensor(10.0)), by_hand(images, texts, 10.0)
    )


def test_images_and_texts_may_change_places_and_lengths_do_not_matter() -> None:
    images, texts, scale = torch.randn(5, 8), torch.randn(5, 8), torch.tensor(7.0)
    loss = anchor_loss(images, texts, scale)
    torch.testing.assert_close(loss, anchor_loss(texts, images, scale))
    torch.testing.assert_close(loss, anchor_loss(3 * images, texts / 9, scale))


def test_equal_embeddings_cost_log_n() -> None:
    same = torch.ones(8, 4)
    assert anchor_loss(same, same, torch.tensor(20.0)).item() == pytest.approx(
        2.0794415, rel=1e-6
    )  # log 8


def test_perfect_alignment_costs_nothing_and_swapped_pairs_cost_the_scale() -> None:
    basis = torch.eye(6)
    assert anchor_loss(basis, basis, torch.tensor(100.0)).item() < 1e-6
    assert anchor_loss(basis, basis.roll(1, 0), torch.tensor(100.0)).item() == pytest.approx(
        100.0, rel=1e-4
    )


def test_a_single_pair_is_a_sentence() -> None:
    with pytest.raises(MuseError, match="batch_size of at least 2"):
        anchor_loss(torch.randn(1, 4), torch.randn(1, 4), torch.tensor(10.0))


def embeddings() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(6, 5, generator=generator), torch.randn(6, 5, generator=generator)


def one_process(rank: int, port: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    images, texts = (part.chunk(2)[rank].clone() for part in embeddings())
    images.requires_grad_(True)
    scale = torch.tensor(10.0, requires_grad=True)
    loss = anchor_loss(images, texts, scale)
    loss.backward()
    torch.save(
        {"loss": loss.detach(), "images": images.grad, "scale": scale.grad},
        Path(folder) / f"{rank}.pt",
    )
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_equal_one_in_value_and_gradient(tmp_path: Path) -> None:
    """Each process backs the whole loss, so gathered gradients are summed; data-parallel training
    then takes the mean.
    """
    images, texts = embeddings()
    images.requires_grad_(True)
    scale = torch.tensor(10.0, requires_grad=True)
    loss = anchor_loss(images, texts, scale)
    loss.backward()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(one_process, (port, str(tmp_path)), nprocs=2)
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for part in parts:
        torch.testing.assert_close(part["loss"], loss.detach())
        torch.testing.assert_close(part["scale"], scale.grad)
    torch.testing.assert_close(torch.cat([part["images"] for part in parts]) / 2, images.grad)
