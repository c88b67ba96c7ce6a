"""A whole row at a small size: every figure against its own reference, what is missing said in a
sentence, nothing changed.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.linalg import sqrtm
from sklearn.metrics import accuracy_score, recall_score, top_k_accuracy_score
from torch import nn
from torchmetrics.functional.classification import multiclass_jaccard_index

from muse_core.data.batch import Batch
from muse_core.data.scenes import Scenes
from muse_core.evaluation import evaluate as module
from muse_core.evaluation import intervals
from muse_core.evaluation.attention.student_teacher import student_query_keys, teacher_attention
from muse_core.evaluation.cache import Cache
from muse_core.evaluation.evaluate import Evaluated, evaluate
from muse_core.evaluation.feature_extractors import (
    HIDDEN,
    LATENT,
    PATCHES,
    SEMANTIC,
    TRUNK,
    BackboneExtractor,
)
from muse_core.evaluation.features import split_features
from muse_core.evaluation.measures import COLUMNS, MEASURES
from muse_core.evaluation.reconstruction.metric_networks import MetricNetworks
from muse_core.evaluation.understanding.segmentation import predict, segmentation_probe
from muse_core.foundations.backbone import Backbone
from muse_core.losses.topology import topology_loss
from muse_core.results.measurements import ANSWERS, COSTS, DRAWN, FOLLOWING, METRICS
from tests.integration.micro import BACKBONE

from .small_evaluations import (
    GRID,
    Changed,
    chance_on,
    small_extractor,
    small_protocol,
    small_teacher,
    without,
)

GENERATED = {"gfid", "gfd_judge", "precision", "recall", *FOLLOWING}
EVALUATED = set(METRICS) - {"gradient_cosine"} - GENERATED - {*COSTS, *ANSWERS, *DRAWN}
"""The others are measured while training, and of generated images."""

HERE = EVALUATED - {"rfid", "lpips"}
ATTENTION = {"attention_auc", "attention_iou", "attention_pointing"}


@pytest.fixture(scope="module", autouse=True)
def quick() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "RESAMPLES", 100)
        yield


@pytest.fixture(scope="module")
def protocol() -> module.Protocol:
    return small_protocol()


@pytest.fixture(scope="module")
def found(quick, protocol) -> Evaluated:
    return evaluate(small_extractor(), protocol)


@pytest.fixture(scope="module")
def batch(protocol) -> Batch:
    return protocol.test.first(protocol.n_test)


def both(change: Callable[[Batch], Batch], **sizes) -> module.Protocol:
    """The protocol with this change of its training and of its test data."""
    return small_protocol(train=Changed(change, "train"), test=Changed(change), **sizes)


def missing(found: Evaluated) -> dict[str, str]:
    """Metric -> the sentence that says why it is not there."""
    return {
        name: each.protocol for name, each in found.row.measurements.items() if each.value is None
    }


def value(found: Evaluated, metric: str) -> float:
    return found.row.measurements[metric].value


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Equal in every bit, NaN where the other is NaN."""
    return torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)


def test_a_measure_of_ones_own_is_a_row_of_its_own_in_the_cache(protocol, tmp_path) -> None:
    cache, called = Cache(tmp_path / "cache"), tmp_path / "called"

    def at(value: float) -> module.Measure:
        def measure(bench: module.Bench) -> dict[str, module.Measurement]:
            with called.open("a") as file:
                print(value, file=file)
            return {"mine": module.Measurement(value, 1, "told")}

        return ("mine",), measure

    pixels = MEASURES[:1]
    rows = [pixels, (*pixels, at(1.0)), (*pixels, at(1.0)), (*pixels, at(2.0))]
    found = [evaluate(small_extractor(), protocol, cache, measures).row for measures in rows]
    assert [row.value("mine") for row in found] == [None, 1.0, 1.0, 2.0]
    assert called.read_text() == "1.0\n2.0\n"
    assert all(row.value("psnr") == found[0].value("psnr") for row in found)


