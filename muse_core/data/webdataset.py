"""`wds:PATTERN`: WebDataset's tar shards, read by position.

Members of a sample: KEY.jpg (.jpeg, .png, .webp), KEY.txt or KEY.json with the words, KEY.cls with
a class number, KEY.seg.png and KEY.instances.png with masks. classes.txt beside the shards names
the classes, mask_classes.txt those of the masks, one a line, class 0 first. Any sample can be read
at any time, so order, resuming and the share of each process are those of every other source.
"""

import os
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from itertools import islice
from pathlib import Path

import numpy as np

from muse_core.data.batch import NO_LABEL
from muse_core.data.class_prompts import class_words, photo_caption
from muse_core.data.columns import (
    CAPTION_COLUMNS,
    LABEL_COLUMNS,
    captions_in,
    label_in,
    value_of,
)
from muse_core.data.decode import Unreadable
from muse_core.data.folders import listing
from muse_core.data.notes import Notes
from muse_core.data.reading import WORDLESS, MaskMeaning, ReadSource, Sample, Stored
from muse_core.data.shard_manifest import (
    CLASSES,
    MANIFEST,
    MASK_CLASSES,
    read_manifest,
    wrong_sizes,
)
from muse_core.data.splits import NO_OPTIONS, SPELLINGS, Options, dealt, share_of, split_called
from muse_core.data.tar_index import ROLES, ShardIndex, read_index
from muse_core.data.text_files import class_lines, decoded, parsed_json, readable
from muse_core.errors import MuseError
from muse_core.paths import user_path, user_paths

BESIDE = (CLASSES, MASK_CLASSES, MANIFEST)
"""What may lie beside shards and is read."""
MOST_SHARDS = 1_000_000
EXAMPLE = "write for example wds:shards/{000000..000007}.tar, or wds:shards for all of a folder"


@dataclass(eq=False)
class ShardSource(ReadSource):
    """One split of some shards.

    Args:
        paths: the shards.
        samples: those of the split, as in `ShardIndex`.
        split: which split that is.
        image_size: pixels a side.
        class_names: of the labels.
        mask_names: of the classes of the masks.
        notes: what is in the shards and not used.
        named: False where the class names are only their numbers, and make no caption.
        words: what the field with the captions may be called in a .json.
    """

    paths: tuple[Path, ...]
    samples: np.ndarray
    split: str
    image_size: int
    class_names: tuple[str, ...]
    mask_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    named: bool = True
    words: tuple[str, ...] = CAPTION_COLUMNS

    def __post_init__(self) -> None:
        folder, self.unreadable = self.paths[0].parent, {}
        self.name, self.place = readable(folder.name), f"the shards in {readable(str(folder))}"
        stored: list[bool] = np.any(self.samples["offset"], axis=0).tolist()
        there = dict(zip(ROLES, stored, strict=True))
        if self.mask_names and there["class_mask"]:
            self.masks = MaskMeaning(self.mask_names, {n: n for n in range(len(self.mask_names))})
            self.mask_class_names = self.mask_names
        self.with_instances = there["instance_mask"]

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def fingerprint(self) -> str:
        """A hash over the samples' names, labels and places, the shards' names, split and image
        size; contents are not read.
        """
        facts = f"{self.class_names}{[path.name for path in self.paths]}"
        digest = blake2b(facts.encode("utf-8", "surrogateescape"), digest_size=8)
        digest.update(self.samples.tobytes())
        return f"{self.name}/{self.split}/{self.image_size}px/{digest.hexdigest()}"

    def sample_id(self, index: int) -> str:
        sample = self.samples[index]
        path = self.paths[sample["shard"]]
        return f"{path.parent.name}/{path.name}/{sample['key'].decode('utf-8', 'replace')}"

    def stored(self, index: int) -> Stored:
        found, label = self.members(index), int(self.samples[index]["label"])
        words = captions_of(found.get("json"), found.get("text", b""), self.words)
        label = label if label < len(self.class_names) else NO_LABEL
        named = self.named and label != NO_LABEL
        caption = photo_caption(self.class_names[label] if named else None)
        given = "json" in found or "text" in found
        return Stored(
            said=(WORDLESS,) if given and not words else (),
            sample=Sample(self.sample_id(index), words or (caption,), label),
            image=found["image"],
            class_mask=found.get("class_mask") if self.masks else None,
            instance_mask=found.get("instance_mask"),
        )

    def members(self, index: int) -> dict[str, bytes]:
        """The bytes of each member of a sample. Raises Unreadable where the shard has gone, ends
        before them, or the disk fails.
        """
        sample, found = self.samples[index], {}
        path = self.paths[sample["shard"]]
        try:
            with path.open("rb") as file:
                for role, offset, size in zip(ROLES, sample["offset"], sample["size"], strict=True):
                    if offset:
                        found[role] = os.pread(file.fileno(), int(size), int(offset))
                        if len(found[role]) < size:
                            raise Unreadable(f"{path.name} ends before its {role}")
        except OSError as error:
            raise Unreadable(f"{path.name}: {error.strerror}") from error
        return found


