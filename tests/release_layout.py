"""A checkpoint in the layout of the authors' release, with random weights at a reduced size, and what
their network computes with it: in plain torch, from the facts about their code alone.
"""

import math

import torch
import torch.nn.functional as F
from diffusers import AutoencoderDC
from torch import Tensor

ENCODER = dict(width=128, layers=2, heads=2, hidden=96, patch=14, positions=16)
"""InternViT with heads of 64, as it has; 16 positions are 56 pixels."""
WIDTH, HEADS, BLOCKS, HIDDEN, CHANNELS, TEXT = 32, 2, 3, int(2 / 3 * 4 * 32), 8, 24
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def small_autoencoder() -> AutoencoderDC:
    """DC-AE of three stages: 4 pixels a latent position."""
    kinds, widths, scales = (
        ("ResBlock", "EfficientViTBlock", "EfficientViTBlock"),
        (32, 32, 64),
        ((), (5,), (5,)),
    )
    return AutoencoderDC(
        latent_channels=CHANNELS,
        attention_head_dim=32,
        encoder_block_types=kinds,
        decoder_block_types=kinds,
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        encoder_layers_per_block=(1, 1, 1),
        decoder_layers_per_block=(1, 2, 1),
        encoder_qkv_multiscales=scales,
        decoder_qkv_multiscales=scales,
        upsample_block_type="interpolate",
        downsample_block_type="conv",
        scaling_factor=0.41407,
    ).eval()


def shapes() -> dict[str, tuple[int, ...]]:
    """Every key but the decoder's and the teacher's, with its shape."""
    width, hidden, patch = ENCODER["width"], ENCODER["hidden"], ENCODER["patch"]
    joined, head = 4 * width, WIDTH // HEADS
    found: dict[str, tuple[int, ...]] = {
        "encoder.embeddings.class_embedding": (1, 1, width),
        "encoder.embeddings.patch_embedding.weight": (width, 3, patch, patch),
        "encoder.embeddings.patch_embedding.bias": (width,),
        "encoder.embeddings.position_embedding": (1, 1 + ENCODER["positions"], width),
        "adapter_mlp.0.weight": (joined,),
        "adapter_mlp.1.weight": (WIDTH, joined),
        "to_latent.weight": (CHANNELS, WIDTH),
        "to_latent.bias": (CHANNELS,),
        "semantic_projector.0.weight": (WIDTH, WIDTH),
        "semantic_projector.2.weight": (TEXT, WIDTH),
        "logit_scale": (),
    }
    for layer in range(ENCODER["layers"]):
        place = f"encoder.encoder.layers.{layer}."
        for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias", "ls1", "ls2"):
            found[place + name] = (width,)
        for name, (rows, columns) in {
            "attn.qkv": (3 * width, width),
            "attn.proj": (width, width),
            "mlp.fc1": (hidden, width),
            "mlp.fc2": (width, hidden),
        }.items():
            found |= {f"{place}{name}.weight": (rows, columns), f"{place}{name}.bias": (rows,)}
    for block in range(BLOCKS):
        place = f"muse_blocks.{block}."
        for name in ("q_topo", "k_topo", "v_sem", "v_itc", "proj"):
            found[f"{place}{name}.weight"] = (WIDTH, WIDTH)
        found |= {f"{place}{name}.weight": (head,) for name in ("q_norm", "k_norm")}
        found |= {f"{place}{name}.weight": (WIDTH,) for name in ("norm1", "norm2")}
        found |= {f"{place}mlp.{name}.weight": (HIDDEN, WIDTH) for name in ("w1", "w2")}
        found[f"{place}mlp.w3.weight"] = (WIDTH, HIDDEN)
    return found


def released_weights(seed: int = 0) -> dict[str, Tensor]:
    """Random values for every key, those of the decoder and of the teacher that is saved too."""
    torch.manual_seed(seed)
    weights = {}
    for name, shape in shapes().items():
        fan = shape[-1] if len(shape) > 1 else 1
        weights[name] = torch.randn(shape) / math.sqrt(fan) * (1.0 if len(shape) > 1 else 0.3)
        if ("norm" in name and name.endswith("weight")) or name == "adapter_mlp.0.weight":
            weights[name] = 1 + weights[name]
    decoder = small_autoencoder().decoder.state_dict()
    weights |= {f"decoder.{name}": value.clone() for name, value in decoder.items()}
    teacher = {"dino_teacher.norm.weight": torch.ones(5), "dino_mean": torch.zeros(1, 3, 1, 1)}
    return weights | teacher | {"dino_std": torch.ones(1, 3, 1, 1)}


def under(prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)}


def heads_of(tokens: Tensor, count: int) -> Tensor:
    return tokens.unflatten(-1, (count, -1)).transpose(1, 2)


def rms(x: Tensor, weight: Tensor) -> Tensor:
    return x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * weight


