from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.data.batch import IGNORED_PIXEL, NO_LABEL, Steps
from muse_core.data.image_files import FileSource
from muse_core.data.loader import EpochOrder
from muse_core.data.mixture import Corpus, Mixture, open_mixture, parsed_mixture, shares
from muse_core.data.reading import MaskMeaning, Sample
from muse_core.data.scenes import Scenes
from muse_core.data.sources import open_source
from muse_core.errors import MuseError


def words(name: str, index: int) -> tuple[str, ...]:
    return tuple(f"{name} {index} {word}" for word in "xyz")


@pytest.fixture
def pictures(tmp_path, save):
    """``pictures("cats", 7)``: that many of one class, "star", with masks of two classes."""

    def source(name: str, count: int) -> FileSource:
        for index in range(count):
            save(tmp_path / name / f"{index}.png", (10 * index, 0, 0), (16, 16))
        save(tmp_path / name / "mask.png", 1, (16, 16), "L")
        samples = tuple(
            Sample(f"{name}/{index}.png", words(name, index), 0, f"{name}/mask.png")
            for index in range(count)
        )
        return FileSource(
            name, tmp_path, "train", 16, samples, ("star",), MaskMeaning(("background", "star"))
        )

    return source


def mixed(*corpora, repeats: bool = True) -> Mixture:
    return Mixture([Corpus(Fraction(weight), source) for weight, source in corpora], repeats)


def test_the_paper_s_ratio() -> None:
    assert shares(
        [Fraction(27), Fraction(5), Fraction(4)], [27_000_000, 5_000_000, 4_000_000], True
    ) == [
        27_000_000,
        5_000_000,
        4_000_000,
    ]


@given(
    st.lists(
        st.tuples(st.fractions(Fraction(1, 100), 100, max_denominator=100), st.integers(1, 500)),
        min_size=1,
        max_size=5,
    )
)
@settings(deadline=None)
def test_shares_hold_the_ratio_and_one_corpus_exactly(corpora) -> None:
    weights, lengths = zip(*corpora, strict=True)
    for repeats in (True, False):
        counts = shares(weights, lengths, repeats)
        assert any(count == length for count, length in zip(counts, lengths, strict=True))
        assert all(
            (count >= length) if repeats else (count <= length)
            for count, length in zip(counts, lengths, strict=True)
        )
        assert all(
            abs(counts[0] * weight / weights[0] - count) <= 1 + weight / weights[0]
            for count, weight in zip(counts, weights, strict=True)
        )


