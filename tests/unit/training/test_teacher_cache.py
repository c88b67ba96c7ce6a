"""What a teacher said of an image is said again bit for bit, and nothing that happens to the disk
stops a training.
"""

import os
import shutil
import sqlite3
from dataclasses import replace
from threading import Timer
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from muse_core import paths
from muse_core.foundations.topology_teacher import DinoV3Teacher, TeacherView, observe
from muse_core.training import teacher_cache
from muse_core.training.teacher_cache import (
    TeacherCache,
    _has_room,
    _size,
    halved,
    packed,
    unpacked,
)

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
    assert other.hits == 0 and len(list(paths.teacher_views().glob("*/views.sqlite"))) == 2


def test_a_full_cache_takes_no_more_and_other_teachers_make_room(teacher) -> None:
    many = torch.rand(800, 3, 48, 48)
    limit = 8_000_000 / 1e9
    cache = TeacherCache(teacher, limit)
    for images in many.split(50):
        cache.look(images)
    cache.look(many)
    assert 100 <= cache.hits < 700
    size = lambda: sum(file.stat().st_size for file in paths.teacher_views().rglob("*.sqlite*"))
    assert size() <= 8_000_000 + 2**20
    # Looked at and not written to, the full one stays; it goes when another needs its room.
    other = TeacherCache(made(1), limit)
    other._opened()
    assert len(list(paths.teacher_views().iterdir())) == 2
    other.look(IMAGES)
    (left,) = paths.teacher_views().glob("*/views.sqlite")
    assert sqlite3.connect(left).execute("SELECT COUNT(*) FROM views").fetchone() == (6,)
    # Whose folder was taken away begins a new one.
    assert torch.equal(numbers(cache.look(IMAGES)), numbers(halved(observe(teacher, IMAGES))))
    assert cache._folder.is_dir()


@pytest.mark.parametrize("setting", ["hidden_act", "rope_theta", "layer_norm_eps"])
def test_a_setting_that_is_no_weight_makes_another_teacher(teacher, setting) -> None:
    TeacherCache(teacher, 1.0).look(IMAGES)
    changed = {"hidden_act": "relu", "rope_theta": 10.0, "layer_norm_eps": 0.1}[setting]
    torch.manual_seed(0)
    config = type(TEACHER)(**TEACHER.to_dict() | {setting: changed})
    other = TeacherCache(DinoV3Teacher.from_config(config, (1, 3)), 1.0)
    other.look(IMAGES)
    assert other.hits == 0


def test_the_longest_unused_goes_first(teacher) -> None:
    folders = []
    for seed in (1, 2):
        cache = TeacherCache(made(seed), 1.0)
        cache.look(IMAGES)
        folders.append(cache._folder)
    os.utime(folders[0], (9e9, 9e9))
    cache = TeacherCache(teacher, 1.0)
    cache.look(IMAGES)
    used = float(sum(_size(each) for each in (*folders, cache._folder)))
    assert _has_room(cache._folder, 1000, used) and not folders[1].exists() and folders[0].exists()
    assert not _has_room(cache._folder, 10**9, used) and folders[0].exists()


def test_two_processes_open_a_new_cache_at_once(teacher, capsys) -> None:
    """One holds the file while the other changes its mode, which does not wait by itself."""
    cache = TeacherCache(teacher, 1.0)
    folder = paths.teacher_views() / teacher_cache._name(teacher)
    folder.mkdir(parents=True)
    first = sqlite3.connect(folder / "views.sqlite", check_same_thread=False)
    first.execute("CREATE TABLE other (x)")
    first.execute("BEGIN EXCLUSIVE")
    Timer(0.3, first.rollback).start()
    cache.look(IMAGES)
    cache.look(IMAGES)
    assert cache.hits == 6 and not capsys.readouterr().err


def test_code_and_several_machines_have_views_of_their_own(teacher, monkeypatch) -> None:
    name = teacher_cache._name(teacher)
    monkeypatch.setenv("WORLD_SIZE", "16")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
    assert teacher_cache._name(teacher) == name
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert teacher_cache._name(teacher) != name
    monkeypatch.undo()
    monkeypatch.setattr(teacher_cache, "code_digests", lambda folders: {"other": "code"})
    assert teacher_cache._name(teacher) != name


@pytest.mark.parametrize("harm", ["damaged", "no folder"])
def test_a_file_that_cannot_be_used_costs_time_and_nothing_else(teacher, harm, capsys) -> None:
    TeacherCache(teacher, 1.0).look(IMAGES)
    (file,) = paths.teacher_views().glob("*/views.sqlite")
    shutil.rmtree(file.parent)
    if harm == "damaged":
        file.parent.mkdir()
        file.write_bytes(b"no database at all" * 100)
    else:
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


@pytest.mark.parametrize("damage", ["x'00'", "NULL", "7", "zeroblob(length(seen))"])
def test_a_row_that_was_cut_short_or_lost_is_asked_again(teacher, damage) -> None:
    TeacherCache(teacher, 1.0).look(IMAGES)
    (file,) = paths.teacher_views().glob("*/views.sqlite")
    with sqlite3.connect(file) as rows:
        rows.execute(f"UPDATE views SET seen = {damage}")
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
    (file,) = paths.teacher_views().glob("*/views.sqlite")
    assert sqlite3.connect(file).execute("SELECT COUNT(*) FROM views").fetchone() == (0,)