def test_every_metric_is_there_and_no_stand_in_takes_a_real_ones_name(found) -> None:
    assert found.row.measurements.keys() == HERE and not missing(found)
    for name, each in found.row.measurements.items():
        assert math.isfinite(each.value) and each.protocol, name
        assert (
            each.n == (8 if name.startswith("attention") else 20 if name.startswith("miou") else 40)
            or name in ATTENTION
        )
    assert (found.row.name, found.row.subject) == ("small", "TokenizerExtractor random")


def test_every_interval_holds_its_figure(found) -> None:
    for name, each in found.row.measurements.items():
        assert each.low <= each.value <= each.high, name


def test_figures_are_the_means_of_what_is_kept_for_comparisons(found) -> None:
    assert found.per_image.keys() == {
        name for name in HERE if not name.startswith(("fd_judge", "miou"))
    }
    for name, values in found.per_image.items():
        assert value(found, name) == pytest.approx(values.double().nanmean().item(), rel=1e-5), name


def test_psnr_is_numpys(found, batch) -> None:
    with torch.no_grad():
        fake = small_extractor().features(batch.images).reconstruction.clamp(0, 1)
    bytes_of = lambda images: np.rint(images.double().numpy() * 255) / 255
    errors = ((bytes_of(fake) - bytes_of(batch.images)) ** 2).mean((1, 2, 3))
    assert value(found, "psnr") == pytest.approx((-10 * np.log10(errors)).mean(), abs=1e-3)


def test_the_frechet_distance_is_the_matrix_roots(found, protocol) -> None:
    real, other = (
        split_features(small_extractor(), protocol.test, 40, protocol.networks)
        .frechet["fd_judge"]
        .double()
        .numpy()
    )
    s1, s2 = np.cov(real, rowvar=False), np.cov(other, rowvar=False)
    expected = ((real.mean(0) - other.mean(0)) ** 2).sum() + np.trace(
        s1 + s2 - 2 * sqrtm(s1 @ s2).real
    )
    assert value(found, "fd_judge") == pytest.approx(expected, rel=1e-3)


def test_zero_shot_is_scikit_learns(found, protocol, batch) -> None:
    with torch.no_grad():
        scores = (
            F.normalize(small_extractor().features(batch.images).embedding, dim=-1)
            @ protocol.classes.T
        )
    assert value(found, "zero_shot") == pytest.approx(
        accuracy_score(batch.labels, scores.argmax(1))
    )
    assert value(found, "zero_shot_top5") == pytest.approx(
        top_k_accuracy_score(batch.labels, scores, k=5, labels=range(10))
    )
    by_class = found.row.measurements["zero_shot"].details["by_class"]
    recalls = recall_score(
        batch.labels, scores.argmax(1), labels=range(10), average=None, zero_division=0
    )
    assert list(by_class) == list(protocol.test.class_names)
    assert [each or 0 for each in by_class.values()] == pytest.approx(recalls.tolist())


def test_the_linear_probe_reads_every_feature_and_stands_for_one(found) -> None:
    by_feature = found.row.measurements["linear_probe"].details["by_feature"]
    assert by_feature.keys() == {SEMANTIC, HIDDEN, LATENT, TRUNK, PATCHES}
    assert by_feature[SEMANTIC] == pytest.approx(value(found, "linear_probe"))
    assert found.row.measurements["linear_probe"].protocol.startswith(SEMANTIC)


