"""CPMC as a whole: valid segments of any image, the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from tests.proposals.overlaps import mask_overlaps
from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.proposals.o2p.cpmc import (
    SEGMENT_FEATURES,
    CpmcOptions,
    SegmentRanker,
    candidates,
    cpmc,
    ranker_examples,
    segment_features,
)
from tinysegrank.voc import VOID


def disc_image(shape=(60, 80), noise=6.0):
    """A bright disc, and its mask."""
    rows, columns = np.indices(shape)
    disc = np.hypot(rows - shape[0] / 2, columns - shape[1] / 2) < min(shape) / 3
    image = np.where(disc[..., None], [200, 60, 40], [40, 90, 160]).astype(float)
    image += np.random.default_rng(0).normal(0, noise, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), disc


def gradient(shape):
    return np.linspace(0, 255, int(np.prod(shape))).reshape(shape).astype(np.uint8)


IMAGES = {
    "black": np.zeros((40, 50, 3), np.uint8),
    "one colour": np.full((40, 50, 3), (10, 200, 90), np.uint8),
    "grey": disc_image()[0][..., 0],
    "one row": gradient((1, 60)),
    "one column": gradient((60, 1)),
    "one pixel": np.full((1, 1, 3), 7, np.uint8),
    "two pixels": np.array([[0, 255]], np.uint8),
    "tiny": np.random.default_rng(1).integers(0, 256, (5, 4, 3), np.uint8),
    "noise": np.random.default_rng(2).integers(0, 256, (50, 40, 3), np.uint8),
}


@pytest.mark.parametrize("name", IMAGES)
def test_any_image_gives_valid_segments(name):
    image = IMAGES[name]
    segments = cpmc(image, rng=np.random.default_rng(0))
    assert segments.superpixels.shape == image.shape[:2]
    assert len(segments) <= 150
    assert len(np.unique(segments.members, axis=0)) == len(segments)
    assert np.isfinite(segments.scores).all()


def test_no_segment_may_be_left():
    options = CpmcOptions(smallest=10_000)
    assert len(cpmc(disc_image()[0], options=options, rng=np.random.default_rng(0))) == 0


def test_a_disc_is_found():
    image, disc = disc_image()
    segments = cpmc(image, rng=np.random.default_rng(0), options=CpmcOptions(superpixels=200))
    assert segments.overlaps_with(disc[None]).max() > 0.9


def test_the_same_seed_gives_the_same_segments():
    image, _ = disc_image()
    options = CpmcOptions(sample=20)  # so that chance has a say
    one, two = (cpmc(image, options=options, rng=np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.members, two.members)
    np.testing.assert_array_equal(one.scores, two.scores)


def test_candidates_keep_the_limits():
    image, _ = disc_image()
    options = CpmcOptions(smallest=150, sample=60)
    found = candidates(image, options=options, rng=np.random.default_rng(0))
    areas = np.bincount(found.superpixels.ravel())
    assert 0 < len(found.members) <= 60
    assert (found.members @ areas >= 150).all()


def test_a_ranker_decides_the_order():
    image, _ = disc_image()

    class Smallest:
        def predict(self, features):
            return -features[:, SEGMENT_FEATURES.index("log_area")]

    segments = cpmc(image, Smallest(), options=CpmcOptions(relevance=1.0), rng=np.random.default_rng(0))
    assert (np.diff(segments.members @ segments.superpixel_areas()) >= 0).all()


def test_further_columns_stand_beside_the_features():
    image, disc = disc_image()
    seen = []

    def columns(segments):
        areas = segments.members @ np.bincount(segments.superpixels.ravel())
        return np.stack([areas, -areas], axis=1)

    class LastColumn:
        def predict(self, features):
            seen.append(features)
            return features[:, -1].astype(float)

    options = CpmcOptions(relevance=1.0)
    segments = cpmc(image, LastColumn(), columns=columns, options=options, rng=np.random.default_rng(0))
    assert (np.diff(columns(segments)[:, 0]) >= 0).all()
    for labels, rows in ((disc.astype(int), len(seen[0])), (np.zeros(disc.shape, int), 0)):
        examples = ranker_examples(image, labels, columns=columns, options=options, rng=np.random.default_rng(0))
        np.testing.assert_array_equal(examples.features, seen[0][:rows])
        assert examples.features.shape == (rows, len(SEGMENT_FEATURES) + 2)


def test_a_fitted_ranker_puts_the_disc_first():
    image, disc = disc_image()
    options = CpmcOptions(superpixels=200)
    examples = ranker_examples(image, disc.astype(int), options=options, rng=np.random.default_rng(0))
    ranker = SegmentRanker(waves=100).fit(*examples, rng=np.random.default_rng(0))
    best = cpmc(image, ranker, options=options, rng=np.random.default_rng(0)).take(np.arange(1))
    assert best.overlaps_with(disc[None])[0, 0] > 0.9
    assert 0.5 < best.scores[0] < 1.2


def test_examples_are_the_candidates_and_their_best_overlaps():
    image, disc = disc_image()
    labels = np.where(disc, 3, 0)
    labels[:20, :20], labels[:, 60:] = 5, VOID
    examples = ranker_examples(image, labels, rng=np.random.default_rng(0))
    found = candidates(image, rng=np.random.default_rng(0))
    masks = np.stack([row[found.superpixels] for row in found.members])
    expected = mask_overlaps(masks, np.stack([labels == 3, labels == 5]), valid=labels != VOID).max(axis=1)
    np.testing.assert_allclose(examples.best_overlaps, expected)
    features = segment_features(image, found.superpixels, found.boundaries, found.members)
    np.testing.assert_array_equal(examples.features, features)
    assert len(ranker_examples(image, np.full(disc.shape, VOID), rng=np.random.default_rng(0)).features) == 0
    with pytest.raises(ShapeError, match="same size"):
        ranker_examples(image, labels[1:], rng=np.random.default_rng(0))


@pytest.mark.parametrize("name", ["superpixels", "grid", "steps", "count", "relevance"])
def test_options_out_of_range_are_named(name):
    with pytest.raises(ConfigError, match=name):
        CpmcOptions(**{name: -1})


def test_bad_images_are_refused():
    for image in (np.zeros((3, 3), np.float32), np.zeros((0, 4, 3), np.uint8), np.zeros((3, 3, 4), np.uint8)):
        with pytest.raises(ShapeError, match="image"):
            cpmc(image, rng=np.random.default_rng(0))
