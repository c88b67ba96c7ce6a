"""The pipeline has diffusers' conventions: repeatable by generator, whole in one folder, plain
sentences for bad requests.
"""

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler

from muse_core.errors import MuseError
from muse_core.generation.pipeline import MusePipeline, require_same_tokenizer

from .small_generators import small_pipeline


@pytest.fixture(scope="module")
def pipeline() -> MusePipeline:
    return small_pipeline()


def drawn(pipeline: MusePipeline, seed: int, prompt: str = "a red star", **options) -> np.ndarray:
    generator = torch.Generator().manual_seed(seed)
    return pipeline(
        prompt, num_inference_steps=3, generator=generator, output_type="np", **options
    ).images


def test_the_same_seed_draws_the_same_image_and_another_does_not(pipeline) -> None:
    first = drawn(pipeline, 1)
    assert first.shape[0] == 1 and first.min() >= 0 and first.max() <= 1
    assert np.array_equal(first, drawn(pipeline, 1)) and not np.array_equal(
        first, drawn(pipeline, 2)
    )


def test_it_comes_back_whole_from_a_folder(pipeline, tmp_path) -> None:
    pipeline.save_pretrained(tmp_path)
    loaded = MusePipeline.from_pretrained(tmp_path)
    loaded.set_progress_bar_config(disable=True)
    assert (
        np.array_equal(drawn(loaded, 5), drawn(pipeline, 5))
        and loaded.config.known_words == pipeline.config.known_words
    )


def test_parts_that_do_not_belong_together_are_refused(pipeline, tmp_path) -> None:
    pipeline.save_pretrained(tmp_path)
    other = small_pipeline().vae
    with torch.no_grad():
        next(other.parameters()).add_(1)
    other.save_pretrained(tmp_path / "vae")
    with pytest.raises(MuseError, match="latent statistics were measured on tokenizer"):
        MusePipeline.from_pretrained(tmp_path)
    with pytest.raises(MuseError, match=r"this run's tokenizer is now .*: run notebook 08 again"):
        require_same_tokenizer(pipeline, other, "run notebook 08 again")
    with pytest.raises(MuseError, match="holds no model_index"):
        MusePipeline.from_pretrained(tmp_path / "vae")


def test_guidance_one_asks_the_prompt_alone_and_guidance_changes_the_image(pipeline) -> None:
    velocities = []
    pipeline.transformer.register_forward_hook(
        lambda module, inputs, output: velocities.append(len(output.sample))
    )
    plain, guided = drawn(pipeline, 1, guidance_scale=1.0), drawn(pipeline, 1, guidance_scale=4.0)
    assert velocities == [1, 1, 1, 2, 2, 2] and not np.array_equal(plain, guided)
    pipeline.transformer._forward_hooks.clear()


def test_guidance_goes_on_from_the_empty_prompt_through_the_prompt(pipeline) -> None:
    latents, time = torch.randn(1, *pipeline.latent_shape), torch.tensor(500.0)

    def found(prompt: str, guidance: float) -> torch.Tensor:
        prompts = pipeline.prompts([prompt], guidance)
        return pipeline.guided_velocity(latents, time, prompts, guidance)

    empty, prompted = found("", 1.0), found("a red star", 1.0)
    assert not torch.allclose(empty, prompted, atol=1e-3)
    expected = empty + 3 * (prompted - empty)
    torch.testing.assert_close(found("a red star", 3.0), expected, atol=1e-4, rtol=1e-4)


def test_another_denoiser_draws_other_images_and_leaves_the_pipeline_as_it_was(pipeline) -> None:
    other = small_pipeline().transformer
    with torch.no_grad():
        for weight in other.parameters():
            weight.mul_(1.5)
    before = drawn(pipeline, 1)
    then = pipeline.with_denoiser(other)
    assert then.config.known_words == pipeline.config.known_words
    assert not np.array_equal(drawn(then, 1), before)
    assert np.array_equal(drawn(pipeline, 1), before)


def test_several_prompts_and_images_a_prompt(pipeline) -> None:
    images = drawn(pipeline, 1, ["a red star", "a blue circle"], num_images_per_prompt=2)
    assert len(images) == 4


def test_other_flow_schedulers_work(pipeline) -> None:
    other = MusePipeline(
        **{
            **pipeline.components,
            "scheduler": DPMSolverMultistepScheduler(
                use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=1.0
            ),
        }
    )
    other.set_progress_bar_config(disable=True)
    assert np.isfinite(drawn(other, 1)).all()


@pytest.mark.parametrize(
    ("prompt", "options", "sentence"),
    [
        ("a red dog", {}, "never saw 'dog'"),
        ("a red star", {"guidance_scale": -1.0}, "guidance_scale must be 0 or more"),
        ("a red star", {"num_inference_steps": 0}, "num_inference_steps must be at least 1"),
        ([], {}, "nothing to draw"),
        ("a red star", {"num_images_per_prompt": 0}, "nothing to draw"),
    ],
)
def test_a_bad_request_is_a_sentence(pipeline, prompt, options, sentence) -> None:
    with pytest.raises(MuseError, match=sentence):
        pipeline(prompt, **options)


def test_a_prompt_that_is_too_long_is_cut_with_a_note(pipeline, caplog) -> None:
    drawn(pipeline, 1, " and ".join(["a red star"] * 12))
    assert [record.message for record in caplog.records if "its end is left out" in record.message]
    caplog.clear()
    drawn(pipeline, 1)
    assert not caplog.records
