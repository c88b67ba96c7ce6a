"""The rows of a run's table, in order; a row that cannot be measured names the command that makes
it.
"""

import shutil
from dataclasses import replace
from functools import cache

import pytest
import torch
from safetensors.torch import save_file

from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.evaluation.feature_extractors import (
    AutoencoderExtractor,
    BackboneExtractor,
    ChanceExtractor,
    TeacherExtractor,
    TokenizerExtractor,
    eval_mode,
)
from muse_core.evaluation.run_rows import Absent, last_tokenizer, run_rows, tokenizer_folder
from muse_core.foundations.image_tower import PROJECTION_FILE
from muse_core.results.trained_code import folder_fingerprint
from tests.integration.micro import IMAGE_SIZE, STAGES, micro_preset, write_foundations
from tests.unit.models.small_models import small_tokenizer

from .small_evaluations import GRID, small_teacher


@pytest.fixture(scope="module")
def foundations(tmp_path_factory):
    return write_foundations(tmp_path_factory.mktemp("foundations"))


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    return tmp_path


def rows(foundations) -> list:
    train = Scenes("train", IMAGE_SIZE)
    return list(
        run_rows(micro_preset(foundations), "mine", "mine-shared", small_teacher(), train, "cpu")
    )


tokenizer = cache(lambda routing: small_tokenizer(routing=routing))


def finish(run: str, stage: str, mark: float, routing: str = "orthogonal") -> None:
    """Leave a tokenizer whose latent projection has this bias."""
    tokenizer(routing).to_latent[1].bias.data.fill_(mark)
    tokenizer(routing).save_pretrained(tokenizer_folder(run, stage))


def test_a_run_without_anything_names_every_command(foundations) -> None:
    absent = [row for row in rows(foundations) if isinstance(row, Absent)]
    own = [
        Absent(
            f"MUSE, after stage {number}",
            f"run 'mine' has no finished {stage}; `muse run 0{number} --run mine -p preset micro` "
            "makes it",
        )
        for number, stage in enumerate(STAGES, start=1)
    ]
    command = "`muse run 01 02 03 --run mine-shared -p preset micro -p routing shared` makes it"
    shared = Absent(
        "shared routing, after stage 3", f"run 'mine-shared' has no finished {STAGES[2]}; {command}"
    )
    assert absent == [*own, shared]


def test_the_frozen_parts_are_there_without_any_training(foundations) -> None:
    found = rows(foundations)[4:]
    assert [type(row) for row in found] == [
        BackboneExtractor,
        AutoencoderExtractor,
        TeacherExtractor,
        ChanceExtractor,
    ]
    assert [row.name for row in found] == [
        "frozen backbone (InternViT)",
        "plain autoencoder (DC-AE)",
        "topology teacher (DINOv3)",
        "chance",
    ]
    images = Scenes("test", IMAGE_SIZE).first(2).images
    for row in found:
        with eval_mode(row.network):
            seen, maps = row.features(images), row.attention(images)
        assert seen.tokens[row.segmented].shape[:2] == (
            2,
            36 if isinstance(row, TeacherExtractor) else 16,
        )
        assert maps is None or maps[0].shape[-1] == GRID[0] * GRID[1]
        assert not any(weight.requires_grad for weight in row.network.parameters())


def test_finished_stages_come_in_the_order_of_the_curriculum(foundations) -> None:
    for number, stage in enumerate(STAGES):
        finish("mine", stage, mark=number)
    finish("mine-shared", STAGES[2], mark=9, routing="shared")
    found = rows(foundations)[:4]
    assert all(isinstance(row, TokenizerExtractor) for row in found)
    assert [row.name for row in found] == [
        *(f"MUSE, after stage {number}" for number in (1, 2, 3)),
        "shared routing, after stage 3",
    ]
    assert [row.network.to_latent[1].bias[0].item() for row in found] == [0, 1, 2, 9]
    assert not any(row.network.training for row in found)
    assert [row.network.config.routing for row in found] == ["orthogonal"] * 3 + ["shared"]
    assert len({row.fingerprint for row in found}) == 4


def test_a_gap_is_named_where_it_is(foundations) -> None:
    finish("mine", STAGES[0], mark=0)
    finish("mine", STAGES[2], mark=1)
    assert [isinstance(row, Absent) for row in rows(foundations)[:4]] == [False, True, False, True]


def test_a_backbones_projection_is_used_where_it_lies_beside_it(foundations) -> None:
    images = Scenes("test", IMAGE_SIZE).first(2).images
    assert rows(foundations)[4].features(images).embedding is None
    weight = torch.randn(16, 32)
    save_file({"weight": weight}, foundations / PROJECTION_FILE)
    try:
        row = rows(foundations)[4]
        with eval_mode(row.network):
            expected = row.network(images).mean(1) @ weight.T
            assert torch.allclose(row.features(images).embedding, expected, atol=1e-4)
    finally:
        (foundations / PROJECTION_FILE).unlink()


def test_fingerprints_are_those_of_the_files(foundations) -> None:
    found = rows(foundations)
    assert found[4].fingerprint == folder_fingerprint(foundations / "backbone")
    assert found[5].fingerprint == folder_fingerprint(foundations / "autoencoder")


def test_the_teachers_fingerprint_is_that_of_its_files_and_of_what_psi_makes(
    foundations, tmp_path
) -> None:
    of = lambda preset: next(
        row.fingerprint
        for row in run_rows(
            preset, "mine", "b", small_teacher(), Scenes("train", IMAGE_SIZE), "cpu"
        )
        if isinstance(row, TeacherExtractor)
    )
    shutil.copytree(foundations / "teacher", tmp_path / "teacher")
    preset = micro_preset(foundations)
    parts = replace(preset.foundations, teacher=str(tmp_path / "teacher"))
    preset = replace(preset, foundations=parts)
    first = of(preset)
    fewer = of(replace(preset, connector=replace(preset.connector, num_heads=1)))
    config = tmp_path / "teacher" / "config.json"
    config.write_text(config.read_text() + " ")
    assert len({first, fewer, of(preset)}) == 3


def test_chance_shows_the_mean_of_the_training_images(foundations) -> None:
    mean = Scenes("train", IMAGE_SIZE).first(500).images.mean(0)
    assert torch.allclose(rows(foundations)[-1].network[0][0], mean)


def test_rows_are_loaded_one_at_a_time(foundations) -> None:
    each = run_rows(
        micro_preset(foundations), "mine", "b", small_teacher(), Scenes("train", IMAGE_SIZE), "cpu"
    )
    finish("mine", STAGES[1], mark=0)
    assert isinstance(next(each), Absent)
    shutil.rmtree(tokenizer_folder("mine", STAGES[1]))
    assert isinstance(next(each), Absent)


def test_a_stage_without_its_weights_is_one_sentence(foundations) -> None:
    finish("mine", STAGES[0], mark=0)
    for file in tokenizer_folder("mine", STAGES[0]).glob("*.safetensors"):
        file.unlink()
    with pytest.raises(MuseError):
        rows(foundations)


def test_the_last_finished_stage_is_the_tokenizer_to_look_at(foundations) -> None:
    preset = micro_preset(foundations)
    with pytest.raises(MuseError, match="muse run 01 02 03 --run mine -p preset micro"):
        last_tokenizer(preset, "mine", "cpu")
    finish("mine", STAGES[0], mark=0)
    finish("mine", STAGES[1], mark=1)
    found = last_tokenizer(preset, "mine", "cpu")
    assert found.name == "MUSE, after stage 2" and found.network.to_latent[1].bias[0].item() == 1
