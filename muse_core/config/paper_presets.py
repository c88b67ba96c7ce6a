"""The paper's two sizes, with the pretrained parts it names, and a small one of public parts;
nothing here has been run to its end in this workspace.

Steps and learning rates are the paper's. What its text leaves open (loss weights, images a step,
warm-up, the cosine's end) follows the authors' released configurations, and L_rec counts x0.1
before stage 3, as in the paper's figure. Ours is the latent's semantic band, 16 channels beside the
decoder's 32 (`MuseTokenizer`)."""

from dataclasses import replace
from types import MappingProxyType

from muse_core.config.preset import (
    ConnectorOfDrawing,
    ConnectorShape,
    FoundationLocations,
    Preset,
)
from muse_core.config.stage import (
    PIXEL_LOSSES,
    Curriculum,
    DrawingStage,
    GenerationStage,
    LanguageStage,
    Loss,
    by_loss,
    three_stages,
)

SHIFT = 3.0
"""Of the times of flow matching (SANA)."""
QUERY_GRID = 16
"""N = 256 learnable queries: one for each token of a 448-pixel image. They are resized to 8 x 8 for
training at 224.
"""

AUTOENCODER = "mit-han-lab/dc-ae-f32c32-sana-1.1-diffusers"
TEXT_TOWER = "laion/CLIP-ViT-L-14-laion2B-s32B-b82K"
LANGUAGE_MODEL = "OpenGVLab/InternVL3-1B-hf"


def muse_1b() -> Preset:
    """``muse run 01 02 03 --run mine -p preset muse-1b -p data captions:PATH/TO/pairs``

    InternVL3-1B's vision tower, DINOv3 ViT-L/16 as teacher, SANA-0.6B as generator. Hardware: GPUs
    with 80 GB and bf16; the images of a step are those of one GPU (the authors used eight).
    Estimated from 2.1 to 2.4 TFLOP an image, not measured: 6 + 6 + 5 hours on H100s. Expected, from
    the paper's Table 1 after 36 M image-text pairs (not reproduced here): rFID 0.62, gFID 3.08,
    PSNR 24.9 dB, zero-shot 76.1 %, linear probe 85.2 %, mIoU 46.5."""
    return Preset(
        name="muse-1b",
        image_size=224,
        foundations=FoundationLocations(
            backbone="OpenGVLab/InternVL3-1B-hf",
            autoencoder=AUTOENCODER,
            teacher="facebook/dinov3-vitl16-pretrain-lvd1689m",
            text_tower=TEXT_TOWER,
        ),
        connector=ConnectorShape(
            unshuffle=2, width=512, num_heads=8, query_grid=QUERY_GRID, semantic_channels=16
        ),
        curriculum=_curriculum(),
        gpu_memory=80.0,
        loader_workers=8,
        record_every=10,
        held_out_images=5000,
        generation=_generation("sana-0.6b"),
        language=_language(),
        drawing=_drawing(),
        drawing_connector=ConnectorOfDrawing(queries=256, layers=6),
        language_model=LANGUAGE_MODEL,
        generated_images=5000,
        probe_images=50_000,
        segmentation_steps=40_000,
    )


def muse_3b() -> Preset:
    """``muse run 01 02 03 --run mine -p preset muse-3b -p data captions:PATH/TO/pairs``

    InternVL3-2B's vision tower, DINOv3 ViT-H+/16 as teacher, SANA-1.6B as generator; 75,000 steps
    in stages 1 and 2 as in the authors' configuration (the paper says 50,000). Hardware as for
    `muse_1b`. Estimated from 2.8 to 3.1 TFLOP an image, not measured: 11 + 11 + 6 hours on H100s.
    Expected: the paper prints no numbers of this size's tokenizer."""
    small = muse_1b()
    warmup, semantic, tuning = small.curriculum
    longer = [replace(stage, steps=75_000, warmup_share=5 / 75) for stage in (warmup, semantic)]
    return replace(
        small,
        name="muse-3b",
        foundations=replace(
            small.foundations,
            backbone="OpenGVLab/InternVL3-2B-hf",
            teacher="facebook/dinov3-vith16plus-pretrain-lvd1689m",
        ),
        connector=replace(
            small.connector, num_heads=4
        ),  # the teacher's 20 heads do not divide into 8
        curriculum=Curriculum((*longer, tuning)),
        generation=_generation("sana-1.6b"),
        language_model="OpenGVLab/InternVL3-2B-hf",
    )


def muse_release() -> Preset:
    """``muse import-release FOLDER``, then ``muse run 04 05 --run release -p preset muse-release``

    `muse_1b` in the form and with the routing of the authors' released code, for the checkpoint
    that they published; it trains as well. Their teacher, ViT-H+, has 20 heads, which do not divide
    into the student's eight: ours is `muse_1b`'s."""
    paper = muse_1b()
    return replace(
        paper,
        name="muse-release",
        routing="release",
        connector=replace(paper.connector, form="release", query_grid=None, semantic_channels=0),
    )


