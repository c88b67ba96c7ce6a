"""A row of drawing by its name: trained stage after stage, drawn and edited the same by seed, taken
as it is the second time; neither tokenizer nor language model has moved.
"""

from functools import cache

import pytest
import torch

from muse_core import paths
from muse_core.config.overrides import load_preset
from muse_core.errors import MuseError
from muse_core.evaluation.drawing_row import (
    DrawingRow,
    DrawingTests,
    bounds,
    drawing_row,
    drawings,
    given_back_edits,
    judged,
    of_captions_denoiser,
    shown_first,
)
from muse_core.evaluation.generation.sample_quality import draw
from muse_core.foundations.language_model import LanguageModel
from muse_core.foundations.scene_detector import load_scene_detector
from muse_core.generation.caption_embeddings import conditioning
from muse_core.losses.text_alignment import text_alignment_loss
from muse_core.models.gradient_routes import READER_ROUTES, Route
from muse_core.models.weight_groups import group_of
from muse_core.results.measurements import METRICS, OF_BOUNDS, OF_DRAWINGS
from muse_core.training.freshness import weights_digest
from muse_core.training.system_run import SystemRun
from muse_core.unified.draw_task import DRAWER_FOLDER
from muse_core.unified.drawer import Drawer, SeenImage, understood
from muse_core.unified.language_run import NAME
from muse_core.unified.unified_model import UnifiedModel

from .micro import PRESET

TINY = paths.checkout() / "data" / "foundations" / "tiny"
STEPS = " ".join(
    f"{name}.stage.steps=2 {name}.stage.images=24 {name}.stage.batch_size=6"
    for name in ("08", "10", "10a", "10c")
)
SHAPE = "stage.steps=2 10.stage.image_side=2 10c.stage.edit_share=0.9"
FEW = 2


@cache
def language_model() -> LanguageModel:
    return LanguageModel.from_pretrained(TINY / "language_model")


def row_of(system: str, run: str = "draws", **options) -> DrawingRow:
    named = SystemRun(
        run=f"{run}-{system}", system=system, preset=PRESET, overrides=f"{SHAPE} {STEPS}", **options
    )
    return drawing_row(named, language_model())


@pytest.mark.parametrize("system", ["muse", "autoencoder"])
def test_a_row_is_trained_drawn_with_and_judged(micro, system: str) -> None:
    before = weights_digest(language_model().network)
    row, preset = row_of(system, device="cpu"), load_preset(PRESET, "generated_images=4")
    stages = ["captions", "projector", "10a_connector", "10c_editing"]
    assert [*row.results] == stages
    first = paths.run_folder(f"draws-{system}") / NAME / "10a_connector" / DRAWER_FOLDER
    said = Drawer.from_pretrained(first).connector.state_dict()
    # The second stage trained the denoiser alone.
    for name, value in row.drawer.connector.state_dict().items():
        assert torch.equal(value, said[name]), name
    tests = DrawingTests.of("val", preset, 2)
    images = drawings(row, tests, 3, FEW)
    again = drawings(row, tests, 3, FEW)
    for name, each in vars(images).items():
        assert torch.equal(each, getattr(again, name)), name
        assert each.shape == getattr(tests.real, name).shape and 0 <= each.min() <= each.max() <= 1
    detector = load_scene_detector(TINY / "scene_detector")
    given_back = given_back_edits(row, tests)
    measured = judged(detector, tests, images, given_back)
    measured |= bounds(row, detector, tests, images, given_back, 3, FEW)
    by_captions = draw(row.captions, tests.captions, 3, 3.0, FEW)
    measured |= of_captions_denoiser(detector, tests, by_captions)
    assert {*OF_DRAWINGS, *OF_BOUNDS} <= set(measured) <= set(METRICS)
    assert len({len(each) for each in shown_first(tests, images, given_back).values()}) == 1
    assert weights_digest(language_model().network) == before
    assert all(not weight.requires_grad for weight in row.codec.network.parameters())
    same = row_of(system, device="cpu").results
    assert all(same[name].record == result.record for name, result in row.results.items())


def test_drawing_touches_of_the_tokenizer_what_its_row_of_the_table_says(micro) -> None:
    row = row_of("muse", device="cpu")
    network = row.codec.network.requires_grad_(True)
    model = language_model().network.requires_grad_(True)
    drawer = row.drawer.requires_grad_(True)
    try:
        case = DrawingTests.of("val", load_preset(PRESET, "generated_images=2"), 1).edits[0]
        with torch.enable_grad():
            tokens, grid = row.sight.see(case.edit.before, 32)
            words = row.reader.projector(tokens, grid)
            latents = row.codec.encode(case.before[None])
            seen = SeenImage(words, latents)
            given = understood(
                row.reader.language_model, drawer.connector.queries, ["add a red star"], seen
            )
            found = drawer(latents, torch.tensor([0.5]), given, latents)
            wanted = conditioning(row.captions.text, ["add a red star"])
            said = drawer.condition(given)
            loss = text_alignment_loss(said.states, wanted.states, wanted.mask)
            (found.square().mean() + loss).backward()
        assert drawer.connector.queries.grad.abs().sum() > 0
        for name, weight in network.named_parameters():
            for loss_name in ("flow_matching", "text_alignment"):
                assert READER_ROUTES[loss_name][group_of(name)] is Route.NEVER
            assert weight.grad is None or not weight.grad.any(), name
        for kept in (row.reader.projector, row.captions.text):
            assert all(w.grad is None for w in kept.parameters())
    finally:
        model.requires_grad_(False)
        model.zero_grad(set_to_none=True)


def test_what_was_trained_is_one_model_in_one_folder(micro, tmp_path) -> None:
    row = row_of("muse", device="cpu")
    parts = row.reader.projector, language_model(), row.drawer, row.reader.normalisation
    model = UnifiedModel(row.codec.network, *parts, reads="both")
    model.save_pretrained(tmp_path / "all")
    opened = UnifiedModel.from_pretrained(tmp_path / "all")
    noise = lambda: torch.Generator().manual_seed(0)
    given = {"num_inference_steps": FEW}
    one, other = (
        each.draw("a star above a red ring", generator=noise(), **given)[0]
        for each in (model, opened)
    )
    assert one.tobytes() == other.tobytes()
    edited = opened.edit(one, "make the star blue", generator=noise(), **given)
    assert edited.image.size == one.size


def test_without_a_latent_nothing_is_drawn(micro) -> None:
    with pytest.raises(MuseError, match="backbone has no latent, and nothing can be drawn on it"):
        row_of("backbone", device="cpu")


def test_too_many_layers_of_a_connector_are_said_before_anything_is_trained(micro) -> None:
    named = SystemRun(
        run="deep",
        system="muse",
        preset=PRESET,
        overrides=f"{SHAPE} {STEPS} drawing_connector.layers=50",
    )
    with pytest.raises(MuseError, match="is to have 50 layers, and the language model has"):
        drawing_row(named, language_model())
    assert not paths.run_folder("deep").exists()