def encoder_tokens(weights: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """Patch tokens after InternViT's last layer, on their grid: (batch, rows, columns, width)."""
    own, width = under("encoder.", weights), ENCODER["width"]
    norm = lambda x, name: F.layer_norm(
        x, (width,), own[f"{name}.weight"], own[f"{name}.bias"], 1e-6
    )
    linear = lambda x, name: F.linear(x, own[f"{name}.weight"], own[f"{name}.bias"])
    embedded = F.conv2d(
        pixels,
        own["embeddings.patch_embedding.weight"],
        own["embeddings.patch_embedding.bias"],
        stride=ENCODER["patch"],
    )
    rows, columns = embedded.shape[-2:]
    position, side = own["embeddings.position_embedding"], math.isqrt(ENCODER["positions"])
    table = position[:, 1:].reshape(1, side, side, width).permute(0, 3, 1, 2)
    table = F.interpolate(table, (rows, columns), mode="bicubic", align_corners=False)
    first = own["embeddings.class_embedding"].expand(len(pixels), -1, -1) + position[:, :1]
    x = torch.cat([first, (embedded + table).flatten(2).transpose(1, 2)], 1)
    for layer in range(ENCODER["layers"]):
        place = f"encoder.layers.{layer}."
        fused = linear(norm(x, f"{place}norm1"), f"{place}attn.qkv")
        q, k, v = (heads_of(part, ENCODER["heads"]) for part in fused.chunk(3, -1))
        heard = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1) @ v
        x = x + linear(heard.transpose(1, 2).flatten(2), f"{place}attn.proj") * own[f"{place}ls1"]
        hidden = F.gelu(linear(norm(x, f"{place}norm2"), f"{place}mlp.fc1"))
        x = x + linear(hidden, f"{place}mlp.fc2") * own[f"{place}ls2"]
    return x[:, 1:].unflatten(1, (rows, columns))


def rotated(x: Tensor) -> Tensor:
    """Component i turned with i + d/2, by the token's place in the raster."""
    tokens, width = x.shape[-2:]
    frequencies = 10_000.0 ** (-torch.arange(0, width, 2) / width)
    angles = torch.outer(torch.arange(tokens).float(), frequencies)
    first, second = x.chunk(2, -1)
    return torch.cat(
        [
            first * angles.cos() - second * angles.sin(),
            second * angles.cos() + first * angles.sin(),
        ],
        -1,
    )


def released_forward(weights: dict[str, Tensor], images: Tensor) -> dict[str, Tensor]:
    """What the release computes of images (batch, 3, height, width) in [0, 1]: ``hidden``,
    ``semantic``, ``latent``, ``embedding``, and the attention maps of the ``last`` block.
    """
    pixels = (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    patches = encoder_tokens(weights, pixels)
    batch, rows, columns, width = patches.shape
    cells = patches.reshape(batch, rows // 2, 2, columns // 2, 2, width)
    joined = cells.permute(0, 1, 3, 2, 4, 5).reshape(batch, rows * columns // 4, 4 * width)
    x = F.gelu(
        F.linear(rms(joined, weights["adapter_mlp.0.weight"]), weights["adapter_mlp.1.weight"])
    )
    for block in range(BLOCKS):
        own = under(f"muse_blocks.{block}.", weights)
        semantic, normed = F.linear(x, own["v_itc.weight"]), rms(x, own["norm1.weight"])
        q, k, v = (
            heads_of(F.linear(normed, own[f"{name}.weight"]), HEADS)
            for name in ("q_topo", "k_topo", "v_sem")
        )
        q, k = rotated(rms(q, own["q_norm.weight"])), rotated(rms(k, own["k_norm.weight"]))
        last = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
        x = x + F.linear((last @ v).transpose(1, 2).flatten(2), own["proj.weight"])
        y = rms(x, own["norm2.weight"])
        gated = F.silu(F.linear(y, own["mlp.w1.weight"])) * F.linear(y, own["mlp.w2.weight"])
        x = x + F.linear(gated, own["mlp.w3.weight"])
    latent = F.linear(x, weights["to_latent.weight"], weights["to_latent.bias"])
    pooled = F.gelu(F.linear(semantic.mean(1), weights["semantic_projector.0.weight"]))
    return {
        "hidden": x,
        "semantic": semantic,
        "latent": latent.transpose(1, 2).unflatten(2, (rows // 2, columns // 2)),
        "embedding": F.linear(pooled, weights["semantic_projector.2.weight"]),
        "last": last,
    }


def released_images(weights: dict[str, Tensor], latent: Tensor, size: tuple[int, int]) -> Tensor:
    """What the release decodes, moved from [-1, 1] to [0, 1]."""
    decoder = small_autoencoder().decoder
    decoder.load_state_dict(under("decoder.", weights))
    decoded = F.interpolate(decoder(latent), size, mode="bilinear", align_corners=False)
    return decoded / 2 + 0.5