def muse_small() -> Preset:
    """``muse run 01 02 03 --run mine -p preset muse-small -p data captions:PATH/TO/pairs``

    For one consumer GPU with 16 GB, of parts that nobody has to ask for: SigLIP2-B/16 as backbone,
    DINOv2-S with registers as teacher, the paper's DC-AE, whose f32 is exactly two patches of 16 on
    256 pixels, CLIP-B's text tower. The paper's losses and rates; pixels are decoded and judged on
    a share of each step's images, because the decoder is most of the cost and of the memory.
    Estimated from 0.26 to 0.55 TFLOP an image, not measured: 3 + 3 + 6 hours at 24 TFLOP/s (40 % of
    60, such as an RTX 4070 has in bf16). Expected: unknown, nobody has trained it."""
    paper = muse_1b()
    warmup, semantic, tuning = paper.curriculum
    eighth = dict.fromkeys((Loss.RECONSTRUCTION, Loss.PERCEPTUAL), 1 / 8)
    quarter = dict.fromkeys(PIXEL_LOSSES, 1 / 4)
    early = dict(steps=30_000, batch_size=32, shares=MappingProxyType(eighth))
    late = dict(steps=60_000, batch_size=16, shares=MappingProxyType(quarter))
    return replace(
        paper,
        name="muse-small",
        gpu_memory=16.0,
        image_size=256,
        foundations=FoundationLocations(
            backbone="google/siglip2-base-patch16-256",
            autoencoder=AUTOENCODER,
            teacher="timm:vit_small_patch14_reg4_dinov2.lvd142m",
            text_tower="laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
            teacher_image_size=224,
        ),
        # The teacher has six heads.
        connector=replace(paper.connector, width=384, num_heads=6, query_grid=8),
        curriculum=Curriculum(
            (replace(warmup, **early), replace(semantic, **early), replace(tuning, **late))
        ),
        loader_workers=4,
        generation=replace(
            paper.generation, denoiser="sana-small", images=200_000, steps=100_000, batch_size=64
        ),
    )


def _curriculum() -> Curriculum:
    warmup = dict(
        weights=by_loss(topology=2.0, reconstruction=0.1, perceptual=0.1),
        learning_rate=4e-4,
        steps=50_000,
        batch_size=48,
        warmup_share=0.04,
        final_rate=0.025,
        checkpoint_every=2500,
    )
    semantic = dict(
        weights=by_loss(topology=5.0, anchor=0.2, reconstruction=0.1, perceptual=0.1),
        learning_rate=2e-4,
        warmup_share=0.1,
        final_rate=0.05,
    )
    tuning = dict(
        weights=by_loss(
            topology=0.2, anchor=0.1, reconstruction=1.0, perceptual=2.0, adversarial=0.5
        ),
        learning_rate=1e-5,
        batch_size=32,
        warmup_share=0.02,
        final_rate=0.1,
        backbone_rate=0.5,
        discriminator_rate=2.0,
    )
    return three_stages(warmup, semantic, tuning)


def _language() -> LanguageStage:
    """A 224-pixel image as 64 words; InternVL3's 256 of a 448-pixel one are image_size=448 and
    10.stage.image_side=16. The schedule is ours, with the rate at which LLaVA trains a projector
    alone.
    """
    return LanguageStage(
        name="10_unified",
        images=500_000,
        image_side=8,
        learning_rate=1e-3,
        steps=20_000,
        batch_size=128,
        warmup_share=0.03,
        ema_decay=0.999,
        weight_decay=0.0,
        checkpoint_every=2500,
    )


def _drawing() -> tuple[DrawingStage, ...]:
    """UniLIP's three stages, which MUSE inherits (there the connector reads the image; here it
    stands beside the latent, measured on `tiny` only, see `muse_core.unified.drawer`): rate, decay,
    warm-up and dropout are its own, the numbers of steps ours, and the shift of times SANA's, as in
    08, whose denoiser they begin with. The scenes of the training split are a hundred thousand.
    """
    alone = DrawingStage(
        name="10a_connector",
        images=100_000,
        shift=SHIFT,
        trains_denoiser=False,
        learning_rate=1e-4,
        final_rate=0.1,
        steps=100_000,
        batch_size=256,
        warmup_share=0.003,
        weight_decay=0.0,
        ema_decay=0.9999,
        checkpoint_every=5000,
    )
    drawing = replace(alone, name="10b_drawing", trains_denoiser=True)
    return alone, drawing, replace(drawing, name="10c_editing", edit_share=0.6, steps=20_000)


def _generation(denoiser: str) -> GenerationStage:
    """SANA's size and shift of times; its schedule is ours, as the paper's text gives none.

    Estimated from six operations a parameter and token, not measured: 7 hours on one H100 for 0.6B,
    18 for 1.6B."""
    return GenerationStage(
        name="08_generation",
        denoiser=denoiser,
        images=1_000_000,
        shift=SHIFT,
        learning_rate=1e-4,
        steps=200_000,
        batch_size=128,
        warmup_share=0.01,
        ema_decay=0.9999,
        checkpoint_every=5000,
    )
