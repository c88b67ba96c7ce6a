"""The chat box keeps the conversation, begins anew with an image, and shows a mistake as its
sentence.
"""

import io
from datetime import UTC, datetime

import pytest
from PIL import Image

from muse_core.errors import MuseError
from muse_core.figures.chat_box import ChatBox

IMAGE = Image.new("RGB", (8, 8), (200, 0, 0))


def reply(image: Image.Image, question: str, history: list) -> tuple[str, list]:
    if "banana" in question:
        raise MuseError("The language model does not know <banana>.")
    said = f"{image.getpixel((0, 0))[0]} & {len(history)}"
    return said, [*history, (question, said)]


@pytest.fixture
def box() -> ChatBox:
    return ChatBox(reply, IMAGE, ["what shape ?"])


def ask(box: ChatBox, question: str) -> None:
    box.question.value = question


def test_questions_and_answers_stand_below_each_other(box: ChatBox) -> None:
    ask(box, "what <shape> ?")
    ask(box, "how many ?")
    assert box.said == [("what <shape> ?", "200 & 0"), ("how many ?", "200 & 1")]
    assert "what &lt;shape&gt; ?" in box.log.value and "200 &amp; 1" in box.log.value
    assert box.question.value == "" and len(box.history) == 2


def test_a_mistake_is_a_sentence_and_the_conversation_stays(box: ChatBox) -> None:
    ask(box, "how many ?")
    before = box.log.value
    ask(box, "a banana ?")
    assert box.sentence.value == "The language model does not know &lt;banana&gt;."
    assert box.log.value == before and box.question.value == "a banana ?"


def test_another_image_begins_anew_and_a_file_that_is_none_is_a_sentence(box: ChatBox) -> None:
    ask(box, "how many ?")
    file = io.BytesIO()
    Image.new("L", (4, 8), 7).save(file, "PNG")
    told = {"type": "image/png", "size": 1, "last_modified": datetime(2026, 1, 1, tzinfo=UTC)}
    box.upload.value = ({"name": "own.png", "content": file.getvalue(), **told},)
    assert not box.history and not box.log.value and box.image.size == (4, 8)
    ask(box, "how many ?")
    assert box.said == [("how many ?", "7 & 0")]
    box.upload.value = ({"name": "<x>.png", "content": b"no", **told},)
    assert box.sentence.value.startswith("&lt;x&gt;.png is no image that can be read")
    assert box.said == [("how many ?", "7 & 0")]
