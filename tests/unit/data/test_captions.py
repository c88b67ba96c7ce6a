import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from muse_core.data.batch import NO_LABEL
from muse_core.data.captions import open_captions
from muse_core.data.splits import SPLITS
from muse_core.errors import MuseError

from .noted import jsonl, noted, opened
from .noted import write as put

LINES = (
    b'{"file_name": "1.png", "caption": "a"}',
    b'{"file_name": "1.png", "captions": ["a \\ud800", 3, null], "labels": [[]], "split": "val"}',
    b'{"file_name": "1.png", "captions": {}}',
    b'{"file_name": ["1.png"], "captions": "a"}',
    b'{"file_name": "1.png/", "captions": "a", "split": ["train"]}',
    b'{"file_name": "1.png", "captions": "a", "label": {"x": 1e999}}',
)


@pytest.fixture
def write(tmp_path, save):
    """Writes captions.jsonl and the images it names; returns the folder."""

    def folder(rows: list[dict], images: str = "images", **others: list[dict]):
        for row in rows:
            save(tmp_path / images / row["file_name"])
        for name, lines in {"captions": rows, **others}.items():
            (tmp_path / f"{name}.jsonl").write_text(
                "".join(json.dumps(line) + "\n\n" for line in lines)
            )
        return tmp_path

    return folder


def numbered(count: int, **fields) -> list[dict]:
    return [
        {"file_name": f"{index}.png", "captions": [f"{index} {word}" for word in "abcde"], **fields}
        for index in range(count)
    ]


GOOD = '{"file_name": "1.png", "captions": ["a"]}'
HELD_OUT = {"file_name": "held_out.png", "captions": ["x"], "split": "val"}


def everything(root) -> dict[str, tuple[str, ...]]:
    samples = [sample for split in SPLITS for sample in open_captions(root, split, 8).samples]
    assert len({sample.id for sample in samples}) == len(samples)
    return {sample.id: sample.captions for sample in samples}


def test_training_sees_all_captions_of_an_image_and_an_evaluation_the_first(write) -> None:
    root = write(numbered(60))
    captions = everything(root)
    assert captions == {f"images/{n}.png": tuple(f"{n} {w}" for w in "abcde") for n in range(60)}
    source = open_captions(root, "train", 8)
    assert all(caption.endswith(" a") for caption in source.first(9).captions)
    read = [source.drawn([0, 1], 3, epoch) for epoch in range(5)]
    assert {batch.ids for batch in read} == {source.first(2).ids}
    for place, name in enumerate(source.first(2).ids):
        assert {batch.captions[place] for batch in read} == set(captions[name])
    assert source.drawn([1], 3, 4).captions == read[4].captions[1:]


def test_a_single_caption_field_and_images_beside_the_list(write) -> None:
    root = write(
        [{"file_name": f"pictures/{index}.png", "caption": "a cat"} for index in range(9)],
        images=".",
    )
    batch = open_captions(root, "train", 8).first(2)
    assert batch.captions == ("a cat", "a cat") and batch.ids[0].startswith("pictures/")
    assert batch.labels.tolist() == [NO_LABEL, NO_LABEL] and batch.class_masks is None


def test_the_split_field_is_honoured(write) -> None:
    rows = numbered(6)
    for row, split in zip(rows, ["train", "train", "val", "validation", "test", None], strict=True):
        row["split"] = split
    root = write(rows)
    names = [{sample.id for sample in open_captions(root, split, 8).samples} for split in SPLITS]
    assert names == [
        {"images/0.png", "images/1.png", "images/5.png"},
        {"images/2.png", "images/3.png"},
        {"images/4.png"},
    ]


def test_labels_from_the_row_or_from_metadata(write) -> None:
    rows = [
        {"file_name": "0.png", "captions": ["x"], "label": "owl", "split": "train"},
        {"file_name": "1.png", "captions": ["x"], "labels": ["cat"], "split": "train"},
        {"file_name": "2.png", "captions": ["x"], "labels": ["cat", "owl"], "split": "train"},
        {"file_name": "3.png", "captions": ["x"], "split": "train"},
        HELD_OUT,
    ]
    source = open_captions(
        write(rows, metadata=[{"file_name": "3.png", "label": "ant"}]), "train", 8
    )
    batch = source.first(4)
    assert source.class_names == ("ant", "cat", "owl")
    expected = {"images/0.png": 2, "images/1.png": 1, "images/2.png": NO_LABEL, "images/3.png": 0}
    assert dict(zip(batch.ids, batch.labels.tolist(), strict=True)) == expected


def test_masks_follow_their_photographs(write) -> None:
    root = write([*numbered(3, split="train"), HELD_OUT])
    (root / "masks_voc21").mkdir()
    (root / "classes_voc21.txt").write_text("background\naeroplane\n")
    for index, value in enumerate([1, 255]):
        Image.new("L", (40, 32), value).save(root / "masks_voc21" / f"{index}.png")
    source = open_captions(root, "train", 8)
    batch = source.first(3)
    values = {
        name: mask.unique().tolist()
        for name, mask in zip(batch.ids, batch.class_masks, strict=True)
    }
    assert values == {"images/0.png": [1], "images/1.png": [255], "images/2.png": [255]}
    assert source.mask_class_names == ("background", "aeroplane") and batch.instance_masks is None