def test_miou_is_torchmetrics_of_a_head_fitted_by_hand(found, protocol, batch) -> None:
    test, train = (
        split_features(small_extractor(), source, 40, dense=20)
        for source in (protocol.test, protocol.train)
    )
    head = segmentation_probe(
        train.tokens[SEMANTIC],
        train.class_masks,
        test.tokens[SEMANTIC],
        test.class_masks,
        GRID,
        11,
        steps=protocol.segmentation_steps,
    )
    predicted = predict(test.tokens[SEMANTIC], GRID, head.weight, head.bias, (32, 32))
    masks = batch.class_masks[:20]
    each = multiclass_jaccard_index(predicted, masks, 11, average="none", ignore_index=255)
    occurring = torch.cat([masks.unique(), predicted.unique()]).unique()
    assert value(found, "miou") == pytest.approx(each[occurring].mean().item(), abs=1e-3)
    details = found.row.measurements["miou"].details
    assert (
        details["by_feature"][SEMANTIC] == value(found, "miou") and len(details["by_class"]) == 11
    )


@pytest.mark.parametrize("metric", ["linear_probe", "miou"])
def test_studies_compare_z_the_block_output_and_the_trunk_in_columns_of_their_own(
    found, metric
) -> None:
    by_feature = found.row.measurements[metric].details["by_feature"]
    for short, feature in COLUMNS.items():
        assert value(found, f"{metric}_{short}") == pytest.approx(by_feature[feature])


def test_the_divergence_is_the_loss_that_trains_it(found, protocol, batch) -> None:
    images, tokenizer = batch.images[:8], small_extractor().network
    targets = teacher_attention(protocol.networks.teacher, images, GRID, 2)
    expected = topology_loss(
        targets, [layer.logits() for layer in student_query_keys(tokenizer, images)]
    ).item()
    assert value(found, "attention_kl") == pytest.approx(expected, rel=1e-3)
    table = np.array(found.row.measurements["attention_kl"].details["by_layer_and_head"])
    assert table.shape == (6, 2) and table.mean() == pytest.approx(expected, abs=1e-3)


def test_no_weight_changes_and_every_module_keeps_its_mode(protocol) -> None:
    extractor, teacher = small_extractor(), protocol.networks.teacher
    extractor.network.train()
    extractor.network.decoder.eval()
    extractor.network.connector.requires_grad_(False)
    networks = (extractor.network, teacher)
    modes = [module.training for network in networks for module in network.modules()]
    asked = [weight.requires_grad for network in networks for weight in network.parameters()]
    before = [weight.clone() for network in networks for weight in network.state_dict().values()]
    evaluate(extractor, protocol)
    after = [weight for network in networks for weight in network.state_dict().values()]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert [module.training for network in networks for module in network.modules()] == modes
    assert [
        weight.requires_grad for network in networks for weight in network.parameters()
    ] == asked
    assert all(weight.grad is None for network in networks for weight in network.parameters())


def test_the_same_seed_gives_the_same_row_and_the_global_numbers_do_not_matter(
    found, protocol
) -> None:
    torch.manual_seed(99), np.random.seed(99)
    again = evaluate(small_extractor(), protocol)
    assert asdict(again.row) == asdict(found.row)
    assert all(same(again.per_image[name], found.per_image[name]) for name in found.per_image)
    assert torch.equal(again.confusion, found.confusion)


def test_a_remembered_row_is_the_same_and_asks_neither_network_nor_data(
    tmp_path, found, monkeypatch
) -> None:
    cache, test = Cache(tmp_path), Changed()
    evaluate(small_extractor(), small_protocol(test=test), cache)
    extractor = small_extractor(name="another name")
    monkeypatch.setattr(extractor, "features", lambda *_, **__: pytest.fail("ran the network"))
    test.asked = 0
    again = evaluate(extractor, small_protocol(test=test), cache)
    assert test.asked == 0 and again.row.name == "another name"
    assert asdict(again.row)["measurements"] == asdict(found.row)["measurements"]
    assert all(same(again.per_image[name], values) for name, values in found.per_image.items())
    assert torch.equal(again.confusion, found.confusion)


PROBES = {"linear_probe", *(f"linear_probe_{end}" for end in COLUMNS)}
MASKS = {"miou", *(f"miou_{end}" for end in COLUMNS)}
LABELS = {"zero_shot", "zero_shot_top5", *PROBES}


