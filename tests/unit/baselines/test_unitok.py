"""UniTok: averaged heads, sub-codebooks, and an embedding of what was quantised."""

import torch
from torch import nn

from muse_core.baselines.unitok import CODES, AttentionProjection, UniTok
from muse_core.baselines.visual_tokenizer import to_tokens

from .small_world import SmallWorld, images


def unitok(world: SmallWorld) -> UniTok:
    network = world.new("unitok")
    assert isinstance(network, UniTok)
    return network


def test_the_attention_projection_averages_its_heads() -> None:
    project, tokens = AttentionProjection(12, 5, heads=3), torch.randn(2, 4, 12)
    assert project(tokens).shape == (2, 4, 5)
    normed = project.norm(tokens)
    query, key = project.query_key(normed).chunk(2, -1)
    value, attended = project.value(normed), torch.zeros(2, 4, 5)
    for image in range(2):
        for head in range(3):
            own, into = slice(4 * head, 4 * head + 4), slice(5 * head, 5 * head + 5)
            for place in range(4):
                scores = query[image, place, own] @ key[image, :, own].T / 4**0.5
                mix = torch.softmax(scores, 0) @ value[image, :, into]
                attended[image, place] += mix / 3
    found = project.linear(normed) + project.out(attended)
    torch.testing.assert_close(project(tokens), found + project.feedforward(found))


def test_a_token_is_eight_codes_of_unit_length(world: SmallWorld) -> None:
    network = unitok(world)
    encoded = network.encode(images())
    assert encoded.codes is not None and encoded.codes.shape == (3, 16, 8)
    assert encoded.codes.min() >= 0 and encoded.codes.max() < 256
    parts = encoded.tokens[CODES].unflatten(-1, (8, 8))
    torch.testing.assert_close(parts.norm(dim=-1), torch.ones(3, 16, 8))
    for book, part in enumerate(network.quantiser.codebooks):
        chosen = nn.functional.normalize(part, dim=-1)[encoded.codes[..., book]]
        torch.testing.assert_close(parts[..., book, :], chosen)
    assert len(encoded.codes.unique()) > 8


def test_embedding_and_pixels_read_what_was_quantised(world: SmallWorld) -> None:
    network = unitok(world)
    encoded = network.encode(images())
    wide = network.project_back(to_tokens(encoded.latent))
    assert encoded.embedding is not None
    torch.testing.assert_close(encoded.embedding, network.head(wide.mean(1)))
    expected = network.decoder(wide.transpose(1, 2).unflatten(2, (4, 4)))
    torch.testing.assert_close(network.decode(encoded.latent).sample, expected)
    with torch.no_grad():  # other codes, and nothing else that is read
        for book in network.quantiser.codebooks:
            book.copy_(book.roll(1, 0) * -1)
    assert not torch.equal(network.encode(images()).embedding, encoded.embedding)


def test_the_contrast_reaches_the_encoder_through_the_codes(world: SmallWorld) -> None:
    network = unitok(world)
    embedding = network.encode(images()).embedding
    network.contrast(embedding, torch.randn(3, 16)).backward()
    assert all(
        weight.grad is not None and weight.grad.isfinite().all()
        for part in (network.encoder, network.project, network.project_back, network.head)
        for name, weight in part.named_parameters()
    )
    assert all(book.grad is None for book in network.quantiser.parameters())
