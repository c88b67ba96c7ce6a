"""Data sets as ``data=...`` names them: sources nobody knows, folders that hold something else,
lists with mistakes.
"""

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

from muse_core.data.sources import open_source
from torture.bad_input import BadInput, Desk
from torture.inputs.images import BROKEN, PNG, picture
from torture.tars import tar_of

Files = Mapping[str, bytes | str | None]
"""Place below the desk -> content; None is an empty folder."""

SIZE = 32
CHOOSE, LAYOUT, INTACT = "choose one of", "it should have", "replace them with intact images"


def _write(files: Files) -> Callable[[Desk], None]:
    def arrange(desk: Desk) -> None:
        for place, content in files.items():
            file = desk.folder / place
            (file if content is None else file.parent).mkdir(parents=True, exist_ok=True)
            if content is not None:
                file.write_bytes(content.encode() if isinstance(content, str) else content)

    return arrange


def _first(spec: str, split: str = "train") -> Callable[[Desk], Any]:
    """Open the data and read its first images, as a notebook's first cells do."""
    return lambda desk: open_source(spec.replace("DESK", str(desk.folder)), split, SIZE).first(4)


def _row(
    name: str, spec: str, files: Files, names: str, fix: str, split: str = "train"
) -> BadInput:
    act, kind = _first(spec, split), spec.partition(":")[0][:20]
    return BadInput(
        f"data: {kind}, {name}", f"gives data={spec} with {name}", names, fix, act, _write(files)
    )


SPECS = tuple(
    _row(f"the source {spec[:30]!r}", spec, {}, names, fix)
    for spec, names, fix in (
        ("", "''", CHOOSE),
        (":", "':'", CHOOSE),
        ("scene", "scene", CHOOSE),
        ("imagenet", "imagenet", CHOOSE),
        ("foldre:DESK", "foldre", CHOOSE),
        ("http://example.org/images.tar", "http", CHOOSE),
        ("file:///etc", "file:", CHOOSE),
        ("__import__('os').getcwd()", "__import__", CHOOSE),
        ("s" * 3000, "ssss", CHOOSE),
        ("scenes:DESK", "scenes", "write 'scenes'"),
        ("folder", "folder", "folder:PATH"),
        ("folder:", "folder", "folder:PATH"),
        ("captions:", "captions", "captions:PATH"),
        ("masks", "masks", "masks:PATH"),
        ("pets: ", "pets", "pets:PATH"),
        ("folder:DESK/nowhere", "nowhere", "give the path"),
        ("captions:DESK/nowhere", "nowhere", "give the path"),
        ("masks:DESK/nowhere", "nowhere", "give the path"),
        ("pets:DESK/nowhere", "nowhere", "give the path"),
        ("folder:~nobody-of-this-name/x", "nobody-of-this-name", "give a path"),
        ("folder:DESK/" + "x" * 300, "xxxx", "give a path"),
        ("folder:DESK/nul\0byte", "nul", "write it again"),
    )
)

FOLDERS = tuple(
    _row(name, "folder:DESK", files, names, fix)
    for name, files, names, fix in (
        ("a folder without anything in it", {}, "holds no images", LAYOUT),
        ("images beside no class folder", {"1.png": PNG, "2.png": PNG}, "holds no images", LAYOUT),
        ("class folders without images", {"cat": None, "dog": None}, "holds no images", LAYOUT),
        (
            "documents in class folders",
            {"cat/1.txt": "cat", "dog/1.pdf": "dog"},
            "holds no images",
            LAYOUT,
        ),
        (
            "SVG files alone",
            {"cat/1.svg": BROKEN["an SVG with a script"]},
            "holds no images",
            LAYOUT,
        ),
        ("hidden files alone", {"cat/.1.png": PNG}, "holds no images", LAYOUT),
        (
            "an empty train beside val",
            {"train": None, "val/cat/1.png": PNG},
            "'train'",
            "use one of those or add some",
        ),
    )
)
FILE_FOR_FOLDER = _row(
    "a file where a folder should be",
    "folder:DESK/one.png",
    {"one.png": PNG},
    "one.png",
    "give the path",
)

CORRUPT = tuple(
    _row(
        f"nothing but {what}",
        "folder:DESK",
        {f"cat/{k}.png": content for k in range(3)},
        "can be read",
        INTACT,
    )
    for what, content in BROKEN.items()
)


def _captions(lines: str | bytes, **more: bytes | str) -> Files:
    return {"captions.jsonl": lines, "images/1.png": PNG} | more


def _line(**fields: Any) -> str:
    return json.dumps(fields)


