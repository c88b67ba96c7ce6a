"""`scenes`: the embedded data set, drawn on demand.

Sample i of a split is a pure function of (seed, split, i): one counter-based generator (Philox)
keyed by them gives the scene's random numbers. Shape, colour and texture are drawn independently,
so colour and texture never predict shape, and captions drop attributes at random: a contrastive
model has to look at outlines."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from muse_core.data.batch import Batch, Source
from muse_core.data.class_prompts import with_article
from muse_core.data.shape_templates import SHAPES, TEMPLATE_EXTENT, templates
from muse_core.errors import unknown

COLOURS = {
    "red": (0.87, 0.17, 0.16),
    "orange": (0.96, 0.55, 0.13),
    "yellow": (0.97, 0.85, 0.24),
    "green": (0.22, 0.66, 0.28),
    "cyan": (0.25, 0.77, 0.82),
    "blue": (0.16, 0.33, 0.80),
    "purple": (0.53, 0.25, 0.70),
    "pink": (0.95, 0.55, 0.73),
}
TEXTURES = ("plain", "striped", "dotted", "checkered")
RELATIONS = ("left of", "right of", "above", "below")
SPLITS = {
    "train": (0, 100_000),
    "val": (1 << 40, 2_000),
    "test": (1 << 41, 2_000),
    "verdict": (1 << 42, 2_000),
}
"""First index and length of each split: disjoint by construction. "verdict" is for the figures that
decide a claim: no choice was ever made on it.
"""

OBJECTS = 3
NUMBERS_PER_SCENE = 64
MIN_VISIBLE_PIXELS = 24
"""An object with fewer visible pixels is left out of the caption."""


@dataclass(frozen=True)
class SceneParameters:
    """What a batch of scenes shows; arrays are (batch, OBJECTS) unless said otherwise. Lengths in
    pixels, angles in radians.
    """

    present: Tensor
    shape: Tensor
    colour: Tensor
    texture: Tensor
    radius: Tensor
    centre: Tensor
    """(batch, OBJECTS, 2): x, y."""
    angle: Tensor
    background: Tensor
    """(batch, 12) uniform numbers that the background is made of."""
    words: Tensor
    """(batch, OBJECTS, 3) uniform numbers: keep colour? keep texture? keep relation?"""


def scene_numbers(seed: int, indices: list[int]) -> np.ndarray:
    """(len(indices), NUMBERS_PER_SCENE) uniform numbers, each row a pure function of
    (seed, index).
    """
    rows = [
        np.random.Generator(np.random.Philox(key=[seed, index])).random(NUMBERS_PER_SCENE)
        for index in indices
    ]
    return np.stack(rows).astype(np.float32)


def scene_parameters(numbers: Tensor, size: int) -> SceneParameters:
    """Uniform numbers -> scenes: one large object, and up to two smaller ones set beside it."""
    objects = numbers[:, :36].reshape(-1, OBJECTS, 12)
    unit = size / 64
    count = 1 + (numbers[:, 36] > 0.5).long() + (numbers[:, 36] > 0.85).long()
    present = torch.arange(OBJECTS) < count[:, None]
    large = torch.arange(OBJECTS) == 0
    radius = unit * torch.where(large, 16 + 6 * objects[..., 0], 7.5 + 3 * objects[..., 0])
    margin = 0.85 * radius[:, :1]
    first = margin[..., None] + (size - 2 * margin[..., None]) * objects[:, :1, 1:3]
    direction = 2 * torch.pi * (objects[..., 3:4] + torch.tensor([[0.0], [0.0], [0.5]]))
    heading = torch.cat([torch.cos(direction), torch.sin(direction)], -1)
    away = heading * (radius[:, :1] * 0.95 + radius)[..., None]
    reach = 0.8 * radius[..., None]
    centre = torch.where(large[:, None], first, first + away).clamp(min=reach, max=size - reach)
    return SceneParameters(
        present=present,
        shape=(objects[..., 4] * len(SHAPES)).long(),
        colour=(objects[..., 5] * len(COLOURS)).long(),
        texture=(objects[..., 6] * len(TEXTURES)).long(),
        radius=radius,
        centre=centre,
        angle=(objects[..., 7] - 0.5) * 0.5,
        background=numbers[:, 37:49],
        words=objects[..., 8:11],
    )


def draw(scenes: SceneParameters, size: int) -> tuple[Tensor, Tensor]:
    """Images (batch, 3, size, size) in [0, 1] and instance masks (batch, size, size), 0 =
    background, k = object k.
    """
    axis = torch.arange(size) + 0.5
    pixels = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    image = _background(scenes.background, pixels / size)
    instances = torch.zeros(image.shape[0], size, size, dtype=torch.long)
    for k in range(OBJECTS):
        shows = scenes.present[:, k].nonzero()[:, 0]
        cover, paint = _object(scenes, shows, k, pixels)
        image[shows] = torch.lerp(image[shows], paint, cover[:, None])
        instances[shows] = torch.where(cover > 0.5, k + 1, instances[shows])
    return image.clamp_(0, 1), instances


def _object(scenes: SceneParameters, rows: Tensor, k: int, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Object k of some scenes: its coverage (rows, size, size) in [0, 1] and its paint (rows, 3,
    size, size).
    """
    radius = scenes.radius[rows, k, None, None]
    angle = scenes.angle[rows, k, None, None]
    right, down = ((pixels - scenes.centre[rows, k, None, None]) / radius[..., None]).unbind(-1)
    cos, sin = torch.cos(angle), torch.sin(angle)
    x, y = right * cos + down * sin, down * cos - right * sin
    cover = (0.5 - _outline(scenes.shape[rows, k], x, y) * radius).clamp(0, 1)
    shade = 1 + _texture(scenes.texture[rows, k], x, y, radius) - 0.10 * (x + y).clamp(-1.5, 1.5)
    colour = torch.tensor(list(COLOURS.values()))[scenes.colour[rows, k]]
    return cover, colour[:, :, None, None] * shade[:, None]


