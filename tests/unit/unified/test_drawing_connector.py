"""The connector begins as the language model's last layers, sees both ways, and never padding."""

import pytest
import torch

from muse_core.data.scenes import COLOURS
from muse_core.data.shape_templates import SHAPES
from muse_core.errors import MuseError
from muse_core.unified.drawer import understood
from muse_core.unified.drawing_connector import DrawingConnector

from .small_language import small_language_model


@pytest.fixture
def connector() -> DrawingConnector:
    torch.manual_seed(0)
    return DrawingConnector.of(small_language_model(), 4, 2, 24).eval()


def test_it_begins_as_the_last_layers_of_the_language_model() -> None:
    torch.manual_seed(0)
    model = small_language_model()
    one = DrawingConnector.of(model, 4, 1, 24)
    given, own = model.network.model.layers[-1].state_dict(), one.layers[0].state_dict()
    assert all(torch.equal(value, own[name]) for name, value in given.items())
    assert torch.equal(one.norm.weight, model.network.model.norm.weight)
    # A copy: training it moves nothing of the language model.
    one.layers[0].mlp.up_proj.weight.data.zero_()
    assert model.network.model.layers[-1].mlp.up_proj.weight.any()
    assert one.queries.std().item() == pytest.approx(
        model.network.get_input_embeddings().weight.std().item(), rel=0.3
    )


def test_the_first_query_sees_the_last_and_the_text(connector) -> None:
    hidden, mask = torch.randn(1, 9, 32), torch.ones(1, 9, dtype=torch.bool)
    before = connector(hidden, mask)
    assert before.shape == (1, 4, 24)
    for place in (0, -2):
        moved = hidden.clone()
        moved[:, place] += 1
        assert not torch.allclose(before[:, 0], connector(moved, mask)[:, 0])


def test_what_comes_out_stands_at_the_queries_places(connector) -> None:
    hidden, mask = torch.randn(1, 9, 32), torch.ones(1, 9, dtype=torch.bool)
    connector.layers = torch.nn.ModuleList()
    wanted = connector.to_denoiser(connector.norm(hidden)[:, 4:8] - connector.common)
    assert torch.equal(connector(hidden, mask), wanted)


def test_padding_is_never_seen(connector) -> None:
    hidden = torch.randn(2, 12, 32)
    mask = torch.tensor([[False, False, *[True] * 10], [True] * 12])
    found = connector(hidden, mask)
    alone = connector(hidden[:1, 2:], mask[:1, 2:])
    torch.testing.assert_close(found[0], alone[0])
    assert torch.isfinite(found).all()


def test_it_is_saved_and_opened(connector, tmp_path) -> None:
    connector.save_pretrained(tmp_path / "c")
    opened = DrawingConnector.from_pretrained(tmp_path / "c").eval()
    hidden, mask = torch.randn(1, 9, 32), torch.ones(1, 9, dtype=torch.bool)
    assert torch.equal(opened(hidden, mask), connector(hidden, mask))
    assert torch.equal(opened.queries, connector.queries)


def test_more_layers_than_there_are_is_a_sentence() -> None:
    with pytest.raises(MuseError, match="is to have 3 layers, and the language model has 2"):
        DrawingConnector.of(small_language_model(), 4, 3, 24)


def test_calibrated_it_says_what_tells_prompts_apart() -> None:
    torch.manual_seed(0)
    model = small_language_model().requires_grad_(False)
    connector = DrawingConnector.of(model, 3, 1, 24)
    said = [f"a {colour} {shape}" for colour in COLOURS for shape in SHAPES]

    def apart() -> float:
        given = understood(model, connector.queries, said)
        states = connector(given.hidden, given.mask)
        return ((states - states.mean(0)).square().mean() / states.square().mean()).item()

    before = apart()
    given = understood(model, connector.queries, said)
    connector.calibrate([(given.hidden, given.mask)])
    states = connector(given.hidden, given.mask)
    assert before < 0.5 < 0.99 < apart()
    assert states.square().mean().item() == pytest.approx(1, abs=0.5)
    assert states.mean(0).abs().max() < 1e-4


@pytest.mark.parametrize("width", [24, 100])
def test_calibrated_its_channels_are_of_one_size(width: int) -> None:
    torch.manual_seed(0)
    model = small_language_model().requires_grad_(False)
    connector = DrawingConnector.of(model, 3, 1, width)
    words = [f"a {c} {s}" for c in COLOURS for s in SHAPES]
    given = understood(model, connector.queries, words)
    connector.calibrate([(given.hidden, given.mask)])
    states = connector(given.hidden, given.mask)
    assert states.shape[-1] == width and states.isfinite().all()
    assert 0.3 < states.square().mean() < 3