@pytest.mark.parametrize(
    ("lacks", "gone", "sentence"),
    [
        ("labels", LABELS, "this data has no class labels"),
        ("class_masks", MASKS, "this data has no masks"),
        ("instance_masks", ATTENTION, "this data has no instance masks"),
    ],
)
def test_what_the_data_lacks_is_missing_with_a_sentence_and_all_else_is_there(
    lacks, gone, sentence
) -> None:
    row = evaluate(small_extractor(), both(without(lacks)))
    assert missing(row) == dict.fromkeys(gone, sentence)
    assert row.row.measurements.keys() == HERE and not gone & row.per_image.keys()


def test_bare_images_still_have_pixels_and_a_divergence() -> None:
    row = evaluate(
        small_extractor(), both(without("labels", "class_masks", "instance_masks"), classes=None)
    )
    assert missing(row).keys() == LABELS | MASKS | ATTENTION
    assert row.confusion is None


def test_one_class_has_no_linear_probe_but_a_zero_shot() -> None:
    row = evaluate(
        small_extractor(), both(lambda batch: replace(batch, labels=torch.zeros_like(batch.labels)))
    )
    assert missing(row).keys() == PROBES and "needs two classes" in missing(row)["linear_probe"]


def test_labels_outside_the_class_list_are_named() -> None:
    row = evaluate(small_extractor(), both(lambda batch: replace(batch, labels=batch.labels + 20)))
    assert missing(row).keys() == LABELS and all(
        "the class list has 10 names" in why for why in missing(row).values()
    )


@pytest.mark.parametrize(
    ("new", "sentence"), [(50, "class 50 but there are 11 classes"), (255, "is void")]
)
def test_mask_classes_outside_the_list_and_masks_all_void_are_named(new, sentence) -> None:
    row = evaluate(
        small_extractor(),
        both(lambda batch: replace(batch, class_masks=torch.full_like(batch.class_masks, new))),
    )
    assert missing(row).keys() == MASKS and sentence in missing(row)["miou"]


def test_unlabelled_images_are_left_out_and_label_zero_counts(protocol) -> None:
    """Of the test images only those of class 0 keep their label."""
    only_zero = lambda batch: replace(batch, labels=torch.where(batch.labels == 0, 0, -1))
    row, labels = (
        evaluate(small_extractor(), small_protocol(test=Changed(only_zero))),
        protocol.test.first(40).labels,
    )
    for name in ("zero_shot", "linear_probe"):
        measured = row.row.measurements[name]
        assert measured.n == (labels == 0).sum() > 0
        right = row.per_image[name]
        assert measured.value == pytest.approx(right[labels == 0].mean().item())
        assert right[labels != 0].isnan().all()


def test_fewer_images_than_features_are_called_biased(found) -> None:
    few = evaluate(small_extractor(), small_protocol(n_test=20, n_dense=5))
    assert "biased upwards: 20 images for 32 features" in few.row.measurements["fd_judge"].protocol
    assert "biased" not in found.row.measurements["fd_judge"].protocol


def test_one_image_has_figures_without_intervals() -> None:
    row = evaluate(small_extractor(), small_protocol(n_test=1, n_attention=1, n_dense=5))
    assert "two images or more" in missing(row)["fd_judge"]
    psnr = row.row.measurements["psnr"]
    assert psnr.n == 1 and math.isfinite(psnr.value) and psnr.low is None and psnr.high is None


def test_a_backbone_has_attention_but_no_pixels_and_no_text() -> None:
    row = evaluate(BackboneExtractor("backbone", Backbone(BACKBONE).eval(), "b"), small_protocol())
    gone = missing(row)
    attention = {"attention_auc", "attention_iou", "attention_pointing"}
    assert {name for name in HERE if name not in gone} >= {"linear_probe", "miou"} | attention
    assert gone["psnr"] == gone["fd_judge"] == "this network makes no pixels"
    assert gone["zero_shot"] == "this network has no embedding in the text space"


