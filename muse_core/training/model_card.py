"""The README.md beside a saved tokenizer: what it is and is made from, what it can do, how to load
it. In the hub's format of model cards.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.foundations.parts import AUTOENCODER, BACKBONE, TEACHER, TEXT_TOWER
from muse_core.results.machine_paths import data_words, without_machine_paths
from muse_core.results.measurements import METRICS, EvaluationRecord, Row
from muse_core.results.records import read_json, read_record
from muse_core.results.trained_code import folder_fingerprint
from muse_core.training.stage_record import StageRecord

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

TEMPLATE = Path(__file__).with_suffix(".md")
TAGS = ["visual-tokenizer", "image-reconstruction", "zero-shot-image-classification"]
LICENCES = {
    "OpenGVLab/InternVL3-1B-hf": "apache-2.0",
    "OpenGVLab/InternVL3-2B-hf": "apache-2.0",
    "mit-han-lab/dc-ae-f32c32-sana-1.1-diffusers": "mit",
    "facebook/dinov3-vitl16-pretrain-lvd1689m": "dinov3-license",
    "facebook/dinov3-vith16plus-pretrain-lvd1689m": "dinov3-license",
    "laion/CLIP-ViT-L-14-laion2B-s32B-b82K": "mit",
}
"""Hub id of a pretrained part -> its licence, by the hub's names."""
OURS = "mit"
"""Of the code, and of the networks that are committed with it."""
USES = {
    BACKBONE.name: "yes",
    AUTOENCODER.name: "its decoder",
    TEACHER.name: "no, it supervised",
    TEXT_TOWER.name: "no, it supervised",
}


def write_cards(run: str) -> list[Path]:
    """Write the card of each finished stage of a run again, with what an evaluation found since.

    Raises:
        MuseError: A record is damaged, or the disk refuses.
    """
    written = []
    for file in sorted(paths.records_folder(run).glob("stage[0-9].json")):
        record = read_record(file, StageRecord)
        folder = paths.run_folder(run) / record.stage / "tokenizer"
        if (folder / "config.json").is_file():
            written.append(write_model_card(folder, record))
    return written


def write_model_card(folder: Path, record: StageRecord) -> Path:
    """Write ``README.md`` into a tokenizer's folder.

    Its results are those of the run's evaluation, where that measured these very weights.

    Args:
        folder: Where the finished tokenizer lies.
        record: How its stage was trained.

    Raises:
        MuseError: The folder is no tokenizer's.
    """
    from huggingface_hub import ModelCard

    root = paths.root()
    inside = folder.is_relative_to(root)
    evaluation, row = _measured(folder, record)
    measured_on = data_words(evaluation.data) if evaluation else ""
    parts = list(_parts(record))
    card = ModelCard.from_template(
        _metadata(f"MUSE {record.run}, {record.stage}", parts, row, measured_on),
        template_path=str(TEMPLATE),
        record=record,
        location=folder.relative_to(root).as_posix() if inside else folder.name,
        image_size=read_json(folder / "config.json")["image_size"],
        evaluation=evaluation,
        measured_on=measured_on,
        results=list(_results(row)) if row else [],
        parts=parts,
        data=data_words(record.data) or "data of a notebook's own",
    )
    file = folder / "README.md"
    file.write_text(without_machine_paths(str(card)), encoding="utf-8")
    return file


def _measured(
    folder: Path, record: StageRecord
) -> tuple[EvaluationRecord, Row] | tuple[None, None]:
    """The run's evaluation and in it the row of these weights, whose ``subject`` ends on their
    digest.
    """
    try:
        file = paths.records_folder(record.run) / "evaluation.json"
        evaluation = read_record(file, EvaluationRecord)
    except MuseError:
        return None, None
    digest = folder_fingerprint(folder)
    own = (row for row in evaluation.rows if row.subject.endswith(f" {digest}"))
    return next(((evaluation, row) for row in own), (None, None))


def _results(row: Row) -> Iterator[dict[str, Any]]:
    """A line for each figure of the row, in its metric's unit."""
    from muse_core.figures.tables import value_and_interval

    for name, metric in METRICS.items():
        if found := value_and_interval(row, name, " to "):
            one = row.measurements[name]
            value, interval = (f"{text} {metric.unit}".rstrip() if text else "" for text in found)
            how = one.protocol.replace("|", "\\|")
            yield {"words": metric.words, "value": value, "interval": interval} | {
                "n": f"{one.n:,}",
                "how": how,
            }


def _parts(record: StageRecord) -> Iterator[dict[str, str]]:
    """The pretrained parts by their public names; none where the run's preset is not known."""
    for part in (BACKBONE, AUTOENCODER, TEACHER, TEXT_TOWER):
        location = str(record.model.get(f"foundations.{part.parameter}", ""))
        if not location:
            continue
        folder = Path(location)
        committed = folder.parts[-4:-2] == ("data", "foundations")
        local = committed or folder.is_absolute() or folder.is_dir()
        hub_id = "" if local or location.count("/") != 1 else location
        network = f"[{hub_id}](https://huggingface.co/{hub_id})" if hub_id else folder.name
        if committed:
            network = f"{folder.parts[-2]} {folder.name}, trained on drawn scenes"
        licence = OURS if committed else LICENCES.get(hub_id, "")
        yield {"name": part.name, "network": network, "licence": licence} | {
            "use": USES[part.name],
            "hub_id": hub_id,
        }


def _metadata(
    name: str, parts: list[dict[str, str]], row: Row | None, measured_on: str
) -> "ModelCardData":
    """The card's head, which the hub reads."""
    from huggingface_hub import EvalResult, ModelCardData

    held = [part for part in parts if part["name"] in (BACKBONE.name, AUTOENCODER.name)]
    ours = held and all(part["licence"] == OURS for part in held)
    results = [
        EvalResult(
            task_type="image-feature-extraction",
            dataset_type=measured_on.split()[0],
            dataset_name=measured_on,
            metric_type=metric,
            metric_name=METRICS[metric].words,
            metric_value=one.value,
            metric_args={"low": one.low, "high": one.high, "n": one.n},
        )
        for metric, one in (row.measurements.items() if row else ())
        if one.value is not None and metric in METRICS
    ]
    return ModelCardData(
        license=OURS if ours else "other",
        library_name="muse_core",
        tags=TAGS,
        base_model=[part["hub_id"] for part in held if part["hub_id"]] or None,
        model_name=name if results else None,
        eval_results=results or None,
    )
