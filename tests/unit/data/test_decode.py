import io
import os

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, TiffImagePlugin, TiffTags

from muse_core.data import decode
from muse_core.data.decode import (
    Unreadable,
    centred_square,
    image_suffixes,
    mask_numbers,
    read_mask,
    read_photo,
    rgb_image,
)

WHOLE = (0.0, 0.0, 1.0, 1.0)
ORIENTATION = 0x0112


def colour_of(path, size=8):
    return (read_photo(path, size).pixels * 255).mean((1, 2)).round().tolist()


def halves(left, right, size=(32, 32)) -> Image.Image:
    image = Image.new("RGB", size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGB", (200, 100, 50), [200, 100, 50]),
        ("L", 77, [77, 77, 77]),
        ("1", 1, [255, 255, 255]),
        ("I;16", 257 * 90, [90, 90, 90]),
        ("RGBA", (200, 100, 50, 255), [200, 100, 50]),
        ("RGBA", (200, 100, 50, 0), [255, 255, 255]),
        ("RGBA", (0, 0, 0, 51), [204, 204, 204]),
        ("LA", (0, 51), [204, 204, 204]),
        ("LA", (10, 255), [10, 10, 10]),
    ],
)
def test_every_png_mode_becomes_rgb_on_white(tmp_path, mode, colour, expected) -> None:
    path = tmp_path / "a.png"
    Image.new(mode, (20, 12), colour).save(path)
    assert colour_of(path) == expected


def test_pixels_are_float_in_unit_range_and_channels_first(tmp_path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)).save(
        path
    )
    pixels = read_photo(path, 24).pixels
    assert pixels.shape == (3, 24, 24) and pixels.dtype == torch.float32 and pixels.is_contiguous()
    assert pixels.min() >= 0 and pixels.max() <= 1


def test_a_picture_of_the_right_size_keeps_every_pixel(tmp_path) -> None:
    path = tmp_path / "a.png"
    values = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)
    expected = torch.from_numpy(values).permute(2, 0, 1) / 255
    torch.testing.assert_close(read_photo(path, 16).pixels, expected, rtol=0, atol=0)