def test_no_sample_repeats_before_its_corpus_is_exhausted(pictures) -> None:
    mixture = mixed((3, pictures("a", 4)), (1, pictures("b", 6)))
    assert mixture.counts == [18, 6] and len(mixture) == 24
    corpus, position, again = mixture.order
    for one, length in ((0, 4), (1, 6)):
        seen = position[corpus == one].tolist()
        assert again[corpus == one].tolist() == [place // length for place in range(len(seen))]
        assert all(
            len(set(seen[first : first + length])) == length
            for first in range(0, len(seen) - length + 1, length)
        )
        assert max(Counter(seen).values()) - min(Counter(seen).values()) <= 1
    assert Counter(
        mixed((3, pictures("a", 4)), (1, pictures("b", 6)), repeats=False).order[0].tolist()
    ) == {0: 4, 1: 1}


def test_any_beginning_holds_the_ratio(pictures) -> None:
    corpus, *_ = mixed((2, pictures("a", 10)), (1, pictures("b", 50))).order
    assert all(abs((corpus[:first] == 0).sum() - 2 * first / 3) <= 1 for first in range(1, 150))


def test_a_batch_is_in_the_order_that_was_asked(pictures) -> None:
    mixture = mixed((1, pictures("a", 5)), (1, pictures("b", 5)))
    batch = mixture.__getitems__([7, 0, 3, 0])
    again = [mixture.__getitems__([index]) for index in (7, 0, 3, 0)]
    assert batch.ids == tuple(one.ids[0] for one in again) and batch.captions == tuple(
        one.captions[0] for one in again
    )
    assert torch.equal(batch.images, torch.cat([one.images for one in again]))


def test_classes_are_joined_by_name(pictures) -> None:
    mixture = mixed((1, pictures("a", 5)), (1, Scenes("train", 16)))
    assert mixture.class_names[0] == "star" and mixture.class_names.count("star") == 1
    batch = mixture.first(60)
    for name, label, mask in zip(batch.ids, batch.labels.tolist(), batch.class_masks, strict=True):
        if name.startswith("a/"):
            assert label == 0 and mask.unique().tolist() == [1]
    scenes = Scenes("train", 16).first(30)
    labels = [
        label
        for name, label in zip(batch.ids, batch.labels.tolist(), strict=True)
        if name.startswith("scenes")
    ]
    assert [mixture.class_names[label] for label in labels] == [
        Scenes.class_names[label] for label in scenes.labels.tolist()
    ]
    masks = torch.stack(
        [
            mask
            for name, mask in zip(batch.ids, batch.class_masks, strict=True)
            if name.startswith("scenes")
        ]
    )
    table = np.array([mixture.mask_class_names.index(name) for name in Scenes.mask_class_names])
    assert torch.equal(masks, torch.from_numpy(table)[scenes.class_masks])


def test_a_corpus_without_masks_or_labels_is_void(pictures, tmp_path, save) -> None:
    save(tmp_path / "plain.png")
    plain = FileSource("plain", tmp_path, "train", 16, (Sample("plain.png", ("x",)),))
    batch = mixed((1, pictures("a", 1)), (1, plain)).first(2)
    assert batch.labels.tolist() == [0, NO_LABEL] and (batch.class_masks[1] == IGNORED_PIXEL).all()


def test_what_cannot_be_read_is_listed(pictures, tmp_path) -> None:
    mixture = mixed((1, pictures("a", 4)), (1, pictures("b", 4)))
    (tmp_path / "a" / "2.png").write_bytes(b"broken")
    assert [name.split(" (")[0] for name in mixture.first(8).skipped] == ["a/2.png"]


def test_the_fingerprint_states_the_ratio(pictures) -> None:
    a, b = pictures("a", 4), pictures("b", 4)
    assert (
        mixed((27, a), (Fraction("0.5"), b)).fingerprint
        == f"mix/27*{a.fingerprint}+1/2*{b.fingerprint}"
    )
    assert mixed((1, a), (2, b)).fingerprint != mixed((2, a), (1, b)).fingerprint


def test_an_epoch_over_two_processes_is_the_mixture_once(pictures) -> None:
    mixture = mixed((3, pictures("a", 6)), (1, pictures("b", 2)))
    orders = [EpochOrder(len(mixture), Steps(4, 5, 0, 2, rank, 2)) for rank in (0, 1)]
    read = [index for order in orders for _, batch in order for index in batch]
    assert sorted(read) == list(range(8)) and sorted(mixture.__getitems__(read).ids) == sorted(
        mixture.first(8).ids
    )


def test_a_corpus_that_starts_again_is_seen_with_its_other_captions(pictures) -> None:
    mixture = mixed((3, pictures("a", 2)), (1, pictures("b", 2)))
    assert mixture.counts == [6, 2]
    epochs = [mixture.drawn(list(range(8)), 5, epoch) for epoch in range(3)]
    assert all(epoch.ids == mixture.first(8).ids for epoch in epochs)
    for name in ("a/0.png", "a/1.png"):
        said = Counter(zip(epochs[0].ids, epochs[0].captions, strict=True))
        assert [count for (one, _), count in said.items() if one == name] == [1, 1, 1]
    said = {caption for epoch in epochs for caption in epoch.captions if caption[0] == "b"}
    assert said == {*words("b", 0), *words("b", 1)}
    assert {caption[-1] for caption in mixture.first(8).captions} == {"x"}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "27*wds:A.tar,5*wds:B-{000..003}.tar,4*scenes",
            [(27, "wds:A.tar"), (5, "wds:B-{000..003}.tar"), (4, "scenes")],
        ),
        ("1*wds:{a,2*b}.tar, 0.5 * scenes", [(1, "wds:{a,2*b}.tar"), (Fraction(1, 2), "scenes")]),
        ("3*folder:a, b and c", [(3, "folder:a, b and c")]),
    ],
)
def test_how_a_mixture_is_written(text, parts) -> None:
    assert parsed_mixture(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "scenes",
        "0*scenes",
        "-1*scenes",
        "1*",
        "x*scenes",
        "1*scenes,folder:a,0*scenes",
        "1*mix:1*scenes",
    ],
)
def test_what_is_no_mixture_is_a_sentence(text) -> None:
    with pytest.raises(MuseError, match=r"The mixture .*write for example mix:27\*") as caught:
        parsed_mixture(text)
    assert str(caught.value).endswith(".")


@given(st.text(st.sampled_from("0129.*,{}:scenes "), max_size=40))
@settings(deadline=None)
def test_any_text_is_a_mixture_or_a_sentence(text) -> None:
    try:
        assert all(weight > 0 and spec for weight, spec in parsed_mixture(text))
    except MuseError as error:
        assert str(error).endswith(".")


def test_it_opens_like_every_source(pictures) -> None:
    mixture = open_source("mix:3*scenes,1*scenes", "val", 16)
    assert mixture.counts == [2000, 666] and len(mixture.class_prompts()) == len(
        mixture.class_names
    )
    assert mixture.described().first(1).captions == Scenes("val", 16).described().first(1).captions
    with pytest.raises(MuseError, match="leaves nothing of a"):
        open_mixture("1*a,100*b", lambda spec: pictures(spec, 1), repeats=False)
