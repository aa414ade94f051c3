"""The paired bootstrap, against loops over resamples and against what must hold."""

from __future__ import annotations

import numpy as np
import pytest

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.metrics import Confusion, paired_difference


def methods(rng, images=12, classes=4, errors=(0.2, 0.5)):
    """Two methods' confusions of the same images, the first making fewer mistakes."""
    out = [[], []]
    for _ in range(images):
        truth = rng.integers(0, classes, 200).astype(np.uint8)
        for share, matrices in zip(errors, out, strict=True):
            wrong = rng.random(200) < share
            labels = np.where(wrong, rng.integers(0, classes, 200), truth).astype(np.uint8)
            matrices.append(Confusion(classes).update(truth[None], labels[None]).matrix)
    return np.array(out[0]), np.array(out[1])


def mean_of(matrices, classes=None):
    confusion = Confusion(matrices.shape[1])
    confusion.matrix += matrices.sum(axis=0)
    return confusion.mean_iou(classes=classes).value


@pytest.mark.parametrize("classes", [None, (0, 2)])
def test_agrees_with_a_loop_over_resamples(rng, classes):
    first, second = methods(rng)
    found = paired_difference(first, second, rng=np.random.default_rng(3), classes=classes, resamples=300)
    weights = np.random.default_rng(3).multinomial(12, np.full(12, 1 / 12), size=300)
    gaps = []
    for weight in weights:
        rows = np.repeat(np.arange(12), weight)
        gaps.append(mean_of(first[rows], classes) - mean_of(second[rows], classes))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(gaps, [0.025, 0.975])), abs=1e-12)
    assert found.value == pytest.approx(mean_of(first, classes) - mean_of(second, classes), abs=1e-12)


def test_a_clear_difference_and_its_opposite(rng):
    first, second = methods(rng)
    one = paired_difference(first, second, rng=np.random.default_rng(0))
    other = paired_difference(second, first, rng=np.random.default_rng(0))
    assert one.low < one.value < one.high and one.low > 0 and one.clear
    assert (other.value, other.low, other.high) == pytest.approx((-one.value, -one.high, -one.low))


def test_a_method_against_itself(rng):
    first, _ = methods(rng)
    assert paired_difference(first, first, rng=rng) == (0, 0, 0)
    assert not paired_difference(first, first, rng=rng).clear


def test_interval_covers_what_other_images_give(rng):
    """On new images of the same kind, the difference falls into 19 of 20 intervals, about."""
    truth = np.mean([np.subtract(*map(mean_of, methods(rng, images=200))) for _ in range(5)])
    inside = 0
    for _ in range(60):
        found = paired_difference(*methods(rng, images=30), rng=rng, resamples=200)
        inside += found.low <= truth <= found.high
    assert 50 <= inside <= 60


def test_a_rare_class_is_left_out_of_the_resamples_that_lack_it(rng):
    first, second = methods(rng, classes=3)
    first, second = np.pad(first, ((0, 0), (0, 1), (0, 1))), np.pad(second, ((0, 0), (0, 1), (0, 1)))
    first[0, 3, 3], second[0, 3, 0] = 5, 5  # class 3 is in one image alone, and only the first method finds it
    alone = paired_difference(first, second, rng=rng, classes=(3,))
    assert (alone.value, alone.low, alone.high) == (1, 1, 1)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda a, b: (a[:3], b), {}, "shapes"),
        (lambda a, b: (a[:0], b[:0]), {}, "shapes"),
        (lambda a, b: (a, b[::-1]), {}, "truths differ"),
        (lambda a, b: (a, b), {"classes": ()}, "none of"),
    ],
    ids=["lengths", "empty", "truths", "classes"],
)
def test_bad_input(rng, change, options, message):
    with pytest.raises(ShapeError, match=message):
        paired_difference(*change(*methods(rng)), rng=rng, **options)


@pytest.mark.parametrize("options", [{"classes": [4]}, {"classes": [-1]}, {"classes": [1, 1]}, {"resamples": 0}])
def test_options_out_of_range_are_refused(rng, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        paired_difference(*methods(rng), rng=rng, **options)
