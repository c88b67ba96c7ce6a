"""The language model: a causal transformer with its tokenizer, from a folder of its own or out of
an InternVL3 checkpoint in either published layout.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from muse_core.errors import MuseError, shown
from muse_core.foundations.loading import fill, load_complete, reading
from muse_core.foundations.parts import Part, open_part, read_config, weight_files

LANGUAGE_MODEL = Part(
    "language model",
    "language_model",
    ("qwen2", "internvl", "internvl_chat"),
    "a Qwen2, or an InternVL3 with its language model",
)
IMAGE_START, IMAGE_END, IMAGE_TOKEN = "<img>", "</img>", "<IMG_CONTEXT>"
TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"
"""As in InternVL3's vocabulary."""
SPECIALS = (IMAGE_START, IMAGE_END, IMAGE_TOKEN, TURN_START, TURN_END)
PREFIXES = {
    "internvl": r"(model\.)?language_model\.|(?=lm_head\.)",
    "internvl_chat": r"language_model\.",
}
"""``model_type`` of a checkpoint -> pattern of what stands before its language model's weights."""
SIZES = ("hidden_size", "num_hidden_layers", "vocab_size", "intermediate_size")
"""What transformers would fill with the sizes of a model of seven billion weights."""
CONFIGS = {"internvl": "text_config", "internvl_chat": "llm_config"}


class LanguageModel(nn.Module):
    """A causal language model. ``tokenizer``: text to ids and back; `SPECIALS` are among its
    words.
    """

    def __init__(self, network: Any, tokenizer: PreTrainedTokenizerBase) -> None:
        """Raises MuseError for a tokenizer that lacks a special word."""
        super().__init__()
        self.network, self.tokenizer = network, tokenizer
        known = tokenizer.get_vocab()
        if lacking := [word for word in SPECIALS if word not in known]:
            raise MuseError(
                f"The language model's tokenizer lacks {', '.join(lacking)}: give that of an "
                "InternVL3, or one of ours."
            )
        words = network.get_input_embeddings().num_embeddings
        if (highest := max(known.values())) >= words:
            raise MuseError(
                f"The tokenizer has the id {highest:,}, and the language model embeds {words:,} "
                "words: take both from the same folder."
            )

    @classmethod
    def from_pretrained(cls, location: str | Path) -> "LanguageModel":
        """From a folder or hub id.

        Raises:
            MuseError: It is missing or damaged, or holds no language model.
        """
        folder = open_part(LANGUAGE_MODEL, location)
        config = read_config(LANGUAGE_MODEL, folder)
        tokenizer = _tokenizer(folder)
        if config["model_type"] in PREFIXES:
            return cls(_of_internvl(folder, config), tokenizer)
        network, _ = load_complete(
            AutoModelForCausalLM.from_pretrained,
            LANGUAGE_MODEL.name,
            str(folder),
            dtype=torch.float32,
            trust_remote_code=False,
        )
        return cls(network, tokenizer)

    def save_pretrained(self, folder: str | Path) -> None:
        self.network.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    @property
    def width(self) -> int:
        """Channels of a word's embedding."""
        return self.network.config.hidden_size

    @property
    def context(self) -> int:
        """The most tokens it reads."""
        return self.network.config.max_position_embeddings

    def embed(self, ids: Tensor) -> Tensor:
        """(batch, tokens) -> (batch, tokens, width)."""
        return self.network.get_input_embeddings()(ids)

    def ids(self, text: str) -> list[int]:
        """A text's tokens; special words count as one each."""
        return self.tokenizer(text, add_special_tokens=False).input_ids

    def id_of(self, word: str) -> int:
        """Of one word of the vocabulary."""
        return self.tokenizer.get_vocab()[word]

    def unknown_words(self, text: str) -> list[str]:
        """Words that its vocabulary does not have; none where any text can be spelt."""
        unk = self.tokenizer.unk_token_id
        words = dict.fromkeys(text.split())
        return [word for word in words if unk is not None and unk in self.ids(word)]

    def spelled(self, text: str) -> str:
        """In small letters, with blanks before marks, and without a full stop, where the vocabulary
        is of whole words and that makes more of them known.
        """
        easier = re.sub(r"\s*([?,:.])", r" \1", text).lower().strip()
        ways = text, easier, easier.removesuffix(" .")
        return min(ways, key=lambda way: len(self.unknown_words(way)))

    def check_words(self, text: str) -> None:
        """Raises MuseError for words that it does not know, and for those that steer it."""
        if special := [word for word in SPECIALS if word in text]:
            raise MuseError(
                f"{shown(special[0])} is a word that steers the language model: leave it out."
            )
        if unknown := self.unknown_words(text):
            raise MuseError(
                f"The language model does not know {', '.join(map(shown, unknown))}: it knows the "
                "words of drawn scenes alone; ask with those."
            )


def _tokenizer(folder: Path) -> Any:
    """As its file says where there is one: transformers would make a Qwen2 tokenizer of any other
    kind that lies beside a Qwen2.
    """
    whole = (folder / "tokenizer.json").is_file()
    if not whole and not (folder / "vocab.json").is_file():
        raise MuseError(
            f"The language model {folder} holds no tokenizer.json and no vocab.json: copy it whole."
        )
    kind: Any = PreTrainedTokenizerFast if whole else AutoTokenizer
    with reading("tokenizer of the language model", str(folder)):
        return kind.from_pretrained(folder, trust_remote_code=False)


def _of_internvl(folder: Path, config: dict[str, Any]) -> Any:
    """The language model of a whole InternVL3, without its vision tower."""
    kind = config["model_type"]
    described = config.get(CONFIGS[kind])
    if not isinstance(described, dict):
        raise MuseError(
            f"The InternVL checkpoint {folder} describes no language model: give a whole one."
        )
    if lacking := [key for key in SIZES if key not in described]:
        raise MuseError(
            f"The InternVL checkpoint {folder} does not say its language model's {lacking[0]}: "
            "copy its config.json again."
        )
    with reading(LANGUAGE_MODEL.name, str(folder)):
        ignored = ("auto_map", "attn_implementation", "_attn_implementation")
        own = {key: value for key, value in described.items() if key not in ignored}
        wanted = AutoConfig.for_model(**{"model_type": "qwen2", **own})
        network = AutoModelForCausalLM.from_config(wanted, dtype=torch.float32)
    weights: dict[str, Tensor] = {}
    for file in weight_files(LANGUAGE_MODEL, folder):
        with reading(LANGUAGE_MODEL.name, str(file)), safe_open(file, framework="pt") as opened:
            names: Sequence[str] = list(opened.keys())
            for name in names:
                if found := re.match(PREFIXES[kind], name):
                    weights[_own_name(name[found.end() :])] = opened.get_tensor(name).float()
    if not weights:
        raise MuseError(
            f"The InternVL checkpoint {folder} holds no weights of a language model: give a whole "
            "one."
        )
    if network.config.tie_word_embeddings and "model.embed_tokens.weight" in weights:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    fill(LANGUAGE_MODEL.name, str(folder), network, weights)
    return network


def _own_name(name: str) -> str:
    """A weight's name in a model of its own: transformers' newer layout leaves ``model.`` out."""
    return name if name.startswith(("model.", "lm_head.")) else f"model.{name}"
