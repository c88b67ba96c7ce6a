"""One or two sentences that say what a run is, put together from its stamps and records."""

from pathlib import Path
from typing import Any

from muse_core.report.run_records import record, stage_records
from muse_core.report.stamps import Stamp

ROUTINGS = {
    "orthogonal": "with orthogonal routing: in its attention, the topology loss trains only queries and keys and the text "
    "anchor only values",
    "trunk-routed": "with orthogonal routing, carried into the backbone: there too the topology loss trains only queries "
    "and keys, and no other loss trains them",
    "shared": "with shared routing, the baseline: every loss may train every weight of its attention",
}
SOURCES = {
    "scenes": "the drawn scenes",
    "pets": "Oxford-IIIT Pet photographs",
    "folder": "a folder of images",
    "captions": "images with captions",
    "masks": "images with masks",
    "wds": "tar shards",
    "hf": "a Hugging Face data set",
    "hf-stream": "a Hugging Face data set, streamed",
    "mix": "several sources by ratio",
}


def about(run: Path, stamps: list[Stamp], notebooks: list[str]) -> list[str]:
    """What was trained on what, and which notebooks (their stems) were run; fewer sentences where
    less is known.
    """
    stages, evaluation = stage_records(run), record(run, "evaluation")
    last = stages[max(stages)] if stages else {}
    sentences = [_trained(last, stages), _measured(last, evaluation), _ran(stamps, notebooks)]
    return [sentence for sentence in sentences if sentence]


def data_words(spec: Any) -> str:
    """ "pets:PATH/oxford_pets" as "Oxford-IIIT Pet photographs (oxford_pets)": a folder's name,
    never its place.
    """
    kind, _, place = str(spec or "").partition(":")
    words, name = SOURCES.get(kind.strip(), kind.strip()), Path(place.strip()).name
    return f"{words} ({name})" if name else words


def _trained(last: dict[str, Any], stages: dict[int, dict[str, Any]]) -> str:
    data, preset = data_words(last.get("data")), last.get("preset")
    if not data:
        return ""
    size = f"of preset {preset}, " if preset else ""
    how = ROUTINGS.get(str(last.get("routing")), "")
    return f"A tokenizer {size}trained on {data}{_stages(stages)}{' ' + how if how else ''}."


def _stages(stages: dict[int, dict[str, Any]]) -> str:
    return " in three stages" if len(stages) == 3 else f" up to stage {max(stages)} of three"


def _measured(last: dict[str, Any], evaluation: dict[str, Any]) -> str:
    """Said only where a run was measured on other data than it was trained on."""
    data = evaluation.get("data")
    return (
        f"It was measured on other data: {data_words(data)}."
        if data and data != last.get("data")
        else ""
    )


def _ran(stamps: list[Stamp], notebooks: list[str]) -> str:
    numbers = [name[:2] for name in notebooks]
    if not numbers:
        return ""
    listed = " and ".join(part for part in (", ".join(numbers[:-1]), numbers[-1]) if part)
    minutes = sum(stamp.seconds for stamp in stamps) / 60
    many = "Notebooks" if len(numbers) > 1 else "Notebook"
    where = ", ".join(dict.fromkeys(DEVICES.get(stamp.device, stamp.device) for stamp in stamps))
    return (
        f"{many} {listed} ran for {minutes:,.0f} minutes in all on {where}."
        if minutes >= 1
        else f"{many} {listed}."
    )


DEVICES = {"cpu": "the CPU", "cuda": "a GPU", "mps": "an Apple GPU"}
