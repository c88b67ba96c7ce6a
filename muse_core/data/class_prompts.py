"""What a class is called: in the caption of an image that has none, and in zero-shot
classification, where the embeddings of several sentences are averaged.
"""

SILENT_H = ("hour", "honest", "heir")


def with_article(noun: str) -> str:
    """ "star" -> "a star", "hourglass" -> "an hourglass"."""
    vowel = noun[0].lower() in "aeiou" or noun.startswith(SILENT_H)
    return f"an {noun}" if vowel else f"a {noun}"


def photo_caption(class_name: str | None = None) -> str:
    """The caption of an image without words of its own."""
    return f"a photo of {with_article(class_name)}" if class_name else "a photo"


def photo_prompts(name: str) -> list[str]:
    """The 80 sentences that CLIP's authors used for ImageNet.

    "an" stands before a class that needs it. Importing them takes seconds, and drawn scenes do
    without.
    """
    from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

    return [
        template(name).replace(f"a {name}", with_article(name))
        for template in OPENAI_IMAGENET_TEMPLATES
    ]