GOOD = _line(file_name="1.png", captions=["a cat"])
CAPTIONS = tuple(
    _row(name, "captions:DESK", files, names, fix)
    for name, files, names, fix in (
        ("no captions.jsonl", {"images/1.png": PNG}, "captions.jsonl", LAYOUT),
        (
            "captions.json by mistake",
            {"captions.json": f"[{GOOD}]", "images/1.png": PNG},
            "captions.jsonl",
            LAYOUT,
        ),
        (
            "a captions.jsonl that is a folder",
            {"captions.jsonl": None, "images/1.png": PNG},
            "captions.jsonl",
            LAYOUT,
        ),
        ("an empty captions.jsonl", _captions(""), "holds none of the images", LAYOUT),
        ("a line that is no JSON", _captions(f"{GOOD}\na cat\n"), "Line 2", "mend or delete"),
        ("a line cut short", _captions(GOOD[:-5]), "Line 1", "mend or delete"),
        ("a comma after each line", _captions(f"{GOOD},\n{GOOD},\n"), "Line 1", "mend or delete"),
        ("a list in a line", _captions('["1.png", "a cat"]'), "Line 1", "mend or delete"),
        (
            "one pretty object over lines",
            _captions(json.dumps({"file_name": "1.png"}, indent=1)),
            "Line 1",
            "mend or delete",
        ),
        ("a text in a line", _captions('"1.png"'), "Line 1", "mend or delete"),
        ("a number in a line", _captions("17"), "Line 1", "mend or delete"),
        ("null in a line", _captions("null"), "Line 1", "mend or delete"),
        ("NaN in a line", _captions("NaN"), "Line 1", "mend or delete"),
        (
            "Latin-1",
            _captions('{"file_name": "1.png", "caption": "caf\u00e9"}'.encode("latin-1")),
            "Line 1",
            "mend or delete",
        ),
        ("binary", _captions(bytes(range(1, 10)) + b"\xff" * 9), "Line 1", "mend or delete"),
        ("brackets without end", _captions("[" * 100_000), "Line 1", "mend or delete"),
        ("a line without file_name", _captions(_line(captions=["a cat"])), "file_name", LAYOUT),
        (
            "a number as file_name",
            _captions(_line(file_name=1, captions=["a cat"])),
            "file_name",
            LAYOUT,
        ),
        (
            "an object as captions",
            _captions(_line(file_name="1.png", captions={"en": "a cat"})),
            "captions",
            LAYOUT,
        ),
        ("a number as caption", _captions(_line(file_name="1.png", caption=3)), "captions", LAYOUT),
        (
            "empty captions alone",
            _captions(_line(file_name="1.png", captions=["", " "])),
            "holds none",
            LAYOUT,
        ),
        (
            "no captions at all",
            _captions(_line(file_name="1.png", captions=[])),
            "holds none",
            LAYOUT,
        ),
        (
            "images that are not there",
            _captions(_line(file_name="9.png", captions=["a cat"])),
            "holds none",
            LAYOUT,
        ),
        (
            "an unknown split",
            _captions(_line(file_name="1.png", caption="a", split="dev")),
            "'dev'",
            CHOOSE,
        ),
        (
            "a split that is a list",
            _captions(_line(file_name="1.png", caption="a", split=["train"])),
            "train",
            CHOOSE,
        ),
        (
            "only test images",
            _captions(_line(file_name="1.png", caption="a", split="val")),
            "'train'",
            "use one of those",
        ),
        (
            "a broken metadata.jsonl",
            _captions(GOOD, **{"metadata.jsonl": "{"}),
            "metadata.jsonl",
            "mend or delete",
        ),
    )
)


def _masks(
    mask: bytes, classes: str | bytes | None = "background\ncat\n", **more: bytes | str
) -> Files:
    files = {f"images/{k}.png": PNG for k in range(3)} | {f"masks/{k}.png": mask for k in range(3)}
    return files | ({} if classes is None else {"classes.txt": classes}) | more


