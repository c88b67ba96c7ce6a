"""What a teacher said of an image is said again bit for bit, and nothing that happens to the disk
stops a training.
"""

import sqlite3
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from muse_core import paths
from muse_core.foundations.topology_teacher import DinoV3Teacher, TeacherView, observe
from muse_core.training.teacher_cache import TeacherCache, halved, packed, unpacked

from ...integration.micro import TEACHER

IMAGES = torch.rand(6, 3, 48, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def teacher(tmp_path, monkeypatch) -> DinoV3Teacher:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    return made(0)


def made(seed: int) -> DinoV3Teacher:
    torch.manual_seed(seed)
    return DinoV3Teacher.from_config(TEACHER, (1, 3))


def numbers(view: TeacherView) -> Tensor:
    return packed(view)


def never(*_: object) -> None:
    raise AssertionError("the teacher was asked once more")


def test_a_view_is_packed_and_unpacked_without_a_loss(teacher) -> None:
    view = halved(observe(teacher, IMAGES))
    again = unpacked(packed(view), halved(observe(teacher, IMAGES[:1])))
    assert torch.equal(packed(again), packed(view))
    assert torch.equal(again.features, view.features) and again.grid == view.grid
    for mine, own in zip(again.query_keys, view.query_keys, strict=True):
        assert torch.equal(mine.queries, own.queries) and torch.equal(mine.keys, own.keys)
        assert mine.scale == own.scale


def test_known_images_are_not_asked_again_and_new_ones_are(teacher, monkeypatch) -> None:
    expected = numbers(halved(observe(teacher, IMAGES)))
    first = TeacherCache(teacher, 1.0)
    assert torch.equal(numbers(first.look(IMAGES[:4])), expected[:4])
    # Another process, later, in another order and with new ones in between.
    later = TeacherCache(teacher, 1.0)
    order = [5, 2, 0, 4]
    assert torch.equal(numbers(later.look(IMAGES[order])), expected[order])
    assert (later.asked, later.hits) == (4, 2)
    monkeypatch.setattr("muse_core.training.teacher_cache.observe", never)
    assert torch.equal(numbers(later.look(IMAGES[[4, 1]])), expected[[4, 1]])


def test_an_image_that_differs_in_one_bit_is_another_one(teacher) -> None:
    cache = TeacherCache(teacher, 1.0)
    cache.look(IMAGES)
    other = IMAGES.clone()
    other[0, 0, 0, 0] += 2**-20
    cache.look(other)
    assert (cache.asked, cache.hits) == (12, 5)


def test_another_teacher_has_a_file_of_its_own(teacher) -> None:
    TeacherCache(teacher, 1.0).look(IMAGES)
    other = TeacherCache(made(1), 1.0)
    assert not torch.equal(numbers(other.look(IMAGES)), numbers(halved(observe(teacher, IMAGES))))
    assert other.hits == 0 and len(list(paths.teacher_views().glob("*.sqlite"))) == 2


def test_a_full_cache_takes_no_more_and_other_teachers_make_room(teacher) -> None:
    view = packed(halved(observe(teacher, IMAGES[:1])))
    two = 2.5 * view.numel() * view.element_size() / 1e9
    cache = TeacherCache(teacher, two)
    for image in IMAGES.split(1):
        cache.look(image)
    cache.look(IMAGES)
    assert cache.hits == 2
    TeacherCache(made(1), two).look(IMAGES[:1])
    (left,) = paths.teacher_views().glob("*.sqlite")
    assert sqlite3.connect(left).execute("SELECT COUNT(*) FROM views").fetchone() == (1,)


@pytest.mark.parametrize("harm", ["damaged", "no folder"])
def test_a_file_that_cannot_be_used_costs_time_and_nothing_else(teacher, harm, capsys) -> None:
    TeacherCache(teacher, 1.0).look(IMAGES)
    (file,) = paths.teacher_views().glob("*.sqlite")
    for each in paths.teacher_views().glob("*"):
        each.unlink()
    if harm == "damaged":
        file.write_bytes(b"no database at all" * 100)
    else:
        file.parent.rmdir()
        file.parent.write_text("a file where a folder should be")
    cache = TeacherCache(teacher, 1.0)
    for _ in range(2):
        assert torch.equal(numbers(cache.look(IMAGES)), numbers(halved(observe(teacher, IMAGES))))
    said = capsys.readouterr().err
    assert said.count("not kept from now on") == 1 and "teacher_cache=0" in said


def test_none_is_opened_where_none_is_wanted(teacher) -> None:
    TeacherCache(teacher, 0.0).look(IMAGES)
    assert not paths.teacher_views().exists()


def test_what_was_seen_in_another_precision_is_not_taken(teacher) -> None:
    cache = TeacherCache(teacher, 1.0)
    cache.look(IMAGES)
    with torch.autocast("cpu", torch.bfloat16):
        half, again = cache.look(IMAGES), cache.look(IMAGES)
        assert torch.equal(numbers(half), numbers(halved(observe(teacher, IMAGES))))
    assert torch.equal(numbers(half), numbers(again)) and cache.hits == 6


def test_a_row_that_was_cut_short_is_asked_again(teacher) -> None:
    TeacherCache(teacher, 1.0).look(IMAGES)
    (file,) = paths.teacher_views().glob("*.sqlite")
    with sqlite3.connect(file) as rows:
        rows.execute("UPDATE views SET seen = x'00'")
    for hits in (0, 6):
        cache = TeacherCache(teacher, 1.0)
        assert torch.equal(numbers(cache.look(IMAGES)), numbers(halved(observe(teacher, IMAGES))))
        assert cache.hits == hits


def test_a_number_too_large_for_half_precision_stays_finite(teacher) -> None:
    view = observe(teacher, IMAGES)
    assert halved(replace(view, features=view.features + 1e6)).features.isfinite().all()


def test_a_nearly_full_disk_is_not_filled(teacher, monkeypatch) -> None:
    module = "muse_core.training.teacher_cache.disk_usage"
    monkeypatch.setattr(module, lambda folder: SimpleNamespace(free=1000))
    TeacherCache(teacher, 1.0).look(IMAGES)
    (file,) = paths.teacher_views().glob("*.sqlite")
    assert sqlite3.connect(file).execute("SELECT COUNT(*) FROM views").fetchone() == (0,)