def open_shards(
    pattern: str, split: str, image_size: int, options: Options = NO_OPTIONS
) -> ShardSource:
    """The samples of one split.

    Args:
        pattern: a brace pattern, as bash's and WebDataset's, or a folder.
        split: "train", "val" or "test". Where `muse shards` wrote the shards, it is the one each
            was written from, else the one that a shard or its folder is named after; where all are
            of one split, a hash of each sample's key decides.
        image_size: pixels a side.
        options: "column": the field of each .json with the words.

    Raises:
        MuseError: for a pattern that cannot be understood, and for shards that are absent or hold
            no samples.
    """
    notes = Notes()
    paths = shard_paths(pattern, notes)
    index = read_index(paths)
    notes.include(index.notes)
    folders = list(dict.fromkeys(path.parent for path in paths))
    said = [*wrong_sizes(paths), *notes.lines()]
    if not len(index.samples):
        raise MuseError(
            f"wds:{pattern} holds no samples with an image ({said[0]}): give other shards."
        )
    names, mask_names = (_names(folders, file) for file in (CLASSES, MASK_CLASSES))
    if index.classes:
        index, names = _in_order(index, names, notes)
    place, parts = f"wds:{pattern}", _parts(index)
    part, shares = share_of(split, parts, place, options)
    samples = index.samples[parts[part]]
    samples = samples[dealt(split, samples["fraction"], shares, place)]
    _note_unnamed(index, names, mask_names, notes)
    numbers = tuple(map(str, range(index.samples["label"].max(initial=-1) + 1)))
    source = ShardSource(
        paths=paths,
        samples=samples,
        split=split,
        image_size=image_size,
        class_names=numbers if names is None else class_words(names, spaces=False),
        mask_names=mask_names or (),
        named=names is not None,
        words=(options["column"],) if "column" in options else CAPTION_COLUMNS,
    )
    _note_wordless(replace(source, samples=index.samples), notes)
    source.notes = (*wrong_sizes(paths), *notes.lines())
    return source


def _in_order(
    index: ShardIndex, names: tuple[str, ...] | None, notes: Notes
) -> tuple[ShardIndex, tuple[str, ...]]:
    """The index of labels in words, numbered as classes.txt lists them, where it lists them all."""
    if names is None or not set(index.classes) <= set(names):
        mend = "write the names that the .cls have"
        notes.add("list of other classes", CLASSES, mend, int(names is not None))
        return index, index.classes
    samples, place = index.samples.copy(), np.array([names.index(one) for one in index.classes])
    named = samples["label"] >= 0
    samples["label"][named] = place[samples["label"][named]]
    return replace(index, samples=samples), names


def _note_wordless(source: ShardSource, notes: Notes) -> None:
    """Look into the first .json for words, and for a label that no .cls has; the others are read
    with their images.
    """
    place, text = ROLES.index("json"), ROLES.index("text")
    stored = source.samples["offset"]
    unlabelled = (stored[:, place] > 0) & (source.samples["label"] == NO_LABEL)
    for index in np.flatnonzero(unlabelled)[:1]:
        with suppress(Unreadable, ValueError):
            row = parsed_json(source.members(int(index))["json"])
            if isinstance(row, dict) and label_in(value_of(row, LABEL_COLUMNS)) is not None:
                name = f"{source.sample_id(int(index))}.json"
                notes.add("label in a .json", name, "store it as .cls", int(unlabelled.sum()))
    for index in np.flatnonzero((stored[:, place] > 0) & (stored[:, text] == 0))[:1]:
        with suppress(Unreadable):
            found = source.members(int(index))
            if not captions_of(found["json"], b"", source.words):
                several = int(((stored[:, place] > 0) & (stored[:, text] == 0)).sum())
                what = "json without words under a known name"
                name = f"{source.sample_id(int(index))}.json"
                notes.add(what, name, "name their field, as ?column=alt", several)