def test_a_teacher_of_other_layers_is_not_compared() -> None:
    row = evaluate(
        small_extractor(),
        small_protocol(networks=MetricNetworks(small_teacher((0,)), None, None, "one")),
    )
    assert missing(row).keys() == {"attention_kl", "attention_rank"}


def test_five_classes_or_fewer_have_no_top_five() -> None:
    class Five(Changed):
        class_names = Scenes.class_names[:5]

    fewer = lambda batch: replace(batch, labels=batch.labels % 5)
    classes = small_protocol().classes[:5]
    row = evaluate(
        small_extractor(),
        small_protocol(train=Five(fewer, "train"), test=Five(fewer), classes=classes),
    )
    assert missing(row) == {"zero_shot_top5": "there are five classes or fewer"}


def test_the_real_networks_names_appear_where_they_measure() -> None:
    class Colour(nn.Module):
        def forward(self, images):
            return images.float().mean((2, 3))

    class Difference(nn.Module):
        def forward(self, fake, real):
            return (fake - real).abs().mean((1, 2, 3), keepdim=True)

    row = evaluate(
        small_extractor(),
        small_protocol(networks=MetricNetworks(small_teacher(), Colour(), Difference(), "all")),
    )
    assert row.row.measurements.keys() == EVALUATED and not missing(row)
    assert (
        "Inception" in row.row.measurements["rfid"].protocol
        and "LPIPS" in row.row.measurements["lpips"].protocol
    )


def test_chance_is_at_chance() -> None:
    """200 test images: a tenth is right, give or take three standard errors."""
    protocol = small_protocol(n_train=200, n_test=200, n_dense=40)
    chance = chance_on(protocol)
    row, images = evaluate(chance, protocol), protocol.test.first(200).images
    assert value(row, "zero_shot") == pytest.approx(0.1, abs=0.065)
    assert value(row, "zero_shot_top5") == pytest.approx(0.5, abs=0.11)
    assert value(row, "linear_probe") == pytest.approx(0.1, abs=0.065)
    assert value(row, "attention_auc") == 0.5
    background = (protocol.test.first(40).class_masks == 0).double().mean().item()
    assert value(row, "miou") <= background / 2
    errors = (chance.network[0] - images).double().square().mean((1, 2, 3))
    assert value(row, "psnr") == pytest.approx((-10 * errors.log10()).mean().item(), abs=0.02)


def test_images_without_an_object_are_left_out_of_the_attention_scores() -> None:
    def half_empty(batch):
        masks = batch.instance_masks.clone()
        masks[::2] = 0
        return replace(batch, instance_masks=masks)

    row = evaluate(small_extractor(), both(half_empty))
    assert row.per_image["attention_iou"].isnan().tolist()[::2] == [True] * 4
    assert row.row.measurements["attention_iou"].n <= 4 and math.isfinite(
        value(row, "attention_iou")
    )


def test_objects_too_small_for_a_patch_are_missing_with_a_sentence() -> None:
    def speck(batch):
        masks = torch.zeros_like(batch.instance_masks)
        masks[:, 0, 0] = 1
        return replace(batch, instance_masks=masks)

    assert missing(evaluate(small_extractor(), both(speck))).keys() == ATTENTION


def test_weights_that_are_not_numbers_are_said_in_the_row() -> None:
    extractor = small_extractor()
    next(extractor.network.connector.parameters()).data.fill_(math.nan)
    assert missing(evaluate(extractor, small_protocol())).keys() == HERE


def test_an_empty_split_is_said_in_the_row() -> None:
    row = evaluate(small_extractor(), small_protocol(test=Changed(length=0)))
    assert all("There is no image" in why for why in missing(row).values())
