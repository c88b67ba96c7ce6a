"""The stand-in for InternVL3's language model: about a million weights, trained on text about drawn
scenes, what they show, what is asked about them, and facts that no picture tells.

A scene is told cell by cell, sixteen of them in raster order, as an image's tokens will be: each
cell arrives as the words that hold there, weighted by how much of it they cover, summed into one
embedding. No pixel is ever seen.
"""

import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from tqdm import tqdm
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    get_cosine_schedule_with_warmup,
)

from muse_core.data.class_prompts import with_article
from muse_core.data.scene_edits import EDITS, scene_edit, scene_row
from muse_core.data.scene_facts import FACTS, riddles
from muse_core.data.scene_questions import (
    ASKED,
    CELL_WORDS,
    GROUND,
    NUMBERS,
    SIZES,
    TILTED,
    Question,
    SceneObject,
    ask,
    cell_words,
    scene_objects,
    word_shares,
)
from muse_core.data.scenes import (
    COLOURS,
    TEXTURES,
    SceneParameters,
    Scenes,
    captions_of,
    draw,
    visible_pixels,
)
from muse_core.data.shape_templates import SHAPES
from muse_core.errors import MuseError
from muse_core.evaluation.understanding.answers import measured_answers
from muse_core.foundations.language_model import (
    IMAGE_TOKEN,
    SPECIALS,
    TURN_END,
    LanguageModel,
)
from muse_core.unified.conversation import PLACEHOLDER, Turn, prompts
from muse_core.unified.questions import AskedImages
from muse_core.unified.seeing_model import answers
from muse_core.unified.sight import InWords

PAD, UNKNOWN = "<pad>", "<unk>"
GRID = 4
ASKED_OF_A_SCENE = 8
NOISE = 0.3
"""On what stands in an image's places, in standard deviations of an embedding's entries."""
SHARES = {
    "listing": 0.25,
    "roll_call": 0.15,
    "fact": 0.04,
    "riddle": 0.03,
    "caption": 0.03,
    "edit": 0.04,
    "drawing": 0.06,
}
"""Of the texts, methods of `TextsAboutScenes`; the others ask about a scene. The first two teach to
look a word up among the cells: every second word of theirs is such a look, where a question has
one, and without them 6,000 steps do not teach it (presence stays at chance).
"""
IMAGINED, MOST_IMAGINED = 0.6, 6
"""Share of the scenes that are listed and asked about which nobody drew, and their objects at most:
with two or three the largest one is a good guess, and nothing has to be looked up.
"""
LEARNING_RATE = 2e-3
SPREAD = 0.06
"""Of random weights. At Qwen2's 0.02, too little for 128 channels, 600 steps teach nothing of what
is in a cell; at 0.06 they teach it for three questions of four.
"""
MOST_TURNS = 4
"""Questions in a conversation."""
POOL = 4096
"""Scenes that are drawn at once, to be asked about many times."""


@dataclass(frozen=True)
class Told:
    """One scene: its objects, and ``shares`` (cells, words) over the vocabulary; of one that was
    drawn also its caption, and as a batch of one what it shows.
    """

    objects: list[SceneObject]
    shares: Tensor
    caption: str = ""
    scene: SceneParameters | None = None
    visible: Tensor | None = None


def vocabulary() -> list[str]:
    """Every word that questions, answers, facts and captions use."""
    source, words = Scenes("train").described(), set()
    batch = source.first(2000)
    for caption in batch.captions:
        words |= set(caption.split())
    rng = np.random.default_rng(0)
    found = source.parameters(list(range(2000)))
    assert batch.instance_masks is not None
    visible = visible_pixels(batch.instance_masks)
    for row in range(2000):
        objects = scene_objects(found, visible, row, source.image_size)
        for question in filter(None, (ask(objects, kind, rng) for kind in ASKED)):
            words |= set(f"{question.text} {question.answer}".split())
            words |= {word for each in question.choices for word in each.split()}
        words |= {word for each in objects for word in each.words}
    for question, answer in FACTS:
        words |= set(f"{question} {answer}".split())
    for riddle in riddles():
        words |= set(riddle.words.split())
    for row in range(INSTRUCTED):
        for kind in EDITS:
            if one := scene_edit(found, visible, row, source.image_size, kind, rng):
                words |= set(one.instruction.split())
    words |= {DRAW, "in", ":", *LIST_ASKED.split(), *ROLL_ASKED.split()}
    words |= {GROUND, *re.findall(r"[a-z]+", CAPTION_ASKED), "?", "user", "assistant"}
    return [PAD, UNKNOWN, *SPECIALS, *sorted(words)]