def shard_paths(pattern: str, notes: Notes) -> tuple[Path, ...]:
    """The shards of a brace pattern, or every .tar below a folder, in the order of their names.

    Raises:
        MuseError: for a pattern that cannot be understood, and for a shard that is not there.
    """
    if "{" not in pattern and (folder := user_path(pattern)).is_dir():
        there = listing(folder, notes).files
        paths = [folder / name for name in there if name.lower().endswith(".tar")]
        for name in there:
            if folder / name not in paths and Path(name).name not in BESIDE:
                notes.add("file other than a .tar", name, "unpack it if it holds shards")
        if not paths:
            said = f" ({notes.lines()[0]})" if notes.lines() else ""
            raise MuseError(f"The folder {folder} holds no .tar{said}: {EXAMPLE}.")
    else:
        paths = user_paths(_expanded(pattern))
    # Unlike Path's, this isfile never raises.
    absent = [path for path in paths if not os.path.isfile(path)]
    if absent:
        raise MuseError(
            f"{len(absent)} of the {len(paths)} shards of wds:{pattern} are absent, the first is "
            f"{absent[0]}: {EXAMPLE}."
        )
    return tuple(dict.fromkeys(paths))


def _expanded(pattern: str) -> list[str]:
    """The names a pattern stands for. Each range is measured first: braceexpand holds it whole."""
    from braceexpand import braceexpand

    ranges = re.findall(r"(-?\d+)\.\.(-?\d+)", pattern)
    try:
        longest = max((abs(int(last) - int(first)) for first, last in ranges), default=0)
        names = list(islice(braceexpand(pattern), MOST_SHARDS + 1)) if longest < MOST_SHARDS else []
    except (ValueError, RecursionError, IndexError) as error:
        raise MuseError(
            f"The pattern wds:{pattern[:200]} cannot be expanded ({error}): {EXAMPLE}."
        ) from error
    if not 0 < len(names) <= MOST_SHARDS:
        raise MuseError(
            f"The pattern wds:{pattern[:200]} names more than {MOST_SHARDS:,} shards: {EXAMPLE}."
        )
    return names


def captions_of(
    json: bytes | None, text: bytes, words: tuple[str, ...] = CAPTION_COLUMNS
) -> tuple[str, ...]:
    """All captions of a sample; those of its .json come before its .txt.

    Raises:
        Unreadable: where the .json holds something else.
    """
    try:
        found = () if json is None else captions_in(parsed_json(json), words)
    except ValueError as error:
        raise Unreadable("its .json holds no captions") from error
    return tuple(dict.fromkeys((*found, *captions_in(decoded(text)))))


def _parts(index: ShardIndex) -> dict[str, np.ndarray]:
    """Positions by the split of their shard; what nobody says is train."""
    folders = {one.parent for one in index.paths}
    manifests = {folder: read_manifest(folder) for folder in folders}
    written = []
    for path in index.paths:
        told = manifest.shards.get(path.name) if (manifest := manifests[path.parent]) else None
        words = [SPELLINGS.get(word) for word in re.split(r"[^a-z]+", path.stem.lower())]
        named = [*filter(None, words), split_called(path.parent.name) if len(folders) > 1 else None]
        written.append(told.split if told else named[0] or "train")
    splits = list(dict.fromkeys(written))
    ranks = np.array([splits.index(split) for split in written], np.int8)[index.samples["shard"]]
    return {split: np.flatnonzero(ranks == rank) for rank, split in enumerate(splits)}


def _names(folders: list[Path], file: str) -> tuple[str, ...] | None:
    """The lines of this file beside the shards. Raises MuseError where two folders say different
    things.
    """
    found = {class_lines(folder / file) for folder in folders if (folder / file).is_file()}
    if len(found) > 1:
        raise MuseError(
            f"The folders {', '.join(map(str, folders))} have different {file}: mix them with mix: "
            "instead."
        )
    return next(iter(found), None)


def _note_unnamed(
    index: ShardIndex,
    names: tuple[str, ...] | None,
    mask_names: tuple[str, ...] | None,
    notes: Notes,
) -> None:
    """What is not used for want of a name."""
    folder = index.paths[0].parent.name
    beyond = 0 if names is None else int((index.samples["label"] >= len(names)).sum())
    notes.add("label without a name", folder, f"write more lines into {CLASSES}", beyond)
    worded = index.samples["offset"][:, [ROLES.index("text"), ROLES.index("json")]].any(1)
    if worded.any():
        mend = "add a .txt; without, it is called a photo of its class"
        notes.add("image without words", folder, mend, int((~worded).sum()))
    masked = int((index.samples["offset"][:, ROLES.index("class_mask")] > 0).sum())
    if not mask_names:
        notes.add("mask without class names", folder, f"name them in {MASK_CLASSES}", masked)
