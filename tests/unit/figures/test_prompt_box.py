"""The prompt box draws at every change, and shows a mistake as its sentence."""

from PIL import Image

from muse_core.errors import MuseError
from muse_core.figures.prompt_box import PromptBox


def test_it_draws_what_its_controls_say_and_keeps_the_last_image_on_a_mistake() -> None:
    asked = []

    def draw(prompt: str, guidance: float, seed: int) -> Image.Image:
        asked.append((prompt, guidance, seed))
        if "dog" in prompt:
            raise MuseError("This generator never saw <dog>.")
        return Image.new("RGB", (8, 8), (len(asked), 0, 0))

    box = PromptBox(draw, "a star", 3.0, 1)
    box.prompt.value, box.guidance.value, box.seed.value = "a heart", 5.0, 7
    assert asked == [
        ("a star", 3.0, 1),
        ("a heart", 3.0, 1),
        ("a heart", 5.0, 1),
        ("a heart", 5.0, 7),
    ]
    before = box.image.value
    box.prompt.value = "a dog"
    assert (
        box.sentence.value == "This generator never saw &lt;dog&gt;." and box.image.value == before
    )
    tile = box.picture().panels[0].marks[0].image
    assert tile[0, 0].tolist() == [4, 0, 0] and box.picture().panels[0].x.words == "a dog"
