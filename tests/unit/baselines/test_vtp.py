"""VTP: the bottleneck stands before the decoder alone, and the teacher is an average."""

import math
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F

from muse_core.baselines import vtp
from muse_core.baselines.self_distillation import sinkhorn
from muse_core.baselines.vtp import LATENT, PATCHES, Vtp

from ...integration.systems import bits
from .small_world import Said, SmallWorld, images, scenes


def new_vtp(world: SmallWorld) -> Vtp:
    network = world.new("vtp")
    assert isinstance(network, Vtp)
    return network


def test_what_understands_does_not_pass_the_bottleneck(world: SmallWorld) -> None:
    network, given = new_vtp(world), images()
    with torch.no_grad():
        before = network(given)
        network.bottleneck.weight.normal_()
        after = network(given)
    assert torch.equal(before.encoded.embedding, after.encoded.embedding)
    assert torch.equal(before.encoded.tokens[PATCHES], after.encoded.tokens[PATCHES])
    assert before.encoded.tokens[PATCHES].shape[-1] == 96 > before.encoded.latent.shape[1] == 16
    assert not torch.equal(before.encoded.latent, after.encoded.latent)
    assert not torch.equal(before.reconstruction, after.reconstruction)


def test_pixels_train_encoder_and_bottleneck_and_names_the_encoder_alone(world) -> None:
    network = new_vtp(world)
    network(images()).encoded.embedding.sum().backward()
    assert network.bottleneck.weight.grad is None
    assert network.to_text.weight.grad is not None
    network.zero_grad()
    network(images()).reconstruction.sum().backward()
    weight = network.student.encoder.embeddings.patch_embeddings.weight
    for reached in (network.bottleneck.weight, network.widen.weight, weight):
        assert reached.grad is not None and reached.grad.any()
    assert network.to_text.weight.grad is None


def test_the_latent_is_the_bottleneck_of_each_patch_and_is_all_that_is_decoded(world) -> None:
    network = new_vtp(world)
    encoded = network.encode(images())
    for row in range(4):
        for column in range(4):
            patch_token = encoded.tokens[PATCHES][:, 4 * row + column]
            expected = patch_token @ network.bottleneck.weight.T
            torch.testing.assert_close(encoded.latent[:, :, row, column], expected)
            assert torch.equal(
                encoded.tokens[LATENT][:, 4 * row + column], encoded.latent[:, :, row, column]
            )


def test_the_teacher_starts_as_the_student_and_hears_no_loss(world: SmallWorld) -> None:
    network, batch = new_vtp(world).train(), scenes()
    student = network.student.state_dict()
    teacher = network.teacher.state_dict()
    assert all(torch.equal(value, student[name]) for name, value in teacher.items())
    losses = network.own_losses(network(batch.images), world.targets(batch))
    torch.stack([*losses.values()]).sum().backward()
    assert all(weight.grad is None for weight in network.teacher.parameters())
    assert not any(weight.requires_grad for weight in network.teacher.parameters())
    for part in (network.student.dino, network.student.ibot):
        assert any(weight.grad is not None and weight.grad.any() for weight in part.parameters())


