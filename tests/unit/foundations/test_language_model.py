"""A language model from a folder of its own, and out of an InternVL3 checkpoint in both layouts."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import InternVLConfig, InternVLForConditionalGeneration, Qwen2Config

from muse_core.errors import MuseError
from muse_core.foundations.language_model import SPECIALS, LanguageModel
from tests.unit.unified.small_language import small_language_model

VISION = dict(
    hidden_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=32,
    image_size=[16, 16],
    patch_size=[8, 8],
    attention_bias=True,
)


@pytest.fixture
def model() -> LanguageModel:
    return small_language_model()


def internvl(model: LanguageModel, folder: Path, tied: bool = True) -> Path:
    """A whole InternVL with this language model, as transformers saves it."""
    text = model.network.config.to_dict() | {"tie_word_embeddings": tied}
    config = InternVLConfig(vision_config=VISION, text_config=Qwen2Config(**text))
    config.tie_word_embeddings = tied
    whole = InternVLForConditionalGeneration(config)
    whole.model.language_model.load_state_dict(model.network.model.state_dict())
    whole.lm_head.load_state_dict(model.network.lm_head.state_dict())
    whole.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return folder


def original(model: LanguageModel, folder: Path) -> Path:
    """The same in the layout that came with code."""
    folder.mkdir()
    weights = {f"language_model.{k}": v for k, v in model.network.state_dict().items()}
    weights.pop("language_model.lm_head.weight")
    weights = {name: value.clone() for name, value in weights.items()}
    save_file(weights | {"vision_model.x": torch.zeros(1)}, folder / "model.safetensors")
    llm = model.network.config.to_dict() | {"auto_map": {"AutoModel": "evil.Evil"}}
    said = {"model_type": "internvl_chat", "llm_config": llm, "vision_config": VISION}
    (folder / "config.json").write_text(json.dumps(said))
    model.tokenizer.save_pretrained(folder)
    return folder


def same(first: LanguageModel, second: LanguageModel) -> bool:
    ids = torch.arange(12)[None]
    with torch.no_grad():
        return torch.equal(first.network(ids).logits, second.network.eval()(ids).logits)


def test_saved_and_opened_it_says_the_same(model, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "own")
    opened = LanguageModel.from_pretrained(tmp_path / "own")
    assert same(model, opened) and (opened.width, opened.context) == (32, 128)
    assert opened.ids("what shape") == model.ids("what shape")


@pytest.mark.parametrize("layout", [internvl, original])
def test_it_comes_out_of_both_layouts_of_internvl(model, tmp_path: Path, layout) -> None:
    opened = LanguageModel.from_pretrained(layout(model, tmp_path / "whole"))
    assert same(model, opened)
    assert all(len(opened.ids(word)) == 1 for word in SPECIALS)
    assert opened.ids("what shape is the star ?") == model.ids("what shape is the star ?")


def test_an_internvl_without_its_language_model_is_a_sentence(model, tmp_path: Path) -> None:
    folder = original(model, tmp_path / "half")
    weights = load_file(folder / "model.safetensors")
    save_file({"vision_model.x": weights["vision_model.x"]}, folder / "model.safetensors")
    with pytest.raises(MuseError, match="holds no weights of a language model"):
        LanguageModel.from_pretrained(folder)
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(said | {"llm_config": None}))
    with pytest.raises(MuseError, match="describes no language model"):
        LanguageModel.from_pretrained(folder)


def test_a_weight_that_is_missing_is_named(model, tmp_path: Path) -> None:
    folder = original(model, tmp_path / "holes")
    weights = load_file(folder / "model.safetensors")
    weights.pop("language_model.model.norm.weight")
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(MuseError, match="lacks 1 weights"):
        LanguageModel.from_pretrained(folder)


def test_a_vocabulary_without_places_for_images_is_refused(model) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    from scripts.tiny_foundations.language_model import PAD, UNKNOWN

    bare = Tokenizer(models.WordLevel({PAD: 0, UNKNOWN: 1}, unk_token=UNKNOWN))
    with pytest.raises(MuseError, match="lacks <img>, </img>"):
        LanguageModel(model.network, PreTrainedTokenizerFast(tokenizer_object=bare))


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(MuseError, match="holds 'bert', not a Qwen2"):
        LanguageModel.from_pretrained(tmp_path)