def test_rows_without_words_are_left_out(write) -> None:
    rows = [
        *numbered(5),
        {"file_name": "wordless.png", "captions": []},
        {"file_name": "blank.png", "captions": [" "]},
    ]
    assert len(everything(write(rows))) == 5


def test_a_listed_but_missing_image_is_noted(write) -> None:
    root = write([*numbered(5, split="train"), HELD_OUT])
    (root / "images" / "2.png").unlink()
    source = open_captions(root, "train", 8)
    assert len(source) == 4 and source.notes == (
        f"1 line with an absent image: 2.png in line 5 of {root / 'captions.jsonl'}; put it there",
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            '{"file_name": "1.png", "captions": ["a"]}\n{"file_na',
            "Line 2 of .*captions.jsonl is not a JSON object",
        ),
        ("[1, 2]", "Line 1 of .* is not a JSON object"),
        ('{"captions": ["a"]}', "lacks file_name or captions"),
        ('{"file_name": "1.png", "captions": 3}', "lacks file_name or captions"),
        (
            '{"file_name": "1.png", "captions": ["a"], "split": "later"}',
            "Unknown split in line 1 of .*'later': choose one of train",
        ),
        (
            '{"file_name": "absent.png", "captions": ["a"]}',
            "holds none of the images its captions.jsonl names",
        ),
        (
            '\n{"file_name": "../../1.png", "captions": ["a"]}\n' + GOOD,
            "Line 2 of .* names '../../1.png', not a file inside the folder",
        ),
        (
            '{"file_name": "/etc/passwd", "captions": ["a"]}',
            "Line 1 of .* names '/etc/passwd', not a file inside",
        ),
        (
            '{"file_name": "a\\u0000b", "captions": ["a"]}\n' + GOOD,
            "Line 1 of .* not a file inside the folder",
        ),
        ("[" * 100_000, "Line 1 of .* is not a JSON object"),
        ("\x80\x81", "Line 1 of .* is not a JSON object"),
        ("", "holds none of the images"),
    ],
)
def test_mistakes_in_the_list_are_sentences(tmp_path, save, text, sentence) -> None:
    save(tmp_path / "images" / "1.png")
    (tmp_path / "captions.jsonl").write_text(text)
    with pytest.raises(MuseError, match=sentence):
        open_captions(tmp_path, "train", 8)


def test_missing_folder_and_missing_list(tmp_path) -> None:
    with pytest.raises(MuseError, match="There is no folder"):
        open_captions(tmp_path / "nowhere", "train", 8)
    with pytest.raises(
        MuseError, match=r"There is no captions.jsonl in .*it should have PATH/captions.jsonl"
    ):
        open_captions(tmp_path, "train", 8)


def test_real_photographs_with_sentences_and_masks(photographs) -> None:
    source = open_captions(photographs("coco_mini"), "val", 32)
    batch = source.first(6)
    assert (
        batch.class_masks.max() <= 255
        and source.mask_class_names[15] == "person"
        and len(source.mask_class_names) == 21
    )
    assert all(batch.captions) and batch.skipped == source.notes and batch.images.std() > 0.1
    assert batch.class_masks[(batch.class_masks != 255)].max() < 21


def test_real_photographs_with_labels(photographs) -> None:
    source = open_captions(photographs("imagenet1000_sample"), "test", 32)
    batch = source.first(4)
    for caption, label in zip(batch.captions, batch.labels.tolist(), strict=True):
        assert caption == f"a photo of a {source.class_names[label]}"


def test_a_link_that_leads_out_is_refused_and_one_that_stays_is_not(
    write, tmp_path_factory, save
) -> None:
    root = write([*numbered(4, split="train"), HELD_OUT])
    outside = save(tmp_path_factory.mktemp("private") / "secret.png")
    (root / "images" / "3.png").unlink()
    (root / "images" / "3.png").symlink_to(root / "images" / "1.png")
    assert open_captions(root, "train", 8).first(4).skipped == ()
    (root / "images" / "2.png").unlink()
    (root / "images" / "2.png").symlink_to(outside)
    with pytest.raises(
        MuseError, match=r"Line 5 of .* names '2.png', not a file inside the folder"
    ):
        open_captions(root, "train", 8)


@given(st.lists(st.binary(max_size=40) | st.sampled_from(LINES), max_size=4))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_are_samples_or_a_sentence(tmp_path, save, lines) -> None:
    save(tmp_path / "images" / "1.png")
    (tmp_path / "captions.jsonl").write_bytes(b"\n".join(lines))
    try:
        assert open_captions(tmp_path, "train", 8).samples
    except MuseError as error:
        assert str(error).endswith(".")