@pytest.mark.parametrize("progress", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_the_teachers_momentum_goes_from_its_first_to_one_by_a_cosine(world, progress) -> None:
    network = new_vtp(world)
    with torch.no_grad():
        for weight in network.student.parameters():
            weight.fill_(1.0)
        for weight in network.teacher.parameters():
            weight.fill_(0.0)
    network.after_step(progress)
    rest = 0.01 * (1 + math.cos(math.pi * progress)) / 2
    for weight in network.teacher.parameters():
        torch.testing.assert_close(weight, torch.full_like(weight, rest), atol=1e-7, rtol=1e-4)


def test_a_step_moves_the_teacher_towards_the_new_student_alone(world: SmallWorld) -> None:
    task = world.task("vtp", warmup_share=0.0)
    with torch.no_grad():  # apart from the student, as later in training
        for weight in task.network.teacher.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    before = bits(task.network.teacher)
    assert not task.network.teacher.training and task.network.student.training
    task.update(scenes(), 4)
    momentum = 1 - 0.01 * (1 + math.cos(math.pi * 5 / 10)) / 2
    student = bits(task.network.student)
    for name, value in bits(task.network.teacher).items():
        expected = momentum * before[name] + (1 - momentum) * student[name]
        torch.testing.assert_close(value, expected, atol=1e-7, rtol=1e-5)
    with patch.object(type(task.network), "after_step"):
        held = bits(task.network.teacher)
        task.update(scenes(), 5)
    assert all(torch.equal(held[name], v) for name, v in bits(task.network.teacher).items())


def test_hidden_patches_are_not_seen(world: SmallWorld) -> None:
    student, given = new_vtp(world).student, images(2)
    hidden = torch.zeros(2, 16, dtype=torch.bool)
    hidden[:, 5] = True
    other = given.clone()
    other[:, :, 8:16, 8:16] = torch.rand(2, 3, 8, 8)  # the patch in row 1, column 1
    with torch.no_grad():
        assert torch.equal(student(given, hidden)[1], student(other, hidden)[1])
        assert not torch.equal(student(given)[1], student(other)[1])
        assert not torch.equal(student(given)[1], student(given, hidden)[1])


def test_self_distillation_is_its_formula(world: SmallWorld) -> None:
    """Two global crops each against the other, two local ones against both; hidden patches against
    the teacher's, which sees all.
    """
    network, n = new_vtp(world), 3
    with torch.no_grad():
        for weight in network.teacher.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    crops = [torch.rand(n, 3, side, side) for side in (32, 32, 16, 16)]
    hidden = torch.rand(2 * n, 16).argsort(1) < 5
    with (
        patch.object(vtp, "random_crops", side_effect=crops),
        patch.object(vtp, "random_masks", return_value=hidden),
        torch.no_grad(),
    ):
        dino, ibot = network.self_distillation(images(n))

    def entropy(student, target):
        return -(target * F.log_softmax(student / 0.1, -1)).sum(-1).mean()

    with torch.no_grad():
        teach = lambda view: network.teacher(view)
        names = [sinkhorn(network.teacher.dino(teach(view)[0])) for view in crops[:2]]
        seen = [
            network.student.dino(network.student(view, hidden[k * n : k * n + n])[0])
            for k, view in enumerate(crops[:2])
        ]
        local = [network.student.dino(network.student(view)[0]) for view in crops[2:]]
        pairs = [(seen[0], names[1]), (seen[1], names[0])]
        pairs += [(part, name) for part in local for name in names]
        across = sum(entropy(*pair) for pair in pairs) / 6
        known = torch.cat([teach(view)[1] for view in crops[:2]])[hidden]
        guess = torch.cat(
            [
                network.student(view, hidden[k * n : k * n + n])[1]
                for k, view in enumerate(crops[:2])
            ]
        )[hidden]
        masked = entropy(network.student.ibot(guess), sinkhorn(network.teacher.ibot(known)))
    torch.testing.assert_close(dino, across, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ibot, masked, rtol=1e-4, atol=1e-5)


def test_crops_and_masks_are_of_the_shares_it_names(world: SmallWorld) -> None:
    network, asked, hidden = new_vtp(world), [], []

    def crops(given, side, smallest, largest):
        asked.append((side, smallest, largest))
        return F.interpolate(given, (side, side))

    def masks(count, tokens, share, device):
        hidden.append((count, tokens, share))
        return torch.arange(tokens).expand(count, tokens) < 5

    with patch.object(vtp, "random_crops", crops), patch.object(vtp, "random_masks", masks):
        network.self_distillation(images(2))
    assert asked == [(32, 0.4, 1.0)] * 2 + [(16, 0.1, 0.4)] * 2
    assert hidden == [(4, 16, 0.3)]


def test_its_class_token_is_contrasted_with_captions(world: SmallWorld) -> None:
    network = new_vtp(world)
    step, text = network(images()), torch.randn(3, 16)
    found = network.own_losses(step, Said(text=text))["anchor"]
    torch.testing.assert_close(found, network.contrast(step.encoded.embedding, text))
    seen = network.student(images())[0]
    torch.testing.assert_close(step.encoded.embedding, seen @ network.to_text.weight.T)
