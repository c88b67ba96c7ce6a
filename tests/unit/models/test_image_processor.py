"""Pictures become what a tokenizer encodes, as files and as transformers would have it, and back."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from muse_core.data.own_images import own_images
from muse_core.errors import MuseError
from muse_core.models.image_processor import MuseImageProcessor
from muse_core.models.tokenizer import MuseTokenizer

from .small_models import LARGER, small_tokenizer

FILE = "preprocessor_config.json"


def test_pixel_values_are_those_of_a_file() -> None:
    found = MuseImageProcessor(32)("cat")
    assert [*found] == ["pixel_values"]
    assert torch.equal(found.pixel_values, own_images("cat", 32).images)


def test_size_and_fit_can_be_said_for_one_call() -> None:
    processor = MuseImageProcessor({"height": 32, "width": 32})
    wide = Image.new("RGB", (40, 20), "red")
    padded = processor(wide, size=16, fit="pad", return_tensors="np")["pixel_values"]
    assert isinstance(padded, np.ndarray) and padded.shape == (1, 3, 16, 16)
    assert padded[0, 0, 8, 8] == 1 and padded[0, 0, 0, 0] < 0.5
    assert processor(wide)["pixel_values"].shape == (1, 3, 32, 32)


def test_what_is_transparent_lies_on_white_and_grey_becomes_rgb() -> None:
    glass = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    grey = Image.new("L", (8, 8), 51)
    found = MuseImageProcessor(8)([glass, grey])["pixel_values"]
    assert (found[0] == 1).all() and torch.allclose(found[1], torch.tensor(0.2))


def test_post_process_is_the_way_back() -> None:
    processor, picture = MuseImageProcessor(32), Image.new("RGB", (32, 32), (7, 77, 177))
    (again,) = processor.post_process(processor(picture)["pixel_values"])
    assert again.tobytes() == picture.tobytes()
    (clamped,) = processor.post_process(torch.full((1, 3, 2, 2), 1.7))
    assert clamped.getpixel((0, 0)) == (255, 255, 255)


def test_a_saved_processor_says_what_others_read(tmp_path) -> None:
    MuseImageProcessor(32, "pad").save_pretrained(tmp_path)
    said = json.loads((tmp_path / FILE).read_text())
    assert said["size"] == {"height": 32, "width": 32} and said["fit"] == "pad"
    assert said["do_normalize"] is False and said["image_processor_type"] == "MuseImageProcessor"
    loaded = MuseImageProcessor.from_pretrained(tmp_path)
    assert (loaded.side, loaded.fit) == (32, "pad")
    assert MuseImageProcessor.from_pretrained(tmp_path, fit="crop", size=8).to_dict() == {
        **said,
        "fit": "crop",
        "size": {"height": 8, "width": 8},
    }


def test_a_tokenizer_keeps_its_processor(tmp_path) -> None:
    tokenizer = small_tokenizer(LARGER)
    assert tokenizer.image_processor.side == LARGER.image_size
    tokenizer.image_processor = MuseImageProcessor(LARGER.image_size, "pad")
    tokenizer.save_pretrained(tmp_path)
    assert MuseTokenizer.from_pretrained(tmp_path).image_processor.fit == "pad"
    # As tokenizers were saved before.
    (tmp_path / FILE).unlink()
    for loaded in (
        MuseTokenizer.from_pretrained(tmp_path).image_processor,
        MuseImageProcessor.from_pretrained(tmp_path),
    ):
        assert (loaded.side, loaded.fit) == (LARGER.image_size, "crop")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("{", "The image processor .* cannot be read"),
        ('{"size": 32, "fit": "stretch"}', "Unknown fit 'stretch': choose one of crop, pad"),
        ('{"size": {"shortest_edge": 32, "longest_edge": 64}}', "is no square of pixels"),
        ('{"size": 1000000000}', "is no square of pixels"),
        ('{"size": 32, "do_normalize": true}', "no do_normalize=True: it takes size and fit"),
        ('{"size": 32, "image_processor_type": "CLIPImageProcessor"}', "CLIPImageProcessor"),
    ],
)
def test_a_damaged_or_foreign_file_is_a_sentence(said: str, words: str, tmp_path) -> None:
    (tmp_path / FILE).write_text(said)
    with pytest.raises(MuseError, match=words):
        MuseImageProcessor.from_pretrained(tmp_path)


def test_a_place_without_either_file_is_a_sentence(tmp_path) -> None:
    with pytest.raises(MuseError, match=r"config.json"):
        MuseImageProcessor.from_pretrained(tmp_path)
    with pytest.raises(MuseError, match="does not exist"):
        MuseImageProcessor.from_pretrained(tmp_path / "nowhere")


def test_the_hub_is_asked_for_the_processor_and_then_for_the_tokenizer(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.errors import EntryNotFoundError

    from muse_core.models import image_processor

    asked = []

    def fetch(where: str, name: str, **place: str) -> str:
        asked.append((where, name, place))
        if not (tmp_path / name).exists():
            raise EntryNotFoundError(name)
        return str(tmp_path / name)

    monkeypatch.setattr(image_processor, "hf_hub_download", fetch)
    (tmp_path / "config.json").write_text('{"image_size": 48}')
    found = MuseImageProcessor.from_pretrained("owner/name", revision="v1", fit="pad")
    assert (found.side, found.fit) == (48, "pad")
    place = {"revision": "v1"}
    assert asked == [("owner/name", FILE, place), ("owner/name", "config.json", place)]
    (tmp_path / "config.json").unlink()
    with pytest.raises(MuseError, match="image processor owner/name cannot be read"):
        MuseImageProcessor.from_pretrained("owner/name")
