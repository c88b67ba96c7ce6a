"""The prompt box in a real JupyterLab: a typed prompt is drawn, and a wrong one answers with a
sentence and keeps the image.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from .jupyterlab import lab_server, open_and_run, write_notebook

CODE = """
from PIL import Image
from muse_core.figures.prompt_box import PromptBox
from muse_core.generation.caption_embeddings import check_words

def draw(prompt, guidance, seed):
    check_words([prompt], ["red", "blue", "green"])
    return Image.new("RGB", (8, 8), prompt)

PromptBox(draw, "red").widget
"""


@pytest.fixture(scope="module")
def tab(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    place = tmp_path_factory.mktemp("lab")
    write_notebook(place / "draw.ipynb", [CODE])
    with lab_server(place) as address:
        yield open_and_run(browser, address, "draw.ipynb", ".jp-OutputArea img.widget-image")


def ask(tab: Any, prompt: str) -> None:
    field = tab.locator(".widget-text input[type=text]").first
    field.fill(prompt)
    field.press("Enter")


COLOUR = """() => {
    const image = document.querySelector("img.widget-image"), canvas = document.createElement("canvas");
    canvas.width = canvas.height = 1;
    canvas.getContext("2d").drawImage(image, 0, 0, 1, 1);
    return Array.from(canvas.getContext("2d").getImageData(0, 0, 1, 1).data).slice(0, 3).join();
}"""


def shows(tab: Any, colour: str) -> None:
    tab.wait_for_function(f"({COLOUR})() === '{colour}'", timeout=20_000)


@pytest.mark.long
def test_a_typed_prompt_is_drawn(tab: Any) -> None:
    shows(tab, "255,0,0")
    ask(tab, "blue")
    shows(tab, "0,0,255")


@pytest.mark.long
def test_an_unknown_word_answers_with_a_sentence_and_the_image_stays(tab: Any) -> None:
    ask(tab, "green")
    shows(tab, "0,128,0")
    ask(tab, "grene")
    tab.wait_for_function(
        "document.querySelector('.jp-OutputArea').innerText.includes(\"did you mean 'green'\")"
    )
    shows(tab, "0,128,0")
