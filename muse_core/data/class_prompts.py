"""What zero-shot classification calls a class: several sentences each, whose embeddings are
averaged.
"""

SILENT_H = ("hour", "honest", "heir")


def with_article(noun: str) -> str:
    """ "star" -> "a star", "hourglass" -> "an hourglass"."""
    vowel = noun[0].lower() in "aeiou" or noun.startswith(SILENT_H)
    return f"an {noun}" if vowel else f"a {noun}"


def photo_prompts(name: str) -> list[str]:
    """The 80 sentences that CLIP's authors used for ImageNet, with "an" before a class that needs
    it.
    """
    from open_clip.zero_shot_metadata import (
        OPENAI_IMAGENET_TEMPLATES,  # takes seconds, and drawn scenes do without
    )

    return [
        template(name).replace(f"a {name}", with_article(name))
        for template in OPENAI_IMAGENET_TEMPLATES
    ]