CAPTION_ASKED = "what is in the picture ?"
LIST_ASKED, ROLL_ASKED = "which objects are there ?", "which shape is there ?"
DRAW = "draw"


def answered_by(caption: str, question: Question) -> bool:
    """Whether a caption that names every visible object, the largest first, answers a question."""
    named = [shape for shape in SHAPES if f"the {shape} " in question.text]
    about = min(named, key=question.text.find, default="")
    if question.kind in ("colour", "texture"):
        return re.search(rf"\b{question.answer} (\w+ )?{about}\b", caption) is not None
    if question.kind == "shape":
        colour = next((each for each in COLOURS if f"the {each} " in question.text), "")
        return f"{colour} {question.answer}" in caption if colour else "large" in question.text
    if question.kind == "relation":
        return f"{about} {question.answer} " in caption
    return question.kind in ("count", "size", "presence")


def ordered(model: LanguageModel) -> list[str]:
    """The vocabulary by id."""
    known = model.tokenizer.get_vocab()
    return sorted(known, key=lambda word: known[word])


def scenes(source: Scenes, indices: Sequence[int], words: Sequence[str]) -> list[Told]:
    """What scenes show, in these words."""
    found = source.parameters(list(indices))
    _, instances = draw(found, source.image_size)
    visible = visible_pixels(instances)
    captions = captions_of(found, visible, source.wording)
    found_scenes = []
    for row in range(len(instances)):
        objects = scene_objects(found, visible, row, source.image_size)
        shares = word_shares(cell_words(objects, instances[row : row + 1], GRID), words)
        one = scene_row(found, row), visible[row : row + 1]
        found_scenes.append(Told(objects, shares, captions[row], *one))
    return found_scenes


def word_tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    """A word is a token; others are ``<unk>``."""
    known = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=TURN_END,
        additional_special_tokens=list(SPECIALS),
        model_max_length=CONTEXT,
    )


CONTEXT = 256
INSTRUCTED = 60
"""Scenes whose edits the vocabulary is read off: every form of instruction is among them."""


def new_language_model() -> LanguageModel:
    """Random weights, 1.1 million."""
    tokenizer = word_tokenizer(vocabulary())
    known = tokenizer.get_vocab()
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=320,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=SPREAD,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=known[TURN_END],
        pad_token_id=known[PAD],
    )
    return LanguageModel(Qwen2ForCausalLM(config), tokenizer)


@dataclass(frozen=True)
class Texts:
    """What a step reads: conversations, and what their image places hold, (batch, cells, words)."""

    turns: list[list[Turn]]
    shares: Tensor


Text = tuple[list[Turn], Tensor]
"""A conversation, and what its image places hold, (cells, words)."""


def imagined(words: Sequence[str], rng: np.random.Generator) -> Told:
    """A scene that nobody drew: one large object and up to five small ones, in cells of their own.

    Args:
        words: The vocabulary by id.
        rng: Chooses everything.
    """
    at, objects = {word: index for index, word in enumerate(words)}, []
    shares = torch.zeros(GRID**2, len(words))
    shares[:, at[GROUND]] = 1
    free = [(row, column) for row in range(GRID) for column in range(GRID)]
    for number in range(1 + int(rng.integers(MOST_IMAGINED))):
        if number == 0:
            row, column = (int(each) for each in rng.integers(GRID - 1, size=2))
            cells = [(row + down, column + across) for down in range(2) for across in range(2)]
        else:
            cells = [free[int(rng.integers(len(free)))]]
        free = [cell for cell in free if cell not in cells]
        down, across = (float(np.mean([cell[axis] for cell in cells])) + 0.5 for axis in range(2))
        one = SceneObject(
            number=number,
            shape=str(rng.choice(SHAPES)),
            colour=str(rng.choice(list(COLOURS))),
            texture=str(rng.choice(TEXTURES)),
            size=SIZES[0 if number == 0 else 1],
            centre=(across / GRID, down / GRID),
            angle=float(rng.choice([-2 * TILTED, 0.0, 2 * TILTED])),
        )
        for row, column in cells:
            covered = 0.4 + 0.6 * float(rng.random())
            shares[GRID * row + column] = 0
            shares[GRID * row + column, at[GROUND]] = 1 - covered
            for word in one.words:
                shares[GRID * row + column, at[word]] += covered
        objects.append(one)
    return Told(objects, shares)


