"""`StageRecord`: what ``records/stageN.json`` says of a stage that was trained."""

from dataclasses import dataclass, field
from typing import Any

from muse_core.results.records import Provenance


@dataclass(frozen=True)
class StageRecord:
    """How a stage was trained and what came of it.

    Args:
        losses: Term -> {"first": at step 1, "last": mean of the last ten steps}.
        seconds: Wall time without the callbacks', over all pieces of an interrupted stage.
        data_wait_share: Of ``seconds``, what steps waited for their batch.
        callbacks: Name -> the seconds it took, over all pieces too.
        bad_steps: Steps, counted from 1, that were skipped because they were not finite.
        configuration: Everything that decided what was learned.
        code: File below muse_core -> digest, of the code it was trained with.
        model: What of the preset belongs to the run, resolved; ``base``: the same without
            overrides.
        held_out: What was measured on held-out images afterwards.
        other_data: What it was trained on, where the stage before it saw something else.
        targets_read: Share of the topology teacher's outputs that were read from disk, in the
            process that writes and since it last resumed.
        captions_truncated: Times a caption was longer than the text tower's context.
    """

    stage: str
    run: str
    data_fingerprint: str
    seed: int
    steps: int
    batch_size: int
    resumed_at: int
    seconds: float
    images_per_second: float
    losses: dict[str, dict[str, float]]
    trainable_parameters: int
    files_skipped: list[str]
    files_enlarged: int
    provenance: Provenance
    configuration: dict[str, Any]
    code: dict[str, str]
    callbacks: dict[str, float] = field(default_factory=dict)
    processes: int = 1
    data_wait_share: float = 0.0
    bad_steps: list[int] = field(default_factory=list)
    preset: str = ""
    overrides: str = ""
    data: str = ""
    routing: str = ""
    perceptual_network: str = ""
    captions_truncated: int = 0
    targets_read: float = 0.0
    other_data: str = ""
    model: dict[str, Any] = field(default_factory=dict)
    base: dict[str, Any] = field(default_factory=dict)
    latents: str = ""
    held_out: dict[str, Any] = field(default_factory=dict)
