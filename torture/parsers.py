"""The parsers we own, each as a function of bytes that gives a result or refuses in words."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from muse_core.config import safe_yaml
from muse_core.data import decode as images
from muse_core.data.captions import open_captions
from muse_core.data.mixtures import parsed_mixture
from muse_core.data.tar_members import Member, tar_members
from muse_core.data.tar_pattern import shard_paths
from muse_core.data.webdataset import captions_in
from muse_core.errors import MuseError
from muse_core.results.records import read_json, read_jsonl
from muse_core.training.checkpoint import is_intact
from torture.tars import tar_of


@dataclass(frozen=True)
class Parser:
    """``parse``: bytes and an empty folder -> anything. ``seeds``: bytes that are good, to start
    from.
    """

    parse: Callable[[bytes, Path], Any]
    seeds: tuple[bytes, ...]
    refusals: tuple[type[Exception], ...] = (MuseError,)


def _text(content: bytes) -> str:
    return content.decode(errors="surrogateescape")


def _written(content: bytes, file: Path) -> Path:
    file.write_bytes(content)
    return file


def _captions(content: bytes, folder: Path) -> Any:
    picture = folder / "images" / "1.png"
    if not picture.exists():
        picture.parent.mkdir()
        Image.new("RGB", (8, 8)).save(picture)
    return open_captions(_written(content, folder / "captions.jsonl").parent, "train", 8)


def _members(content: bytes, folder: Path) -> int:
    """How many bytes the files of a tar hold."""
    descriptor = os.open(_written(content, folder / "0.tar"), os.O_RDONLY)
    try:
        found = [member for member in tar_members(descriptor) if isinstance(member, Member)]
        return sum(len(os.pread(descriptor, member.size, member.offset)) for member in found)
    finally:
        os.close(descriptor)


PARSERS = {
    "captions.jsonl": Parser(
        _captions,
        (
            b'{"file_name": "1.png", "caption": "a star"}\n',
            b'{"file_name": "1.png", "captions": ["a", "b"], "label": "x"}',
        ),
    ),
    "tar shard": Parser(
        _members, (tar_of({"0.txt": b"a star"}), tar_of({"0" * 120 + ".json": b"{}"}))
    ),
    "captions in a shard": Parser(
        lambda content, _: captions_in(content),
        (b'{"caption": "a"}', b'["a", "b"]', b'{"captions": ["a"]}'),
        (images.Unreadable,),
    ),
    "shard pattern": Parser(
        lambda content, _: shard_paths(_text(content)),
        (b"a/{0..3}.tar", b"{a,b}{1,2}.tar", b"x::y.tar"),
    ),
    "mixture": Parser(
        lambda content, _: parsed_mixture(_text(content)),
        (b"27*scenes,5*wds:{0,1}.tar", b"0.5*a,1*b"),
    ),
    "study": Parser(
        lambda content, _: safe_yaml.read_yaml(_text(content)),
        (b"name: a\nrows: {full: {words: all}}\n", b"a: &x [1]\nb: *x\n", b"seeds: [0, 1]\n"),
        (safe_yaml.Unreadable,),
    ),
    "metrics": Parser(
        lambda content, folder: list(read_jsonl(_written(content, folder / "a.jsonl"))),
        (b'{"step": 1, "loss/total": 0.5}\n{"step": 2}\n',),
    ),
    "record": Parser(
        lambda content, folder: read_json(_written(content, folder / "a.json")),
        (b'{"stage": "01", "losses": {}}',),
    ),
    "checkpoint card": Parser(
        lambda content, folder: is_intact(_written(content, folder / "state.json").parent),
        (b'{"step": 4, "sha256": {"training.safetensors": "00"}}',),
    ),
}
