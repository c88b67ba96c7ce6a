import pytest

from muse_core.data.scenes import Scenes
from muse_core.data.shard_manifest import MANIFEST, wrong_checksums
from muse_core.data.shard_writer import write_shards
from muse_core.data.webdataset import open_shards
from muse_core.errors import MuseError


def written(folder) -> None:
    write_shards("scenes", {"train": Scenes("train", 16)}, folder, 16, 5, 12)


def test_verifying_names_each_shard_that_is_not_as_written(tmp_path) -> None:
    written(tmp_path)
    assert wrong_checksums(tmp_path) == []
    content = bytearray((tmp_path / "000001.tar").read_bytes())
    content[700] ^= 1
    (tmp_path / "000001.tar").write_bytes(content)
    (tmp_path / "000002.tar").unlink()
    assert wrong_checksums(tmp_path) == [
        "000001.tar is not as it was written",
        "000002.tar is absent",
    ]
    (tmp_path / "000000.tar").write_bytes((tmp_path / "000000.tar").read_bytes()[:-2000])
    notes = open_shards(f"{tmp_path}/00000{{0,1}}.tar", "train", 16).first(1).skipped
    assert any(
        note.startswith(f"{tmp_path.name}/000000.tar: ") and "when it was written" in note
        for note in notes
    )


@pytest.mark.parametrize("text", ["{", "[]", '{"shards": 3}', '{"complete": true}', "[" * 100_000])
def test_a_damaged_manifest_is_a_sentence(tmp_path, text) -> None:
    written(tmp_path)
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(MuseError, match=r"shards.json is (damaged|not what)") as caught:
        open_shards(str(tmp_path), "train", 16)
    assert "\n" not in str(caught.value)
