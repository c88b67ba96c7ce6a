"""Names every weight of the tokenizer by its role, once: freezing, learning rates, tests and
figures all ask here.
"""

import re

from torch import nn

from muse_core.errors import MuseError
from muse_core.models.gradient_routes import WeightGroup

_BLOCK = r"connector\.blocks\.\d+\."
PATTERNS: dict[WeightGroup, str] = {
    WeightGroup.QUERY_KEY: _BLOCK + r"(topology_\w+|query|key|query_norm|key_norm)\b",
    WeightGroup.SEMANTIC_VALUE: _BLOCK + r"semantic_\w+",
    WeightGroup.SEMANTIC_HEAD: r"(semantic_head|to_semantic)\.",
    WeightGroup.TEXTURE: _BLOCK
    + r"(texture_\w+|shared_projection|output|feedforward|feedforward_norm)\b",
    WeightGroup.PIXEL_HEAD: r"(to_latent|semantics_to_decoder|decoder)\.",
    WeightGroup.TRUNK: r"connector\.(adapter\.|queries$)",
    WeightGroup.BACKBONE: r"backbone\.",
}


def group_of(name: str) -> WeightGroup:
    """The group of a parameter of `MuseTokenizer`, by its name; what an own block adds says it by
    its name's first word. Raises MuseError for a weight outside the table.
    """
    for group, pattern in PATTERNS.items():
        if re.match(pattern, name):
            return group
    raise MuseError(
        f"The weight {name} belongs to no group of the routing table: begin its name in the block "
        "with topology_, semantic_ or texture_, which says what trains it."
    )


def block_of(name: str) -> int | None:
    """The synergistic block a parameter belongs to, or None."""
    found = re.match(r"connector\.blocks\.(\d+)\.", name)
    return int(found.group(1)) if found else None


def weight_groups(tokenizer: nn.Module) -> dict[WeightGroup, dict[str, nn.Parameter]]:
    """Group -> name -> parameter, over the whole tokenizer."""
    groups: dict[WeightGroup, dict[str, nn.Parameter]] = {group: {} for group in WeightGroup}
    for name, parameter in tokenizer.named_parameters():
        groups[group_of(name)][name] = parameter
    return groups