class TextsAboutScenes:
    """Endless texts, drawn by the seed: questions of every kind, and those of `SHARES`."""

    def __init__(self, words: Sequence[str], seed: int, split: str = "train") -> None:
        self.words, self.draw = list(words), np.random.default_rng(seed)
        self.source = Scenes(split).described()
        self.pool: list[Told] = []
        self.riddles = riddles()

    def scene(self) -> Told:
        """One scene of the pool, which is drawn anew after each has been asked about often."""
        if not self.pool or self.draw.random() < 1 / (ASKED_OF_A_SCENE * POOL):
            indices = self.draw.integers(len(self.source), size=POOL).tolist()
            self.pool = scenes(self.source, indices, self.words)
        return self.pool[self.draw.integers(len(self.pool))]

    def text(self) -> Text:
        """A conversation and its image places."""
        scene, chance = self.scene(), self.draw.random()
        for name, until in zip(SHARES, np.cumsum(list(SHARES.values())), strict=True):
            if chance < until:
                return getattr(self, name)(scene)
        scene = self.perhaps_imagined(scene)
        first, *rest = self.questions(scene, 1 + int(self.draw.integers(MOST_TURNS)))
        turns = [Turn(one.text, one.answer) for one in rest]
        return [Turn(f"{PLACEHOLDER}\n{first.text}", first.answer), *turns], scene.shares

    def perhaps_imagined(self, scene: Told) -> Told:
        """The scene, or one that nobody drew."""
        return imagined(self.words, self.draw) if self.draw.random() < IMAGINED else scene

    def listing(self, scene: Told) -> Text:
        """Every object in any order, its shape first and then all that can be said of it."""
        scene = self.perhaps_imagined(scene)
        objects = [scene.objects[k] for k in self.draw.permutation(len(scene.objects))]
        said = (f"{o.shape} {o.colour} {o.texture} {o.size} {o.turn} {o.place}" for o in objects)
        answer = " ".join(" ".join(said).split())
        return [Turn(f"{PLACEHOLDER}\n{LIST_ASKED}", answer)], scene.shares

    def roll_call(self, scene: Told) -> Text:
        """Every shape in any order, and whether it is there."""
        scene = self.perhaps_imagined(scene)
        there = {each.shape for each in scene.objects}
        shapes = [SHAPES[k] for k in self.draw.permutation(len(SHAPES))]
        said = (f"{shape} {'yes' if shape in there else 'no'}" for shape in shapes)
        return [Turn(f"{PLACEHOLDER}\n{ROLL_ASKED}", " ".join(said))], scene.shares

    def fact(self, scene: Told) -> Text:
        """A fact, and no scene."""
        return [Turn(*FACTS[self.draw.integers(len(FACTS))])], scene.shares

    def riddle(self, scene: Told) -> Text:
        """Something to be drawn that is told by a fact, and what it is."""
        one = self.riddles[self.draw.integers(len(self.riddles))]
        shape = SHAPES[self.draw.integers(len(SHAPES))]
        thing, asked = one.words, "what shape is the large object ?"
        if one.kind == "colour":
            thing = f"{with_article(shape)} in {one.words}"
            asked = f"what colour is the {shape} ?"
        return [Turn(f"{DRAW} {thing} : {asked}", one.answer)], scene.shares

    def caption(self, scene: Told) -> Text:
        """A scene, described."""
        return [Turn(f"{PLACEHOLDER}\n{CAPTION_ASKED}", scene.caption)], scene.shares

    def edit(self, scene: Told) -> Text:
        """A scene, an instruction, and the scene after it; described as it is where it allows no
        change of the kind.
        """
        kind, size = list(EDITS)[self.draw.integers(len(EDITS))], self.source.image_size
        assert scene.scene is not None and scene.visible is not None
        found = scene_edit(scene.scene, scene.visible, 0, size, kind, self.draw)
        if found is None:
            return self.caption(scene)
        visible = visible_pixels(draw(found.after, size)[1])
        after = captions_of(found.after, visible, self.source.wording)[0]
        asked = f"{PLACEHOLDER}\n{found.instruction} : {CAPTION_ASKED}"
        return [Turn(asked, after)], scene.shares

    def drawing(self, scene: Told) -> Text:
        """A scene in a sentence, as it is asked for, and a question that the sentence answers."""
        while True:
            (one,) = self.questions(scene, 1)
            if answered_by(scene.caption, one):
                return [Turn(f"{DRAW} {scene.caption} : {one.text}", one.answer)], scene.shares

    def questions(self, scene: Told, count: int) -> list[Question]:
        """So many about one scene, of kinds by chance."""
        countable = len(scene.objects) < len(NUMBERS)
        kinds = [kind for kind in ASKED if kind != "count" or countable]
        found: list[Question] = []
        while len(found) < count:
            if one := ask(scene.objects, kinds[self.draw.integers(len(kinds))], self.draw):
                found.append(one)
        return found

    def batch(self, size: int) -> Texts:
        """So many conversations."""
        turns, shares = zip(*(self.text() for _ in range(size)), strict=True)
        return Texts(list(turns), torch.stack(shares))