GREY = picture(mode="L")
MASKS = tuple(
    _row(name, "masks:DESK", files, names, fix)
    for name, files, names, fix in (
        (
            "images without a folder of masks",
            {"images/1.png": PNG},
            "holds no images with masks",
            LAYOUT,
        ),
        (
            "masks without images",
            {"masks/1.png": GREY, "classes.txt": "a\n"},
            "holds no images with masks",
            LAYOUT,
        ),
        (
            "masks of other names",
            {"images/1.png": PNG, "masks/2.png": GREY, "classes.txt": "a\n"},
            "holds no",
            LAYOUT,
        ),
        ("no classes.txt", _masks(GREY, None), "classes.txt", "one name a line"),
        ("an empty classes.txt", _masks(GREY, "\n\n"), "classes.txt", "one name a line"),
        ("a classes.txt of bytes", _masks(GREY, b"\xff\xfe\x00"), "classes.txt", "as UTF-8"),
        ("masks in colours", _masks(picture(mode="RGB")), "one number a pixel", INTACT),
        ("masks with alpha", _masks(picture(mode="RGBA")), "one number a pixel", INTACT),
        ("masks that are text", _masks(b"no mask"), "can be read", INTACT),
        ("masks that are SVG", _masks(BROKEN["an SVG with a script"]), "can be read", INTACT),
        ("empty masks", _masks(b""), "can be read", INTACT),
        (
            "a split list without tabs",
            _masks(GREY, **{"official_split.tsv": "0 train\n"}),
            "Line 1",
            "mend or delete",
        ),
        ("an unknown split", _masks(GREY, **{"official_split.tsv": "0\tdev\n"}), "'dev'", CHOOSE),
        (
            "a split list of bytes",
            _masks(GREY, **{"official_split.tsv": b"\xff\xfe\x00"}),
            "official_split.tsv",
            "as UTF-8",
        ),
        (
            "a split list of other images",
            _masks(GREY, **{"official_split.tsv": "9\ttrain\n"}),
            "'train'",
            "add some",
        ),
    )
)

LISTS = "oxford-iiit-pet/annotations"
TRAIN, TEST, CAT = f"{LISTS}/trainval.txt", f"{LISTS}/test.txt", "Abyssinian_1 1 1 1\n"
ONE_PET = {TRAIN: CAT, TEST: CAT}
PET_IMAGE = "oxford-iiit-pet/images/Abyssinian_1.jpg"
PETS = tuple(
    _row(name, "pets:DESK", files, names, fix)
    for name, files, names, fix in (
        ("no pets at all", {"readme.txt": "pets"}, "not an Oxford-IIIT Pet folder", LAYOUT),
        ("one list of two", {TRAIN: CAT}, "not an Oxford-IIIT Pet folder", LAYOUT),
        ("lists without images", ONE_PET, "holds none of the train images", LAYOUT),
        (
            "a pet of breed 99",
            ONE_PET | {TRAIN: "Abyssinian_1 99 1 1\n"},
            "Line 1",
            "download it again",
        ),
        (
            "a pet of breed 'cat'",
            ONE_PET | {TRAIN: "Abyssinian_1 cat 1 1\n"},
            "Line 1",
            "download it again",
        ),
        ("a line of one word", ONE_PET | {TRAIN: "Abyssinian_1\n"}, "Line 1", "download it again"),
        ("empty lists", ONE_PET | {TRAIN: ""}, "'train'", "use one of those or add some"),
        ("lists of bytes", ONE_PET | {TRAIN: b"\xff\xfe\x00"}, "trainval.txt", "as UTF-8"),
        ("a pet that is text", ONE_PET | {PET_IMAGE: b"a cat"}, "can be read", INTACT),
    )
)


PAIRS = tar_of({"a.png": PNG, "a.txt": b"a cat"})
FEW = "wds:DESK/{0..3}.tar"
SHARDS = tuple(
    _row(name, spec, files, names, fix)
    for name, spec, files, names, fix in (
        (
            "a folder without shards",
            "wds:DESK",
            {"readme.txt": "shards"},
            "holds no .tar",
            "write for example",
        ),
        ("shards that are not there", FEW, {}, "4 of the 4 shards", "write for example"),
        (
            "two shards of four",
            FEW,
            {"0.tar": PAIRS, "3.tar": PAIRS},
            "2 of the 4 shards",
            "write for example",
        ),
        ("braces without end", "wds:DESK/{0..", {}, "cannot be expanded", "write for example"),
        (
            "more shards than disks hold",
            "wds:DESK/{0..99999999}.tar",
            {},
            "1,000,000",
            "write for example",
        ),
        (
            "a shard that is text",
            "wds:DESK",
            {"0.tar": "no tar"},
            "holds no samples",
            "give other shards",
        ),
        ("an empty shard", "wds:DESK", {"0.tar": b""}, "holds no samples", "give other shards"),
        (
            "a shard of zeros",
            "wds:DESK",
            {"0.tar": bytes(10240)},
            "holds no samples",
            "give other shards",
        ),
        (
            "words without images",
            "wds:DESK",
            {"0.tar": tar_of({"a.txt": b"a cat"})},
            "holds no samples",
            "give other shards",
        ),
        (
            "a shard cut short",
            "wds:DESK",
            {"0.tar": PAIRS[:600]},
            "holds no samples",
            "give other shards",
        ),
        (
            "a compressed shard",
            "wds:DESK/0.tar.gz",
            {"0.tar.gz": b"\x1f\x8b" + bytes(999)},
            "0.tar.gz",
            "give other shards",
        ),
        (
            "images that are text",
            "wds:DESK",
            {"0.tar": tar_of({"a.png": b"a cat"})},
            "can be read",
            INTACT,
        ),
        (
            "a damaged shards.json",
            "wds:DESK",
            {"0.tar": PAIRS, "shards.json": "{"},
            "shards.json",
            "delete it",
        ),
        (
            "another shards.json",
            "wds:DESK",
            {"0.tar": PAIRS, "shards.json": "{}"},
            "shards.json",
            "delete it",
        ),
        (
            "a classes.txt of bytes",
            "wds:DESK",
            {"0.tar": PAIRS, "classes.txt": b"\xff\xfe"},
            "classes.txt",
            "one class a line",
        ),
    )
)


