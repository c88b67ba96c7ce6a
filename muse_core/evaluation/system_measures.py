"""What a system of Table 1 costs and how it uses its codes; what it is worth is in `measures`."""

import time

import torch

from muse_core.baselines.quantisers import codebook_use
from muse_core.baselines.visual_tokenizer import VisualTokenizer
from muse_core.data.loader import evaluation_batches
from muse_core.errors import MuseError
from muse_core.evaluation.feature_extractors import LATENT, eval_mode
from muse_core.evaluation.measures import Bench, Measure
from muse_core.generation.codecs import Codec
from muse_core.results.measurements import Measurement

HALF = 16
"""Bits of a number of a continuous latent, kept as a half."""
TIMED, ROUNDS = 32, 3


def _size(bench: Bench) -> dict[str, Measurement]:
    network = bench.extractor.network
    apart = network.training_only if isinstance(network, VisualTokenizer) else ()
    kept = (w.numel() for name, w in network.named_parameters() if not name.startswith(apart))
    words = "weights that encoding and decoding read"
    return {"parameters": Measurement(float(sum(kept)), 1, words)}


def _bits(bench: Bench) -> dict[str, Measurement]:
    network, images = bench.extractor.network, bench.protocol.test.first(2).images
    with eval_mode(network):
        features = bench.extractor.features(images.to(bench.extractor.device), pixels=False)
        if LATENT not in features.tokens:
            raise MuseError("this network has no latent")
        if codes := _codebooks(network):
            each = codes[1]
            found = network.encode(images.to(bench.extractor.device)).codes
            bits = found[0].numel() * torch.tensor(each).log2().item()
            words = f"{found[0].numel()} codes of {each:,}"
        else:
            numbers = features.tokens[LATENT][0].numel()
            bits, words = float(HALF * numbers), f"{numbers:,} numbers, kept as halves"
    return {"bits_an_image": Measurement(bits, 1, words)}


def _codes(bench: Bench) -> dict[str, Measurement]:
    network = bench.extractor.network
    if not (known := _codebooks(network)):
        raise MuseError("this network's latent is continuous")
    found, device = [], bench.extractor.device
    with eval_mode(network):
        for batch in evaluation_batches(bench.protocol.test, 50, bench.protocol.n_test):
            found.append(network.encode(batch.images.to(device)).codes.cpu())
    codes = torch.cat(found)
    use = codebook_use(codes, known[1])
    words = f"{use.tokens:,} tokens of {len(codes):,} images, {known[0]} codebooks of {known[1]:,}"
    return {
        "codes_used": Measurement(use.used, len(codes), words, details={"note": use.warning}),
        "perplexity": Measurement(use.perplexity, len(codes), words),
    }


def _codebooks(network: object) -> tuple[int, int] | None:
    """(how many, codes of each) of a discrete system, else None."""
    return network.codebooks if isinstance(network, VisualTokenizer) else None


def _seconds(bench: Bench) -> dict[str, Measurement]:
    if not bench.extractor.has_latent:
        raise MuseError("this network makes no pixels of a latent")
    images = bench.protocol.test.first(TIMED).images.to(bench.extractor.device)
    codec, took = Codec(bench.extractor.network), []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        codec.decode(codec.encode(images))
        if images.is_cuda:
            torch.cuda.synchronize()
        took.append(time.perf_counter() - began)
    words = f"encode and decode, {len(images)} at once, best of {ROUNDS}"
    return {"seconds_an_image": Measurement(min(took) / len(images), len(images), words)}


SYSTEM_MEASURES: tuple[Measure, ...] = (
    (("parameters",), _size),
    (("bits_an_image",), _bits),
    (("codes_used", "perplexity"), _codes),
    (("seconds_an_image",), _seconds),
)
"""`evaluate` takes them beside `MEASURES`."""