def test_cmyk_jpeg(tmp_path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("CMYK", (32, 32), (0, 255, 255, 0)).save(path, quality=95)
    red, green, blue = colour_of(path)
    assert red > 240 and green < 15 and blue < 15


def test_sixteen_bit_tiff(tmp_path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(np.full((20, 20), 257 * 30, np.uint16)).save(path)
    assert colour_of(path) == [30, 30, 30]


def test_palette_and_its_transparent_entry(tmp_path) -> None:
    image = Image.new("P", (20, 20), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    image.save(tmp_path / "opaque.png")
    image.save(tmp_path / "clear.png", transparency=1)
    image.save(tmp_path / "first_frame.gif")
    assert colour_of(tmp_path / "opaque.png") == [10, 200, 30]
    assert colour_of(tmp_path / "clear.png") == [255, 255, 255]
    assert colour_of(tmp_path / "first_frame.gif") == [10, 200, 30]


@pytest.mark.parametrize(
    ("orientation", "first_pixels"),
    [(1, "left"), (2, "right"), (3, "right"), (6, "top"), (8, "bottom")],
)
def test_exif_orientation_turns_the_picture_upright(tmp_path, orientation, first_pixels) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / "a.jpg"
    halves("red", "blue").save(path, exif=exif, quality=95)
    red = read_photo(path, 16).pixels[0]
    side = {"left": red[:, :6], "right": red[:, 10:], "top": red[:6], "bottom": red[10:]}
    assert side.pop(first_pixels).mean() > 0.9
    assert red.mean() == pytest.approx(0.5, abs=0.05)


def test_the_longer_side_is_cut_in_the_middle(tmp_path) -> None:
    image = Image.new("RGB", (90, 30), "black")
    image.paste("white", (30, 0, 60, 30))
    image.save(tmp_path / "wide.png")
    image.rotate(90, expand=True).save(tmp_path / "tall.png")
    for name in ("wide.png", "tall.png"):
        assert read_photo(tmp_path / name, 30).pixels.min() == 1
    assert centred_square(90, 30) == pytest.approx((1 / 3, 0, 2 / 3, 1))


def test_it_is_the_same_as_resizing_and_then_cropping(tmp_path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 96, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    resized = (
        Image.fromarray(noise).resize((48, 24), Image.Resampling.BICUBIC).crop((12, 0, 36, 24))
    )
    difference = (
        read_photo(tmp_path / "a.png", 24).pixels * 255
        - torch.from_numpy(np.array(resized)).permute(2, 0, 1)
    ).abs()
    assert difference.max() <= 1.01


def test_shrinking_averages_instead_of_aliasing(tmp_path) -> None:
    stripes = np.zeros((256, 256), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "a.png")
    assert read_photo(tmp_path / "a.png", 16).pixels.std() < 0.05


def test_draft_decoding_of_a_large_jpeg_changes_little(tmp_path) -> None:
    ramp = np.linspace(0, 255, 800).astype(np.uint8)
    image = Image.fromarray(np.stack([np.tile(ramp, (600, 1))] * 3, -1))
    image.save(tmp_path / "a.jpg", quality=95)
    image.save(tmp_path / "a.png")
    difference = (
        read_photo(tmp_path / "a.jpg", 32).pixels - read_photo(tmp_path / "a.png", 32).pixels
    )
    assert difference.abs().max() < 0.02


@pytest.mark.parametrize(
    ("size", "enlarged"), [((15, 40), True), ((16, 40), False), ((400, 300), False)]
)
def test_says_when_the_file_was_smaller(tmp_path, save, size, enlarged) -> None:
    assert read_photo(save(tmp_path / "a.jpg", size=size), 16).enlarged is enlarged


def test_a_line_of_pixels_is_no_trouble(tmp_path, save) -> None:
    assert colour_of(save(tmp_path / "a.png", size=(1, 300))) == [200, 100, 50]


def test_padding_keeps_all_of_the_longest_image_in_the_middle(tmp_path, save) -> None:
    padded = read_photo(save(tmp_path / "line.png", size=(20_000, 2)), 8, "pad").pixels
    grey = torch.tensor(decode.PADDING)[:, None, None] / 255
    assert (padded != grey).any(0).sum(1).tolist() == [0, 0, 0, 8, 0, 0, 0, 0]
    wide = (read_photo(save(tmp_path / "wide.png", size=(40, 20)), 8, "pad").pixels != grey).any(0)
    assert wide.sum(1).tolist() == [0, 0, 8, 8, 8, 8, 0, 0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
def test_a_pipe_is_not_waited_for(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(Unreadable, match="not a file with bytes in it"):
        read_photo(tmp_path / "pipe.png", 8)


def test_mask_and_photograph_are_cut_alike(tmp_path) -> None:
    image = halves("black", "white", size=(60, 40))
    image.save(tmp_path / "a.png")
    image.convert("L").point(lambda level: level and 7).save(tmp_path / "mask.png")
    photo = read_photo(tmp_path / "a.png", 20)
    mask, _ = read_mask(tmp_path / "mask.png", 20, photo.crop)
    assert mask.dtype == torch.int64 and set(mask.unique().tolist()) == {0, 7}
    assert torch.equal(mask == 7, photo.pixels[0] > 0.5)


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_mask_numbers_survive_every_index_mode(tmp_path, mode) -> None:
    mask = Image.new(mode, (9, 9), 21)
    if mode == "P":
        mask.putpalette([5] * 768)
    mask.save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", 4, WHOLE)[0].unique().tolist() == [21]


def test_a_coloured_mask_is_refused(tmp_path, save) -> None:
    with pytest.raises(Unreadable, match="one number a pixel"):
        read_mask(save(tmp_path / "mask.png"), 4, WHOLE)


def test_broken_files_say_why(tmp_path, save) -> None:
    whole = save(tmp_path / "a.jpg", size=(300, 300)).read_bytes()
    broken = {
        "cut.jpg": whole[: len(whole) // 2],
        "empty.jpg": b"",
        "text.png": b"not a picture",
        "head.png": b"\x89PNG\r\n\x1a\n",
    }
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Unreadable, match=r"\w"):
            read_photo(tmp_path / name, 8)
    with pytest.raises(Unreadable):
        read_photo(tmp_path / "absent.jpg", 8)


@pytest.mark.parametrize(
    ("kind", "top", "grey", "said"),
    [
        (np.float32, 0.5, 128, "floats without a declared range were read as 0 to 1"),
        (np.float32, 60.0, 60, "floats without a declared range were read as 0 to 255"),
        (np.uint16, 200, 200, "numbers of 16 or 32 bits without a declared range"),
        (np.uint16, 4000, 16, "as 0 to 65,535 and so very dark"),
        (np.uint16, 40_000, 156, ""),
        (np.uint16, 0, 0, ""),
        (np.int32, 100, 100, "as 0 to 255"),
        (np.int32, 2**30, 64, "as 0 to 4,294,967,295"),
    ],
)
def test_numbers_without_a_range_are_read_from_0_and_said(tmp_path, kind, top, grey, said) -> None:
    Image.fromarray(np.full((9, 9), top, kind)).save(tmp_path / "a.tif")
    photo = read_photo(tmp_path / "a.tif", 8)
    assert round(photo.pixels.mean().item() * 255) == grey
    assert said in photo.said if said else photo.said == ""


def test_a_declared_range_is_the_range(tmp_path) -> None:
    for kind, low, high in ((np.uint16, 0, 4095), (np.float32, -1, 1), (np.int32, -1000, 3000)):
        values = np.linspace(low, high, 81).reshape(9, 9).astype(kind)
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[340], tags[341] = float(low), float(high)
        tags.tagtype[340] = tags.tagtype[341] = TiffTags.DOUBLE
        Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo=tags)
        photo = read_photo(tmp_path / "a.tif", 9)
        assert (photo.pixels.min(), photo.pixels.max()) == (0, 1) and photo.said == ""


@pytest.mark.parametrize("values", [[-1.0, 1.0], [0.0, np.nan], [0.0, np.inf], [0.0, 1e30]])
def test_numbers_of_no_known_range_are_refused(tmp_path, values) -> None:
    Image.fromarray(np.tile(np.array(values, np.float32), (9, 5))).save(tmp_path / "a.tif")
    with pytest.raises(Unreadable, match="floats of unknown range"):
        read_photo(tmp_path / "a.tif", 8)


@pytest.mark.parametrize("mode", ["LAB", "YCbCr", "CMYK", "HSV"])
def test_other_colour_spaces_are_seen_as_they_look(tmp_path, mode) -> None:
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        change = ImageCms.buildTransform(*profiles, "RGB", "LAB")
        image = ImageCms.applyTransform(Image.new("RGB", (9, 9), (200, 100, 50)), change)
    else:
        image = Image.new("RGB", (9, 9), (200, 100, 50)).convert(mode)
    if mode == "HSV":
        assert np.abs(np.array(decode._to_rgb(image)[0]) - (200, 100, 50)).max() < 4
        return
    image.save(tmp_path / "a.tif")
    assert np.abs(np.array(colour_of(tmp_path / "a.tif")) - (200, 100, 50)).max() < 4
    assert rgb_image(tmp_path / "a.tif").mode == "RGB"


def test_a_mask_of_0_and_255_is_one_of_two_classes_where_there_are_two(tmp_path) -> None:
    for mode in ("L", "P"):
        mask = Image.fromarray(np.tile(np.array([0, 255, 255], np.uint8), (9, 3)))
        if mode == "P":
            mask.putpalette(bytes(range(256)) * 3)
        mask.save(tmp_path / "mask.png")
        numbers, binary = read_mask(tmp_path / "mask.png", 9, WHOLE, two_classes=True)
        assert binary and set(numbers.unique().tolist()) == {0, 1}
        assert set(np.unique(mask_numbers(tmp_path / "mask.png", True))) == {0, 1}
        numbers, binary = read_mask(tmp_path / "mask.png", 9, WHOLE)
        assert not binary and set(numbers.unique().tolist()) == {0, 255}
    mask.paste(1, (5, 5, 9, 9))
    mask.save(tmp_path / "mask.png")
    numbers, binary = read_mask(tmp_path / "mask.png", 9, WHOLE, two_classes=True)
    assert not binary and set(numbers.unique().tolist()) == {0, 1, 255}


def test_every_suffix_that_pillow_reads_is_one_of_an_image() -> None:
    assert {".jpg", ".jpe", ".jfif", ".tif", ".webp", ".bmp", ".gif"} <= image_suffixes()
    assert not {".heic", ".psd", ".eps", ".pdf", ".txt"} & image_suffixes()


def test_a_damaged_exif_block_does_not_cost_the_photograph(tmp_path) -> None:
    Image.new("RGB", (20, 20), "white").save(
        tmp_path / "a.jpg", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff"
    )
    assert colour_of(tmp_path / "a.jpg") == [255, 255, 255]


@pytest.mark.parametrize(
    "limit", [700, 300]
)  # Pillow warns above its limit and raises above twice its limit
def test_a_decompression_bomb_is_not_decoded(tmp_path, save, monkeypatch, limit) -> None:
    path = save(tmp_path / "a.png", size=(32, 32))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(Unreadable, match=f"more than {limit} pixels"):
        read_photo(path, 8)


def test_a_mask_in_grey_colours_is_one_number_a_pixel() -> None:
    numbers = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for mode in ("RGB", "RGBA", "LA"):
        file = io.BytesIO()
        Image.fromarray(numbers).convert(mode).save(file, "PNG")
        assert (mask_numbers(file) == numbers).all()
    coloured, clear = Image.new("RGB", (8, 8), (1, 2, 1)), Image.new("RGBA", (8, 8), (1, 1, 1, 9))
    for image in (coloured, clear):
        file = io.BytesIO()
        image.save(file, "PNG")
        with pytest.raises(Unreadable, match=f"this file has {image.mode} colours"):
            mask_numbers(file)
