"""A run that finished a stage, without training: small random weights, their record, their figures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from muse_core import paths
from muse_core.results.measurements import EvaluationRecord, Measurement, Row
from muse_core.results.records import provenance, write_json
from muse_core.results.trained_code import folder_fingerprint
from muse_core.training.model_card import write_model_card
from muse_core.training.stage_record import StageRecord

from ..models.small_models import small_tokenizer

STAGE = "03_synergistic_tuning"
RECORD = StageRecord(
    stage=STAGE,
    run="mine",
    data_fingerprint="scenes-v1",
    seed=4,
    steps=440,
    batch_size=24,
    resumed_at=0,
    seconds=9.0,
    images_per_second=28.1,
    losses={"topology": {"first": 0.2, "last": 0.03838}},
    trainable_parameters=2168445,
    files_skipped=[],
    files_enlarged=0,
    provenance=provenance(),
    configuration={},
    code={},
    preset="tiny",
    data="scenes",
    routing="orthogonal",
    model={
        "foundations.backbone": "OpenGVLab/InternVL3-1B-hf",
        "foundations.autoencoder": "data/foundations/tiny/autoencoder",
        "foundations.teacher": "/home/ada/nets/dino",
        "foundations.text_tower": "someone/clip",
    },
)


def finished_stage(**changes: Any) -> Path:
    """The folder of a tokenizer with its card, in the workspace that `paths` points at."""
    record = replace(RECORD, **changes)
    folder = paths.run_folder(record.run) / record.stage / "tokenizer"
    small_tokenizer().save_pretrained(folder)
    write_json(paths.records_folder(record.run) / f"stage{record.stage[1]}.json", record)
    write_model_card(folder, record)
    return folder


def evaluated(folder: Path, digest: str = "", **figures: Measurement) -> Path:
    """``evaluation.json`` of the run, whose one row is of the weights in the folder, or of others
    with another digest.
    """
    run = folder.parents[1].name
    subject = f"TokenizerExtractor {digest or folder_fingerprint(folder)}"
    return write_json(
        paths.records_folder(run) / "evaluation.json",
        EvaluationRecord(
            run=run,
            preset="tiny",
            data="folder:/home/ada/birds",
            split="test",
            n_train=10,
            n_test=1000,
            seed=4,
            rows=[Row("MUSE, after stage 3", subject, figures)],
            comparisons=[],
            notes=[],
            seconds=1.0,
            provenance=provenance(),
        ),
    )
