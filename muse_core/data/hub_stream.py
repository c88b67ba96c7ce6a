"""`hf-stream:NAME`: a data set of the Hugging Face hub, or a folder of parquet, that training reads
from beginning to end without downloading it first.

`datasets` does the streaming: files are dealt to processes and workers, and a buffer shuffles the
rows. What is given up for that is said in docs/data.md. As a `Source`, for evaluations and figures,
a stream is its first `HEAD` samples.

Where the data set has one split only, a hash of each image's bytes and label keeps a tenth of
it for val and a tenth for test.
"""

import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property, partial
from hashlib import blake2b
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.utils.data import IterableDataset, get_worker_info

from muse_core.data.batch import Steps, StreamedSource
from muse_core.data.caption_sampling import drawn_caption
from muse_core.data.columns import Columns, columns_of
from muse_core.data.decode import Unreadable
from muse_core.data.hub import Place, cannot_be_opened, stored_row, undecoded
from muse_core.data.loader import PipedBatch, TrainingBatches, loader_of, received, sent
from muse_core.data.notes import Notes
from muse_core.data.reading import WORDLESS, ReadSource, Sample, Stored
from muse_core.data.splits import NO_OPTIONS, Options, hash_fraction, named_parts, share_of
from muse_core.errors import MuseError

if TYPE_CHECKING:
    import datasets

HEAD = 2_000
"""Samples that evaluations and figures see."""
BUFFER = 1_000
"""Rows that a worker holds, to shuffle them."""
FEW_FILES = 256
"""Below this, row groups are dealt to the readers instead of files."""

Row = tuple[str, Mapping[str, Any]]
"""A sample's name, a hash of its image, and its columns."""


class HubStream(ReadSource, StreamedSource):
    """One split of a data set.

    Args:
        place: where it is.
        stream: the split's rows.
        columns: those that are read.
        split: which split that is.
        image_size: pixels a side.
        files: (name, bytes) of its files, for the fingerprint.
        notes: what the data set holds and is not used.
    """

    def __init__(
        self,
        place: Place,
        stream: "datasets.IterableDataset",
        columns: Columns,
        split: str,
        image_size: int,
        files: list[tuple[str, int]],
        notes: tuple[str, ...] = (),
    ) -> None:
        self.name, self.place = place.name, f"the data set hf-stream:{place.name}"
        self.stream, self.columns, self.files, self.home = stream, columns, files, place.home
        self.split, self.image_size, self.class_names = split, image_size, columns.class_names
        self.unreadable, self.notes = {}, notes

    @cached_property
    def fingerprint(self) -> str:
        """A hash over the files' names and sizes, the columns, the split and image size; rows are
        not read.
        """
        facts = repr((self.columns, self.files)).encode("utf-8", "replace")
        digest = blake2b(facts, digest_size=8).hexdigest()
        return f"{self.name}/{self.split}/{self.image_size}px/{digest}"

    @cached_property
    def head(self) -> list[Row]:
        """The first samples, in memory, of rows shuffled once. Raises MuseError where there are
        none.
        """
        shuffled = self.stream.shuffle(seed=0, buffer_size=BUFFER, max_buffer_input_shards=1)
        found = list(islice(self.rows(shuffled), HEAD))
        if not found:
            raise MuseError(f"{self.place} has no images for the split {self.split!r}: add some.")
        return found

    def __len__(self) -> int:
        return len(self.head)

    def sample_id(self, index: int) -> str:
        return self.head[index][0]

    def stored(self, index: int) -> Stored:
        return self.stored_row(self.head[index])

    def stored_row(self, row: Row) -> Stored:
        """Raises Unreadable."""
        stored, columns = stored_row(*row, self.columns, self.home), self.columns
        # Rows that are not read again are not counted first.
        wordless = columns.captions and not columns.captions_of(row[1])
        return replace(stored, said=(WORDLESS,)) if wordless else stored

    def rows(self, stream: "datasets.IterableDataset") -> Iterator[Row]:
        """The rows of a stream with their names. Raises MuseError for a damaged file, and where a
        remote one cannot be fetched.
        """
        try:
            for row in stream:
                yield f"{self.name}#{_digest(row[self.columns.image])}", row
        except Exception as error:
            # As in hub.py.
            raise cannot_be_opened(f"hf-stream:{self.name}", error) from error

    def training_batches(self, steps: Steps) -> "StreamBatches":
        share = _Share(self, steps)
        workers = min(steps.workers, share.rows().num_shards)
        return StreamBatches(share, replace(steps, workers=workers))


