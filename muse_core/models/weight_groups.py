"""Names every weight of the tokenizer by its role, once: freezing, learning rates, tests and
figures all ask here.
"""

import re

from torch import nn

from muse_core.models.gradient_routes import WeightGroup

_BLOCK = r"connector\.blocks\.\d+\."
PATTERNS: dict[WeightGroup, str] = {
    WeightGroup.QUERY_KEY: _BLOCK + r"(topology_norm|query|key|query_norm|key_norm)\.",
    WeightGroup.SEMANTIC_VALUE: _BLOCK + r"(semantic_norm|semantic_value|semantic_gate)\.",
    WeightGroup.SEMANTIC_HEAD: r"(semantic_head|to_semantic)\.",
    WeightGroup.TEXTURE: _BLOCK + r"(texture_(norm|value|gate)|shared_projection|output)\."
    rf"|{_BLOCK}feedforward(_norm)?\.",
    WeightGroup.PIXEL_HEAD: r"(to_latent|semantics_to_decoder|decoder)\.",
    WeightGroup.TRUNK: r"connector\.(adapter\.|queries$)",
    WeightGroup.BACKBONE: r"backbone\.",
}


def group_of(name: str) -> WeightGroup:
    """The group of a parameter of `MuseTokenizer`, by its name. Raises LookupError for a weight
    outside the table.
    """
    for group, pattern in PATTERNS.items():
        if re.match(pattern, name):
            return group
    raise LookupError(f"The weight {name} belongs to no group of the routing table.")


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
