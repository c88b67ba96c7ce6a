"""A language model of a few thousand random weights that knows the words of drawn scenes."""

from transformers import Qwen2Config, Qwen2ForCausalLM

from muse_core.data.scene_questions import NUMBERS, SIZES, TURNS
from muse_core.data.scenes import COLOURS, RELATIONS, TEXTURES
from muse_core.data.shape_templates import SHAPES
from muse_core.foundations.language_model import SPECIALS, TURN_END, LanguageModel
from scripts.tiny_foundations.language_model import PAD, UNKNOWN, word_tokenizer

ASKING = (
    "what shape is the object ? colour texture has how many objects are there where seen from , "
    "large or small a an turned user assistant yes no top bottom middle left right"
)


def words() -> list[str]:
    known = set(ASKING.split())
    for group in (SHAPES, COLOURS, TEXTURES, RELATIONS, TURNS, SIZES, NUMBERS):
        known |= {word for each in group for word in each.split()}
    return [PAD, UNKNOWN, *SPECIALS, *sorted(known)]


def small_language_model(width: int = 32, context: int = 128) -> LanguageModel:
    tokenizer = word_tokenizer(words())
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.get_vocab()[TURN_END],
        pad_token_id=0,
        bos_token_id=None,
    )
    return LanguageModel(Qwen2ForCausalLM(config), tokenizer).eval()
