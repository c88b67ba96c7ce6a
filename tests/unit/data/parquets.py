"""Folders of parquet for the tests of what streams them: a row's red is its number, as
in `tars`.
"""

from pathlib import Path

import datasets

from .tars import picture

FEATURES = datasets.Features(
    image=datasets.Image(),
    caption=datasets.Sequence(datasets.Value("string")),
    label=datasets.ClassLabel(names=["even", "odd"]),
    unused=datasets.Value("string"),
)


def table(first: int, last: int) -> datasets.Dataset:
    numbers = range(first, last)
    columns = {
        "image": [
            {"bytes": picture((number % 256, number // 256, 0)), "path": None} for number in numbers
        ],
        "caption": [[f"picture {number}", f"number {number}"] for number in numbers],
        "label": [number % 2 for number in numbers],
        "unused": ["x" * 1000 for _ in numbers],
    }
    return datasets.Dataset.from_dict(columns, features=FEATURES)


def write_parquet(path: Path, first: int, last: int, rows: int) -> Path:
    """The numbers ``first .. last`` (exclusive), ``rows`` of them in each row group."""
    import pyarrow.parquet as parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table(first, last).data.table, path, row_group_size=rows)
    return path


def numbers(batch) -> list[int]:
    """What the pictures of a batch say; captions and labels agree with it."""
    red, green = ((batch.images[:, channel].mean((1, 2)) * 255).round().int() for channel in (0, 1))
    found = (red + 256 * green).tolist()
    assert [int(caption.rsplit(" ", 1)[1]) for caption in batch.captions] == found
    assert batch.labels.tolist() == [number % 2 for number in found]
    return found
