from muse_core.data.caption_sampling import LONG_CAPTION, drawn_caption

SENTENCES = [
    f"Sentence {number} has a few words about what the picture shows." for number in range(8)
]
LONG = " ".join(SENTENCES)


def test_all_captions_take_turns_from_a_start_of_seed_and_name() -> None:
    captions = tuple("abcde")
    said = [drawn_caption(captions, "1.jpg", 0, epoch) for epoch in range(10)]
    assert set(said[:5]) == set(captions) and said[5:] == said[:5]
    first = [drawn_caption(captions, f"{name}.jpg", 0, 0) for name in range(60)]
    assert set(first) == set(captions)
    assert first != [drawn_caption(captions, f"{name}.jpg", 1, 0) for name in range(60)]


def test_a_long_caption_gives_one_of_its_sentences() -> None:
    assert len(LONG.split()) > LONG_CAPTION
    assert {drawn_caption((LONG,), "x", 0, epoch) for epoch in range(8)} == set(SENTENCES)
    said = {drawn_caption((LONG, "short"), "x", 0, epoch) for epoch in range(16)}
    assert said == {*SENTENCES, "short"}
    lines = "\n".join(SENTENCES).replace(".", "")
    assert drawn_caption((lines,), "x", 0, 3) in [text[:-1] for text in SENTENCES]


def test_a_short_caption_stays_whole_and_so_does_one_that_cannot_be_cut() -> None:
    assert drawn_caption(("A cat. On a mat.",), "x", 0, 5) == "A cat. On a mat."
    endless = ("word " * 200).strip()
    assert drawn_caption((endless,), "x", 0, 5) == endless