def _outline(shape: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Signed distance to each object's outline, in radii: the template seen through the object's
    own coordinates.
    """
    grid = torch.stack([x, y], -1) / TEMPLATE_EXTENT
    return F.grid_sample(templates()[shape], grid, padding_mode="border", align_corners=False)[:, 0]


def _texture(texture: Tensor, x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """Relative lightness in [-0.18, 0.18] of each texture; a period is about ten pixels at any
    object size.
    """
    frequency = 2 * torch.pi / 10.0 * radius
    along, across = torch.sin(frequency * x), torch.sin(frequency * y)
    both = along * across
    patterns = {
        "striped": along,
        "dotted": (4 * both - 1.2).clamp(-1, 1),
        "checkered": (4 * both).clamp(-1, 1),
    }
    chosen = torch.zeros_like(x)
    for name, pattern in patterns.items():
        chosen = torch.where((texture == TEXTURES.index(name))[:, None, None], pattern, chosen)
    return 0.18 * chosen


def _background(numbers: Tensor, position: Tensor) -> Tensor:
    """Soft, greyish ground: a tinted gradient under slow waves; ``position`` (size, size, 2) in [0,
    1].
    """
    dark, level, right, down, fx, fy, phase, gx, gy = numbers[:, :9, None, None].unbind(1)
    x, y = position.unbind(-1)
    base = torch.where(dark < 0.5, 0.16 + 0.2 * level, 0.66 + 0.22 * level)
    slope = 0.24 * ((right - 0.5) * (x - 0.5) + (down - 0.5) * (y - 0.5))
    waves = 0.035 * torch.sin(2 * torch.pi * ((1 + 3 * fx) * x + (1 + 3 * fy) * y + phase))
    weave = 0.025 * torch.sin(2 * torch.pi * (5 * gx * x - 4 * gy * y))
    tint = 0.10 * (numbers[:, 9:12, None, None] - 0.5)
    return (base + slope + waves + weave)[:, None] + tint


@dataclass(frozen=True)
class Wording:
    """How much a caption tells: the shares of objects whose colour and texture it leaves out, of
    pairs whose relation it leaves out, and the most objects it names."""

    without_colour: float
    without_texture: float
    without_relation: float
    most_objects: int


BRIEF = Wording(without_colour=0.5, without_texture=0.7, without_relation=0.5, most_objects=2)
"""For contrast: what is left out cannot be relied on."""

THOROUGH = Wording(
    without_colour=0.2, without_texture=0.5, without_relation=0.0, most_objects=OBJECTS
)
"""For text-to-image: every visible object is named, so that a prompt also says how many there are.
"""


def _phrase(scenes: SceneParameters, row: int, k: int, wording: Wording) -> str:
    keep_colour, keep_texture, _ = scenes.words[row, k].tolist()
    words = [
        TEXTURES[scenes.texture[row, k]] if keep_texture > wording.without_texture else "",
        list(COLOURS)[scenes.colour[row, k]] if keep_colour > wording.without_colour else "",
        SHAPES[scenes.shape[row, k]],
    ]
    return with_article(" ".join(filter(None, words)))


def shape_prompts(shape: str) -> list[str]:
    """A shape in the words of the captions: bare, in each colour, with each texture."""
    return [with_article(f"{word} {shape}".strip()) for word in ("", *COLOURS, *TEXTURES)]


def _relation(subject: Tensor, other: Tensor) -> str:
    """Where the subject is, seen from the other object: along the axis on which they are further
    apart.
    """
    dx, dy = (subject - other).tolist()
    if abs(dx) >= abs(dy):
        return RELATIONS[0] if dx < 0 else RELATIONS[1]
    return RELATIONS[2] if dy < 0 else RELATIONS[3]


def caption(scenes: SceneParameters, visible: Tensor, row: int, wording: Wording = BRIEF) -> str:
    """One scene in words, its largest object first; ``visible`` (batch, OBJECTS) counts pixels."""
    ranked = visible[row].argsort(descending=True).tolist()
    subject, *others = [k for k in ranked if visible[row, k] >= MIN_VISIBLE_PIXELS] or ranked[:1]
    text = _phrase(scenes, row, subject, wording)
    if not others or scenes.words[row, subject, 2] <= wording.without_relation:
        return text
    relation = _relation(scenes.centre[row, subject], scenes.centre[row, others[0]])
    named = [_phrase(scenes, row, k, wording) for k in others[: wording.most_objects - 1]]
    return f"{text} {relation} {' and '.join(named)}"


def visible_pixels(instances: Tensor) -> Tensor:
    """(batch, OBJECTS) of instance masks."""
    return torch.stack([(instances == k + 1).sum((1, 2)) for k in range(OBJECTS)], 1)


def captions_of(
    scenes: SceneParameters, visible: Tensor, wording: Wording = BRIEF
) -> tuple[str, ...]:
    """A caption a scene."""
    return tuple(caption(scenes, visible, row, wording) for row in range(len(visible)))


class Scenes(Source):
    """The embedded source. Labels are shapes (of the largest visible object); class masks hold 1 +
    shape, 0 = background.
    """

    name, class_names = "scenes", SHAPES
    mask_class_names = ("background", *SHAPES)

    def __init__(
        self, split: str = "train", image_size: int = 64, seed: int = 0, wording: Wording = BRIEF
    ) -> None:
        if split not in SPLITS:
            raise unknown("split of scenes", split, SPLITS)
        self.split, self.image_size, self.seed, self.wording = split, image_size, seed, wording
        self.offset, self.length = SPLITS[split]
        said = "" if wording is BRIEF else "/thorough"
        self.fingerprint = f"scenes-v1/{split}/{image_size}px/seed{seed}{said}"

    def described(self) -> "Scenes":
        return Scenes(self.split, self.image_size, self.seed, THOROUGH)

    def __len__(self) -> int:
        return self.length

    def class_prompts(self) -> list[list[str]]:
        return [shape_prompts(shape) for shape in SHAPES]

    def parameters(self, indices: list[int]) -> SceneParameters:
        """What the scenes at these positions show, before they are drawn."""
        numbers = scene_numbers(self.seed, [self.offset + index for index in indices])
        return scene_parameters(torch.from_numpy(numbers), self.image_size)

    def __getitems__(self, indices: list[int]) -> Batch:
        scenes = self.parameters(indices)
        images, instances = draw(scenes, self.image_size)
        visible = visible_pixels(instances)
        classes = torch.cat([torch.zeros(len(indices), 1, dtype=torch.long), scenes.shape + 1], 1)
        return Batch(
            images=images,
            captions=captions_of(scenes, visible, self.wording),
            labels=scenes.shape.gather(1, visible.argmax(1, keepdim=True))[:, 0],
            ids=tuple(f"{self.fingerprint}#{index}" for index in indices),
            class_masks=classes.gather(1, instances.flatten(1)).view_as(instances),
            instance_masks=instances,
        )
