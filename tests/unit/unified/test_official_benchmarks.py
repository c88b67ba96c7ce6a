"""Official prompts become images in the official places; what cannot be read is named; what is there
is not drawn again.
"""

import json
from pathlib import Path

import pytest
from PIL import Image

from muse_core.errors import MuseError
from muse_core.unified.official_benchmarks import draw_geneval, draw_wise, edit_imgedit

from .test_unified_model import FEW, TINY, model

__all__ = ["model"]


@pytest.fixture
def quick(model, monkeypatch: pytest.MonkeyPatch):
    """The model in two steps; ``calls`` counts what it was asked for."""
    calls = []

    def short(function):
        return lambda *given, **options: calls.append(given) or function(*given, **options | FEW)

    for name in ("draw", "edit"):
        monkeypatch.setattr(model, name, short(getattr(model, name)), raising=False)
    monkeypatch.setattr(model, "calls", calls, raising=False)
    return model


def test_geneval_is_drawn_in_its_layout(quick, tmp_path: Path) -> None:
    lines = [
        {"tag": "single_object", "include": [{"class": "star", "count": 1}], "prompt": "a star"},
        {"tag": "single_object", "include": [{"class": "bench", "count": 1}], "prompt": "a bench"},
        {"tag": "colors", "include": [{"class": "star", "count": 1}], "prompt": "a red star"},
    ]
    file = tmp_path / "evaluation_metadata.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    notes = draw_geneval(quick, file, tmp_path / "out", images=2)
    assert len(notes) == 1 and "'bench'" in notes[0]
    found = sorted(
        each.relative_to(tmp_path / "out").as_posix() for each in tmp_path.glob("out/**/*.*")
    )
    assert found == [
        *("00000/metadata.jsonl", "00000/samples/00000.png", "00000/samples/00001.png"),
        *("00002/metadata.jsonl", "00002/samples/00000.png", "00002/samples/00001.png"),
        "made_by.json",
    ]
    assert json.loads((tmp_path / "out/00002/metadata.jsonl").read_text())["prompt"] == "a red star"
    calls = len(quick.calls)
    draw_geneval(quick, file, tmp_path / "out", images=2)
    assert len(quick.calls) == calls + 1, "only the one that cannot be drawn is tried again"
    with pytest.raises(MuseError, match=r"another model or seed made.*give an empty folder"):
        draw_geneval(quick, file, tmp_path / "out", images=2, seed=1)


def test_wise_is_drawn_by_number(quick, tmp_path: Path) -> None:
    fields = ("Prompt", "Explanation", "Category", "Subcategory", "prompt_id")
    entries = [
        dict(zip(fields, (words, "a star", "c", "s", at), strict=True))
        for at, words in ((3, "a star"), (7, "the shape of a bench"))
    ]
    (tmp_path / "w.json").write_text(json.dumps(entries))
    notes = draw_wise(quick, [tmp_path / "w.json"], tmp_path / "out")
    assert (tmp_path / "out/3.png").is_file() and not (tmp_path / "out/7.png").is_file()
    assert len(notes) == 1
    more = [dict(zip(fields, ("a ring", "a ring", "c", "s", 9), strict=True))]
    (tmp_path / "more.json").write_text(json.dumps(more))
    draw_wise(quick, tmp_path / "more.json", str(tmp_path / "out"))
    kept = json.loads((tmp_path / "out/prompts.json").read_text())
    assert [entry["prompt_id"] for entry in kept] == [3, 9]


def test_imgedit_is_edited_by_key(quick, tmp_path: Path) -> None:
    items = {
        "a1": {"id": "one.png", "prompt": "a red star", "edit_type": "replace"},
        "b2": {"id": "one.png", "prompt": "add a bench", "edit_type": "add"},
        "c3": {"id": "gone.png", "prompt": "a red star", "edit_type": "add"},
    }
    Image.new("RGB", (TINY.image_size, TINY.image_size), "red").save(tmp_path / "one.png")
    (tmp_path / "singleturn.json").write_text(json.dumps(items))
    with pytest.raises(MuseError, match="is the benchmark itself"):
        edit_imgedit(quick, tmp_path, tmp_path)
    notes = edit_imgedit(quick, tmp_path, tmp_path / "out")
    assert any("item b2, 'add a bench'" in note for note in notes)
    assert sorted(each.name for each in (tmp_path / "out").glob("*")) == ["a1.png", "made_by.json"]
    assert len([note for note in notes if "There may be no" not in note]) == 2


def line(words: str) -> str:
    return json.dumps({"tag": "single_object", "include": [{"class": "star"}], "prompt": words})


def test_a_folder_of_other_images_is_left_alone(quick, tmp_path: Path) -> None:
    first, other = tmp_path / "first.jsonl", tmp_path / "other.jsonl"
    first.write_text(line("a star"))
    other.write_text(line("a ring"))
    foreign = tmp_path / "foreign" / "00000" / "samples"
    foreign.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(foreign / "00000.png")
    with pytest.raises(MuseError, match="holds what was not made here: give an empty folder"):
        draw_geneval(quick, first, tmp_path / "foreign", images=1)
    assert not (tmp_path / "foreign" / "made_by.json").exists()
    draw_geneval(quick, first, tmp_path / "out", images=1)
    before = (tmp_path / "out/00000/samples/00000.png").read_bytes()
    with pytest.raises(MuseError, match=r'"a star".*and it is to be made of .*"a ring"'):
        draw_geneval(quick, other, tmp_path / "out", images=1)
    other.write_text(first.read_text().replace('"class": "star"', '"class": "star", "count": 2'))
    with pytest.raises(MuseError, match=r'and it is to be made of .*"count": 2'):
        draw_geneval(quick, other, tmp_path / "out", images=1)
    assert (tmp_path / "out/00000/samples/00000.png").read_bytes() == before
    # More of the same prompt are made, and what is lost is made again.
    draw_geneval(quick, first, tmp_path / "out", images=2)
    assert len(list(tmp_path.glob("out/00000/samples/*.png"))) == 2
    (tmp_path / "out/00000/metadata.jsonl").unlink()
    draw_geneval(quick, first, tmp_path / "out", images=2)
    assert (tmp_path / "out/00000/metadata.jsonl").is_file()


def test_no_number_of_images_is_a_sentence(quick, tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(line("a star"))
    for wrong in (0, -1):
        with pytest.raises(MuseError, match="images must be 1 or more"):
            draw_geneval(quick, tmp_path / "p.jsonl", tmp_path / "out", images=wrong)