def test_several_lines_and_files_add_up_without_repeating(write) -> None:
    rows = [
        {"file_name": "1.png", "caption": "a", "label": float("nan")},
        {"filename": "1.png", "sentences": [{"raw": "b"}, {"raw": "a"}]},
        {"image": "images\\2.png", "TEXT": "c", "subset": "Training"},
    ]
    for row, name in zip(rows, ("1.png", "1.png", "2.png"), strict=True):
        row |= {"file_name": row.get("file_name", name)} if "file_name" in row else {}
    root = write([{"file_name": "1.png"}, {"file_name": "2.png"}])
    jsonl(root / "captions.jsonl", rows)
    jsonl(root / "metadata.jsonl", [{"file_name": "2.png", "prompt": "d", "label": 3}])
    sources = opened(f"captions:{root}")
    assert {one.id: one.captions for source in sources for one in source.samples} == {
        "images/1.png": ("a", "b"),
        "images/2.png": ("c", "d"),
    }
    assert sources[0].class_names == ("3",) and noted(sources[0].notes) == 0


def test_a_column_may_be_asked_for(write) -> None:
    root = write([{"file_name": f"{n}.png", "caption": "no", "Alt-DE": "ja"} for n in range(3)])
    assert open_captions(root, "train", 8, {"column": "alt_de"}).samples[0].captions == ("ja",)
    source = open_captions(root, "train", 8)
    assert source.samples[0].captions == ("no",)


def test_a_file_in_two_splits_is_shown(write) -> None:
    root = write([{"file_name": "1.png", "caption": "a", "split": "dev"}])
    with (root / "captions.jsonl").open("a") as file:
        file.write(json.dumps({"file_name": "1.png", "split": "TRAIN"}))
    with pytest.raises(MuseError, match=r"^Line 1 .* and line 3 .* put '1.png' into two splits"):
        open_captions(root, "train", 8)


def test_linked_folders_of_images_are_read(tmp_path) -> None:
    put(tmp_path / "disk", ["1.png", "2.png"])
    put(tmp_path / "pairs" / "images", ["3.png"])
    (tmp_path / "pairs" / "images" / "more").symlink_to(tmp_path / "disk")
    (tmp_path / "pairs" / "images" / "loop").symlink_to(tmp_path / "pairs")
    names = ("3.png", "more/1.png", "more/2.png")
    jsonl(tmp_path / "pairs" / "captions.jsonl", [{"file": n, "caption": "a"} for n in names])
    sources = opened(f"captions:{tmp_path / 'pairs'}")
    assert sum(map(len, sources)) == 3 and noted(sources[0].notes) == 1


def test_folders_called_like_splits_are_splits_where_no_line_says_one(write) -> None:
    names = [f"{part}/{n}.png" for part in ("Train", "dev") for n in range(3)]
    root = write([{"file_name": name, "caption": "a"} for name in names])
    assert {one.id for one in open_captions(root, "val", 8).samples} == {
        f"images/dev/{n}.png" for n in range(3)
    }
    (root / "more.csv").write_text("1.png,a cat")
    note = "1 list that is not read: more.csv; write its lines into captions.jsonl"
    assert open_captions(root, "val", 8).notes == (note,)


def test_lists_in_split_folders_name_files_beside_them(tmp_path) -> None:
    for split, numbers in (("train", (1, 2)), ("Valid", (3,))):
        put(tmp_path / split, [f"{n}.jpg" for n in numbers])
        jsonl(
            tmp_path / split / "metadata.jsonl",
            [{"file_name": f"{n}.jpg", "text": "a"} for n in numbers],
        )
    ids = [
        {sample.id for sample in open_captions(tmp_path, split, 8).samples}
        for split in ("train", "val")
    ]
    assert ids == [{"train/1.jpg", "train/2.jpg"}, {"Valid/3.jpg"}]


def test_a_whole_path_into_the_folder_is_a_file_of_it(tmp_path) -> None:
    put(tmp_path / "Images", [f"{n}.jpg" for n in range(3)])
    names = [str(tmp_path / "Images" / "0.jpg"), "1.jpg", "images/2.jpg"]
    jsonl(tmp_path / "captions.jsonl", [{"file_name": name, "caption": "a"} for name in names])
    sources = opened(f"captions:{tmp_path}")
    ids = {sample.id for source in sources for sample in source.samples}
    assert ids == {f"Images/{n}.jpg" for n in range(3)} and not sources[0].notes


def test_two_classes_of_a_file_and_other_fields_of_words_are_noted(write) -> None:
    rows = [*numbered(4), {"file_name": "0.png", "caption": "x", "label": "a", "blip_caption": "y"}]
    source = open_captions(write([*rows, {**rows[-1], "label": "b"}]), "train", 8)
    fields, classes = source.notes
    assert fields.startswith("2 fields of words, the first is blip_caption in line 9")
    assert classes.startswith("1 image without one class") and not source.class_names
