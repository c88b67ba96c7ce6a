"""Other attentions with the same isolation: what differs from the plain block, as data.

Each keeps the table of `gradient_routes`: structure trains what makes the map, semantics their own
values, pixels the rest."""

from dataclasses import dataclass

from muse_core.errors import MuseError, unknown


@dataclass(frozen=True)
class AttentionVariant:
    """``rotary``: q and k carry 2-D rotary positions. ``queries_per_key``: query heads that share a
    key and value head. ``compressed``: all projections read one shared down-projection to half the
    width, which pixels alone train. ``gated``: each head's result is scaled by sigmoid(W_g x), with
    a gate for each stream."""

    name: str
    words: str
    rotary: bool = True
    queries_per_key: int = 1
    compressed: bool = False
    gated: bool = False

    def check(self, width: int, num_heads: int) -> None:
        """Raises MuseError where the heads do not divide."""
        if num_heads % self.queries_per_key:
            raise MuseError(
                f"Attention {self.name!r} lets {self.queries_per_key} query heads share a key head, and {num_heads} heads do "
                f"not divide by that: use a multiple of {self.queries_per_key} heads."
            )


MULTI_HEAD = AttentionVariant(
    "multi-head",
    "the block of MUSE: 2-D rotary positions, a key and value head for every query head",
)
VARIANTS = {
    variant.name: variant
    for variant in (
        MULTI_HEAD,
        AttentionVariant("no-rotary", "without rotary positions", rotary=False),
        AttentionVariant(
            "grouped-query", "two query heads share a key and value head", queries_per_key=2
        ),
        AttentionVariant(
            "shared-projection", "all projections read one shared down-projection", compressed=True
        ),
        AttentionVariant("gated", "each head is scaled by a learned gate", gated=True),
    )
}


def variant_named(name: str) -> AttentionVariant:
    """Raises MuseError for an unknown name."""
    if name not in VARIANTS:
        raise unknown("attention", name, VARIANTS)
    return VARIANTS[name]
