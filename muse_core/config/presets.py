"""Sizes of the same code: a preset is data, and no code path belongs to one of them.

Each function's docstring says how to run it, on what, how long it takes and what to expect.
"""

from collections.abc import Callable
from dataclasses import replace

from muse_core import paths
from muse_core.config.paper_presets import muse_1b, muse_3b, muse_release, muse_small
from muse_core.config.preset import ConnectorShape, FoundationLocations, Preset
from muse_core.config.stage import Curriculum, by_loss, three_stages
from muse_core.errors import chosen


def tiny() -> Preset:
    """``make reports``: the embedded scenes on two CPU cores, no network, about 15 minutes, and as
    long again for the baseline and the evaluation.

    Expected on held-out scenes: after stage 3 about 26 dB, a zero-shot accuracy of 0.83 over ten
    shapes (the frozen backbone has 0.81) and an mIoU of 0.45 (0.40)."""
    folder = paths.foundations("tiny")
    warmup = dict(
        weights=by_loss(topology=1.0, reconstruction=0.1, perceptual=0.0025),
        shares=by_loss(perceptual=0.25),
        learning_rate=5e-4,
        steps=400,
        batch_size=16,
        ema_decay=0.98,
        checkpoint_every=100,
    )
    semantic = dict(
        weights=by_loss(topology=1.0, anchor=1.0, reconstruction=0.1, perceptual=0.0025),
        steps=300,
        batch_size=32,
    )
    tuning = dict(
        weights=by_loss(
            topology=0.2, anchor=0.2, reconstruction=1.0, perceptual=0.1, adversarial=0.01
        ),
        shares=by_loss(perceptual=0.25, adversarial=0.25),
        learning_rate=1e-3,
        steps=440,
        batch_size=24,
        backbone_rate=0.5,
    )
    return Preset(
        name="tiny",
        image_size=64,
        foundations=FoundationLocations(
            backbone=str(folder / "backbone"),
            autoencoder=str(folder / "autoencoder"),
            teacher=str(folder / "teacher"),
            text_tower=str(folder / "text_tower"),
            teacher_layers=(2, 3, 4, 5, 6, 7),
        ),
        connector=ConnectorShape(unshuffle=1, width=96, num_heads=4, semantic_channels=16),
        language_model=str(folder / "language_model"),
        teacher_cache=4.0,
        curriculum=three_stages(warmup, semantic, tuning),
    )


def demo() -> Preset:
    """``muse demo``: ``tiny`` with a tenth of its steps, about three minutes on two cores."""
    preset = tiny()
    stages = tuple(replace(stage, steps=stage.steps // 10) for stage in preset.curriculum)
    return replace(
        preset, name="demo", curriculum=Curriculum(stages), held_out_images=200, probe_images=400
    )


def smoke() -> Preset:
    """``tiny`` with a handful of steps: what the notebooks do by default, about a minute each on
    two cores.
    """
    preset = tiny()
    stages = tuple(
        replace(stage, steps=24, batch_size=16, checkpoint_every=12) for stage in preset.curriculum
    )
    generation = replace(preset.generation, images=128, steps=12, batch_size=16, checkpoint_every=6)
    language = replace(preset.language, images=48, steps=12, checkpoint_every=6)
    return replace(
        preset,
        name="smoke",
        curriculum=Curriculum(stages),
        generation=generation,
        language=language,
        drawing=tuple(
            replace(stage, images=48, steps=8, batch_size=8, checkpoint_every=4)
            for stage in preset.drawing
        ),
        held_out_images=200,
        generated_images=24,
        probe_images=400,
        segmentation_steps=30,
    )


PRESETS: dict[str, Callable[[], Preset]] = {
    "smoke": smoke,
    "tiny": tiny,
    "demo": demo,
    "muse-small": muse_small,
    "muse-1b": muse_1b,
    "muse-3b": muse_3b,
    "muse-release": muse_release,
}


def preset_named(name: str) -> Preset:
    """Raises MuseError for an unknown name."""
    return chosen("preset", name, PRESETS)()
