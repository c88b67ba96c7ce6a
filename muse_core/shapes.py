"""The vocabulary of the project: tensors named by what their axes mean (jaxtyping, checked in the
tests).
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor

Images = Float[Tensor, "batch 3 image_height image_width"]
"""RGB in [0, 1], everywhere; each network normalises inside its own wrapper."""

Masks = Int[Tensor, "batch image_height image_width"]
"""One integer a pixel: a class (0 = background, 255 = ignore) or an instance (0 = background)."""

Tokens = Float[Tensor, "batch tokens width"]
Latents = Float[Tensor, "batch channels latent_height latent_width"]
AttentionMaps = Float[Tensor, "batch heads queries keys"]
"""Rows are queries ("who looks"), columns are keys ("at what"); probabilities or logits, as the
name says.
"""

TargetMaps = Float[Tensor, "batch target_heads target_queries target_keys"]
"""Attention maps after their heads, queries or keys have been changed in number; otherwise as
`AttentionMaps`.
"""

Embeddings = Float[Tensor, "batch embedding"]
Labels = Int[Tensor, " batch"]
Scalar = Float[Tensor, ""]

__all__ = [
    "AttentionMaps",
    "Bool",
    "Embeddings",
    "Float",
    "Images",
    "Int",
    "Labels",
    "Latents",
    "Masks",
    "Scalar",
    "TargetMaps",
    "Tokens",
]
