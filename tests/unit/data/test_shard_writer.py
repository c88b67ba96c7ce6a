import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from webdataset import TarWriter

from muse_core.data import shard_writer
from muse_core.data.captions import open_captions
from muse_core.data.image_files import FileSource
from muse_core.data.reading import MaskMeaning, Sample
from muse_core.data.scenes import Scenes
from muse_core.data.shard_manifest import MANIFEST, wrong_checksums
from muse_core.data.shard_writer import planned, write_shards
from muse_core.data.sources import open_source
from muse_core.data.splits import SPLITS
from muse_core.data.webdataset import open_shards
from muse_core.errors import MuseError


def written(folder, count=12, per_shard=5, **options):
    sources = {split: Scenes(split, 16) for split in SPLITS}
    return write_shards("scenes", sources, folder, 16, per_shard, count, **options)


def assert_same(ours, theirs) -> None:
    """Every sample of the shards equals the one it was written from, to the bit of an
    8-bit image.
    """
    batch = ours.__getitems__(list(range(len(ours))))
    original = theirs.__getitems__([int(name.rsplit("-", 1)[1]) for name in batch.ids])
    assert torch.equal((batch.images * 255).round(), (original.images * 255).round())
    assert batch.captions == original.captions and torch.equal(batch.labels, original.labels)
    for mask, other in (
        (batch.class_masks, original.class_masks),
        (batch.instance_masks, original.instance_masks),
    ):
        assert (mask is None and other is None) or torch.equal(mask, other)
    assert (
        ours.class_names == theirs.class_names and ours.mask_class_names == theirs.mask_class_names
    )


def test_drawn_scenes_come_back_split_by_split(tmp_path) -> None:
    manifest = written(tmp_path)
    assert (
        list(manifest.shards) == [f"{number:06d}.tar" for number in range(9)] and manifest.complete
    )
    assert [shard.samples for shard in manifest.shards.values()] == [5, 5, 2] * 3
    for split in SPLITS:
        ours = open_shards(str(tmp_path), split, 16)
        assert len(ours) == 12
        assert_same(ours, Scenes(split, 16))


def test_photographs_stay_as_they_are_with_their_masks(tmp_path, photographs) -> None:
    spec = f"pets:{photographs('oxford_pets_seg')}"
    sources = {split: open_source(spec, split, 24) for split in SPLITS}
    write_shards(spec, sources, tmp_path, 24, 4, 6)
    for split in SPLITS:
        for size in (24, 57):  # the files themselves are kept, so any size comes back
            assert_same(
                open_shards(f"{tmp_path}/{{000000..000005}}.tar", split, size),
                open_source(spec, split, size),
            )


def test_all_captions_are_kept(tmp_path, save) -> None:
    rows = [
        {"file_name": f"{n}.png", "captions": [f"{n} a", f"{n} ü"], "split": "train"}
        for n in range(3)
    ]
    for row in rows:
        save(tmp_path / "in" / row["file_name"])
    (tmp_path / "in" / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    write_shards(
        "captions", {"train": open_captions(tmp_path / "in", "train", 8)}, tmp_path / "out", 8
    )
    source = open_shards(str(tmp_path / "out"), "train", 8)
    assert {len(source.stored(index).sample.captions) for index in range(len(source))} == {2}


def test_masks_are_written_with_their_meaning_and_other_formats_as_png(tmp_path, save) -> None:
    image = save(tmp_path / "a.bmp")
    Image.new("L", (40, 32), 7).save(tmp_path / "mask.png")
    meaning = MaskMeaning(("ground", "pet"), classes={7: 1}, instances={7: 4})
    source = FileSource(
        "one", tmp_path, "train", 8, (Sample(image.name, ("a",), mask="mask.png"),), ("x",), meaning
    )
    write_shards("one", {"train": source}, tmp_path / "out", 8)
    batch = open_shards(str(tmp_path / "out"), "train", 8).first(1)
    assert batch.class_masks.unique().tolist() == [
        1
    ] and batch.instance_masks.unique().tolist() == [4]
    assert torch.equal(batch.images, source.first(1).images)


def test_the_same_command_gives_the_same_bytes_and_goes_on_after_a_stop(
    tmp_path, monkeypatch
) -> None:
    whole = written(tmp_path / "whole")
    calls = iter(range(100))

    def stopping(path, samples):
        if next(calls) == 4:
            next(samples)
            raise KeyboardInterrupt
        return write_whole(path, samples)

    write_whole = shard_writer._write_whole
    monkeypatch.setattr(shard_writer, "_write_whole", stopping)
    with pytest.raises(KeyboardInterrupt):
        written(tmp_path / "part")
    half = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "part").glob("*.tar")}
    assert sorted(half) == [f"{number:06d}.tar" for number in range(4)]
    assert any("not finished" in note for note in wrong_checksums(tmp_path / "part"))
    monkeypatch.undo()
    assert written(tmp_path / "part") == whole
    for name, shard in whole.shards.items():
        path = tmp_path / "part" / name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == shard.sha256
        assert half.get(name, path.stat().st_mtime_ns) == path.stat().st_mtime_ns, (
            "what was finished is left alone"
        )