class _Share(IterableDataset):
    """What one process reads of a stream in an epoch: (worker, state, batch). A worker's last
    incomplete batch is left out.

    ``states``: where each worker goes on in this epoch.
    """

    def __init__(self, source: HubStream, steps: Steps) -> None:
        self.source, self.steps, self.states = source, steps, {}
        # Resumed without a state, it is not the first epoch that is read again.
        self.epoch = steps.start

    def rows(self) -> "datasets.IterableDataset":
        """This process's rows in the order of the epoch."""
        from datasets.distributed import split_dataset_by_node

        steps, seed = self.steps, self.steps.seed * 100_003 + self.epoch
        stream = self.source.stream.shuffle(seed=seed, buffer_size=BUFFER)
        strategy = "shards" if stream.num_shards >= steps.processes else "examples"
        return split_dataset_by_node(stream, steps.rank, steps.processes, strategy=strategy)

    def __iter__(self) -> Iterator[tuple[str, Any, Any]]:
        info, rows = get_worker_info(), self.rows()
        worker = str(info.id if info else 0)
        if worker in self.states:
            rows.load_state_dict(self.states[worker])
        loaded, skipped = [], dict.fromkeys(self.source.notes)
        for row in self.source.rows(rows):
            try:
                loaded.append(self.source.decoded(self.source.stored_row(row)))
            except Unreadable as reason:
                skipped[f"{row[0]} ({reason})"] = None
            if len(loaded) == self.steps.batch_size // self.steps.processes:
                batch = self.source.joined(loaded, self._caption, skipped)
                yield worker, rows.state_dict(), sent(batch) if info else batch
                loaded, skipped = [], {}

    def _caption(self, sample: Sample) -> str:
        return drawn_caption(sample.captions, sample.id, self.steps.seed, self.epoch)


class StreamBatches(TrainingBatches):
    """The batches of one process, and where each of its workers stands."""

    def __init__(self, share: _Share, steps: Steps) -> None:
        super().__init__(loader_of(share, steps, batch_size=None), steps)
        self.share = share

    def _batches(self) -> Iterator[Any]:
        share = self.share
        while True:
            resumed, empty = bool(share.states), True
            for worker, state, batch in received(self.loader):
                share.states[worker], empty = state, False
                yield batch.opened() if isinstance(batch, PipedBatch) else batch
            if empty and not resumed:
                raise MuseError(
                    f"{share.source.place} has fewer images for the split {share.source.split!r} "
                    "than one batch of each reader: lower batch_size, or read it with hf:."
                )
            share.states, share.epoch = {}, share.epoch + 1

    def state_dict(self) -> dict[str, Any]:
        return {"readers": self._readers(), "epoch": self.share.epoch, "states": self.share.states}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Of as many processes and workers as now; with another number a fresh epoch begins."""
        if state.get("readers") == self._readers():
            self.share.epoch, self.share.states = state["epoch"], dict(state["states"])

    def _readers(self) -> list[int]:
        return [self.steps.rank, self.steps.processes, self.steps.workers]


def open_hub_stream(
    text: str, split: str, image_size: int, options: Options = NO_OPTIONS
) -> HubStream:
    """One split of a data set that is read as a stream.

    Args:
        text: a hub name ("owner/name", "owner/name:configuration") or a folder of parquet.
        split: "train", "val" or "test": the data set's own, where it has several; else a hash of
            each image's bytes and label decides.
        image_size: pixels a side.
        options: the column of the words, and parts by split.

    Raises:
        MuseError: where the data set is not to be had, or has no images.
    """
    import datasets

    place, source, notes = Place.of(text), f"hf-stream:{text}", Notes()
    try:
        builder = datasets.load_dataset_builder(*place.arguments)
        streams: Any = builder.as_streaming_dataset()
    except Exception as error:
        # As in hub.py.
        raise cannot_be_opened(source, error) from error
    part, shares = share_of(split, streams, source, options)
    for name in streams.keys() - set(named_parts(streams, source, options).values()):
        notes.add("part that is no split", name, f"say which it is, as ?test={name}")
    stream = streams[part]
    columns = columns_of(source, stream.features or {}, notes, options)
    if columns.label and not columns.class_names:
        mend = "read it with hf:, which learns the classes"
        notes.add("column of labels without class names", columns.label, mend)
    stream = undecoded(stream.select_columns(columns.names), columns)
    if stream.num_shards < FEW_FILES:
        stream = stream.reshard()
    # Always filtered, so that `datasets` goes on by rows: by tables, a state that was taken behind
    # a shuffle buffer gives some rows again.
    judged = [name for name in (columns.image, columns.label) if name]
    stream = stream.filter(partial(_is_in, shares, split), input_columns=judged)
    files = [_file(path, place.folder) for path in (builder.config.data_files or {}).get(part, [])]
    return HubStream(place, stream, columns, split, image_size, files, notes.lines())


def _is_in(shares: Mapping[str, float], split: str, image: Any, *label: Any) -> bool:
    """Whether an image is one of a split, when these shares are dealt by its hash; images that are
    the same to the bit are only told apart by their label.
    """
    edges = list(accumulate(shares.values()))[:-1]
    name = "/".join([_digest(image), *map(str, label)])
    return list(shares)[bisect_right(edges, hash_fraction(name))] == split


def _file(path: str, folder: Path | None) -> tuple[str, int]:
    """What a file is called, wherever its folder lies, and its bytes; a file of the hub is named
    with its revision, and not measured.
    """
    if folder is None or "://" in str(path):
        return str(path), 0
    return Path(os.path.relpath(path, folder)).as_posix(), os.path.getsize(path)


def _digest(image: Any) -> str:
    content = image.get("bytes") if isinstance(image, dict) else image
    content = content if isinstance(content, bytes) else repr(image).encode("utf-8", "replace")
    return blake2b(content, digest_size=8).hexdigest()