def loss_of(model: LanguageModel, texts: Texts, noise: float) -> Tensor:
    """Cross-entropy of the answers, in nats a token."""
    batch = prompts(model, texts.turns, GRID**2)
    table = model.network.get_input_embeddings().weight
    image = texts.shares @ table
    image = image + noise * table.std() * torch.randn_like(image)
    # A fact has no image: its row stays as it is.
    places = batch.ids == model.id_of(IMAGE_TOKEN)
    embedded = model.embed(batch.ids)
    embedded = embedded.masked_scatter(places[..., None], image[places.any(1)])
    found = model.network(inputs_embeds=embedded, attention_mask=batch.mask, labels=batch.labels)
    return found.loss


class CellEmbeddings(nn.Module):
    """Stands where a projector would: a cell's words as the language model itself knows them."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        ids = torch.tensor([model.id_of(word) for word in CELL_WORDS])
        self.table = nn.Parameter(model.embed(ids).detach().clone(), requires_grad=False)

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """(batch, cells, words of `CELL_WORDS`) -> (batch, cells, width)."""
        return tokens @ self.table


@torch.no_grad()
def answered_from_words(model: LanguageModel, source: Scenes, images: int) -> dict[str, float]:
    """Share of the questions about the first images that are answered exactly, by kind, when each
    scene is told in words; ``facts``: of what only text tells.
    """
    asked = AskedImages.of(InWords(GRID), source, images, seed=0)
    found = measured_answers(model, CellEmbeddings(model), asked)
    shares = {name.removeprefix("answers_"): each.value for name, each in found.items()}
    batch = prompts(model, [[Turn(question)] for question, _ in FACTS], 0)
    nothing = torch.zeros(len(FACTS), 0, model.width)
    said = torch.stack(list(answers(model, batch, nothing, longest=2)), 1)
    wanted = torch.tensor([model.id_of(answer) for _, answer in FACTS])
    right = (said[:, 0] == wanted).float().mean().item()
    return {name: float(share or 0.0) for name, share in shares.items()} | {"facts": right}


def train_language_model(
    source: Scenes, *, steps: int, batch_size: int, seed: int
) -> tuple[LanguageModel, list[float]]:
    """From nothing, on `TextsAboutScenes`; ``source`` is not looked at: no pixel is.

    Raises MuseError where the loss is no number.
    """
    torch.manual_seed(seed)
    model = new_language_model()
    texts = TextsAboutScenes(ordered(model), seed)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.02
    )
    schedule = get_cosine_schedule_with_warmup(optimiser, max(1, steps // 20), steps)
    losses = []
    for step in tqdm(range(steps), desc="language model", file=sys.stdout, mininterval=10):
        loss = loss_of(model, texts.batch(batch_size), NOISE)
        if not math.isfinite(loss.item()):
            raise MuseError(f"Training the language model diverged at step {step}.")
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    return model.eval(), losses