def test_a_crash_inside_a_shard_leaves_no_half_of_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(
        TarWriter, "write", lambda self, sample: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    with pytest.raises(
        MuseError, match=r"Cannot write .*000000.tar \(No space left\): free some space"
    ):
        written(tmp_path)
    assert not list(tmp_path.glob("*.tar")) and not list(tmp_path.glob(".*.tmp"))


def test_another_command_is_refused_and_leaves_everything(tmp_path) -> None:
    written(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(MuseError, match="holds shards with limit 12, asked for is 13"):
        written(tmp_path, count=13)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / MANIFEST).unlink()
    with pytest.raises(MuseError, match="holds shards that `muse shards` did not write"):
        written(tmp_path)


def test_what_cannot_be_read_is_left_out_and_listed(tmp_path, save) -> None:
    for number in range(4):
        save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_bytes(b"broken")
    samples = tuple(Sample(f"{number}.png", ("a",)) for number in range(4))
    source = FileSource("four", tmp_path, "train", 8, samples)
    manifest = write_shards("four", {"train": source}, tmp_path / "out", 8)
    assert manifest.shards["000000.tar"].samples == 3
    assert manifest.skipped == ["train sample 2: not an image in a format that is read"]


def test_shards_of_one_split_are_dealt_to_three(tmp_path) -> None:
    write_shards("scenes", {"train": Scenes("train", 16)}, tmp_path, 16, 10, 30)
    assert sum(len(open_shards(str(tmp_path), split, 16)) for split in SPLITS) == 30


def test_plans() -> None:
    assert planned({"train": 5, "val": 2}, 3) == [
        ("000000.tar", "train", range(3)),
        ("000001.tar", "train", range(3, 5)),
        ("000002.tar", "val", range(2)),
    ]
    with pytest.raises(MuseError, match="at least one sample"):
        written(Path("nowhere"), per_shard=0)


def test_webdataset_itself_reads_them(tmp_path) -> None:
    import webdataset

    written(tmp_path, count=3)
    first = next(iter(webdataset.WebDataset(str(tmp_path / "000000.tar"), shardshuffle=False)))
    assert first["__key__"] == "train-000000000" and {
        "png",
        "txt",
        "cls",
        "seg.png",
        "instances.png",
    } <= set(first)
    assert first["txt"].decode() == Scenes("train", 16).first(1).captions[0]


def test_other_colour_spaces_are_written_as_they_look(tmp_path, save) -> None:
    Image.new("CMYK", (20, 20), (0, 255, 255, 0)).save(tmp_path / "0.tif")
    Image.new("CMYK", (20, 20), (0, 255, 255, 0)).save(tmp_path / "1.jpg", quality=95)
    Image.new("YCbCr", (20, 20), (76, 85, 255)).save(tmp_path / "2.tif")
    Image.new("LAB", (20, 20), (136, 208, 195)).save(tmp_path / "3.tif")
    Image.fromarray(np.full((20, 20), 0.5, np.float32)).save(tmp_path / "4.tif")
    names = ("0.tif", "1.jpg", "2.tif", "3.tif", "4.tif")
    samples = tuple(Sample(name, (name,)) for name in names)
    source = FileSource("inks", tmp_path, "train", 8, samples)
    manifest = write_shards("inks", {"train": source}, tmp_path / "out", 8)
    assert manifest.skipped == [] and manifest.shards["000000.tar"].samples == 5
    batch = everything(open_shards(f"{tmp_path}/out/000000.tar", "train", 8))
    pixels = source.first(5).images
    for name, image in zip(batch.captions, batch.images, strict=True):
        assert (image - pixels[names.index(name)]).abs().max() < 0.02


def test_what_cannot_be_encoded_is_left_out_and_no_fault_of_the_disk(
    tmp_path, save, monkeypatch
) -> None:
    samples = tuple(Sample(save(tmp_path / f"{n}.bmp").name, ("a",)) for n in range(2))
    source = FileSource("two", tmp_path, "train", 8, samples)

    def refusing(image, **options):
        raise OSError("cannot write mode X as PNG")

    monkeypatch.setattr(shard_writer, "_png", refusing)
    manifest = write_shards("two", {"train": source}, tmp_path / "out", 8)
    assert manifest.skipped[0] == "train sample 0: cannot write mode X as PNG"


def everything(source):
    return source.__getitems__(list(range(len(source))))