def _parquet(**columns: list[Any]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    content = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), content)
    return content.getvalue()


NOBODY = "nobody-of/this-name"
ROWS_OF_IMAGES = [{"bytes": PNG, "path": None}] * 3
GOOD_PARQUET = _parquet(image=ROWS_OF_IMAGES, caption=["a cat"] * 3)
STREAMS = tuple(
    _row(name, spec, files, names, fix)
    for name, spec, files, names, fix in (
        ("no name", "hf-stream:", {}, "hf-stream", "hf-stream:NAME"),
        ("nobody's data set", f"hf-stream:{NOBODY}", {}, NOBODY, "give a folder with parquet"),
        (
            "no name a data set can have",
            "hf-stream:../../etc",
            {},
            "hf-stream:../../etc",
            "give a folder with parquet",
        ),
        (
            "a folder without data",
            "hf-stream:DESK",
            {"notes": None},
            "hf-stream:",
            "give a folder with parquet",
        ),
        (
            "text as parquet",
            "hf-stream:DESK",
            {"0.parquet": "a cat"},
            "0.parquet",
            "download it again",
        ),
        (
            "an empty parquet",
            "hf-stream:DESK",
            {"0.parquet": b""},
            "0.parquet",
            "download it again",
        ),
        (
            "a parquet cut short",
            "hf-stream:DESK",
            {"0.parquet": GOOD_PARQUET[:-9]},
            "0.parquet",
            "download it again",
        ),
        (
            "a parquet without rows",
            "hf-stream:DESK",
            {"0.parquet": _parquet(image=[])},
            "no rows",
            "download it again",
        ),
        (
            "words alone",
            "hf-stream:DESK",
            {"0.parquet": _parquet(words=["a"] * 3)},
            "words",
            "it should be called",
        ),
        (
            "no columns at all",
            "hf-stream:DESK",
            {"0.parquet": _parquet()},
            "hf-stream:",
            "download it again",
        ),
        (
            "images that are text",
            "hf-stream:DESK",
            {"0.parquet": _parquet(image=["cat"] * 3)},
            "no image in its row",
            INTACT,
        ),
        (
            "images that are numbers",
            "hf-stream:DESK",
            {"0.parquet": _parquet(image=[1, 2, 3])},
            "no image in its row",
            INTACT,
        ),
        (
            "images that are no images",
            "hf-stream:DESK",
            {"0.parquet": _parquet(image=[b"cat"] * 3)},
            "can be read",
            INTACT,
        ),
        (
            "images named and absent",
            "hf-stream:DESK",
            {"0.parquet": _parquet(image=[{"bytes": None, "path": "/etc/passwd"}])},
            "no image in its row",
            INTACT,
        ),
        (
            "numbers as captions",
            "hf-stream:DESK",
            {"0.parquet": _parquet(image=ROWS_OF_IMAGES, caption=[1, 2, 3])},
            "its caption is no text",
            INTACT,
        ),
        ("tar shards", "hf-stream:DESK", {"0.tar": PAIRS}, "tar shards", "read it with wds:"),
        (
            "a table of words",
            "hf-stream:DESK",
            {"0.csv": "image\n1.png\n"},
            "csv",
            "read it with hf:",
        ),
        (
            "images without a table",
            "hf-stream:DESK",
            {"0.png": PNG},
            "imagefolder",
            "read it with hf:",
        ),
    )
)

SPLITS = (
    _row(
        "one row group for three splits",
        "hf-stream:DESK",
        {"0.parquet": GOOD_PARQUET},
        "'test'",
        "use one of those",
        split="test",
    ),
    _row("an unknown split", "scenes", {}, "'dev'", CHOOSE, split="dev"),
    _row(
        "a split that these images lack",
        "folder:DESK",
        {"train/a/1.png": PNG, "val/a/1.png": PNG},
        "'test'",
        "use one of those",
        split="test",
    ),
)
ROWS = (
    *SPECS,
    *FOLDERS,
    FILE_FOR_FOLDER,
    *CORRUPT,
    *CAPTIONS,
    *MASKS,
    *PETS,
    *SHARDS,
    *STREAMS,
    *SPLITS,
)
