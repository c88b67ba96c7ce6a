import pytest

from muse_core.data.class_prompts import photo_prompts, with_article


@pytest.mark.parametrize(
    ("noun", "words"),
    [
        ("star", "a star"),
        ("Abyssinian", "an Abyssinian"),
        ("hourglass", "an hourglass"),
        ("house", "a house"),
    ],
)
def test_articles(noun, words) -> None:
    assert with_article(noun) == words


@pytest.mark.parametrize(("name", "noun"), [("Abyssinian", "an Abyssinian"), ("pug", "a pug")])
def test_photographs_have_clips_eighty_sentences(name, noun) -> None:
    prompts = photo_prompts(name)
    assert len(set(prompts)) == 80 and all(name in prompt for prompt in prompts)
    assert f"a photo of {noun}." in prompts and f"{noun} in a video game." in prompts
    assert f"a good photo of the {name}." in prompts
    assert not any("a Abyssinian" in prompt for prompt in prompts)
