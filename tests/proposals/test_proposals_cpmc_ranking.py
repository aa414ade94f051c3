"""Descriptions against scikit-image and definitions, and the ranker."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import regionprops
from sklearn.linear_model import Ridge

from tinysegrank.errors import CheckpointError, ConfigError, ShapeError
from tinysegrank.proposals.o2p.cpmc import (
    SEGMENT_FEATURES,
    SegmentRanker,
    edge_map,
    find_boundaries,
    oversegment,
    segment_features,
)


@pytest.fixture(scope="module")
def described():
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 256, (5, 7, 3)), np.ones((9, 8, 1))).astype(np.uint8)  # 45 x 56
    edges = edge_map(image)
    superpixels = oversegment(edges, count=60)
    boundaries = find_boundaries(superpixels, edges)
    members = rng.random((12, superpixels.max() + 1)) < rng.uniform(0.05, 0.9, (12, 1))
    members[:, 3] = True
    members[0], members[1] = True, np.arange(members.shape[1]) == 0  # the whole image; a single superpixel
    features = segment_features(image, superpixels, boundaries, members)
    return image, superpixels, boundaries, members, dict(zip(SEGMENT_FEATURES, features.T, strict=True))


def test_shape_equals_that_of_scikit_image(described):
    _, superpixels, _, members, columns = described
    height, width = superpixels.shape
    for r, row in enumerate(members):
        region = regionprops(row[superpixels].astype(np.uint8))[0]
        top, left, bottom, right = region.bbox
        # Each pixel is a square, which scikit-image's ellipse forgets: 1/12 more along each axis.
        values = np.linalg.eigvalsh(np.cov(region.coords.T, ddof=0) + np.eye(2) / 12)
        expected = {
            "log_area": np.log(region.area / superpixels.size),
            "row": (region.centroid[0] + 0.5) / height,
            "column": (region.centroid[1] + 0.5) / width,
            "top": top / height,
            "left": left / width,
            "bottom": bottom / height,
            "right": right / width,
            "extent": region.extent,
            "major_axis": 4 * np.sqrt(values[1]) / np.hypot(height, width),
            "minor_axis": 4 * np.sqrt(values[0]) / np.hypot(height, width),
            "eccentricity": np.sqrt(1 - values[0] / values[1]),
            "upright": np.cos(2 * region.orientation),
            "slanted": abs(np.sin(2 * region.orientation)),
        }
        assert {name: columns[name][r] for name in expected} == pytest.approx(expected, rel=1e-6, abs=1e-6)
        assert columns["solidity"][r] <= 1 + 1e-9
        # The polygon of 16 sides is a little larger than the convex hull.
        assert columns["solidity"][r] == pytest.approx(region.area / region.area_convex, rel=0.15)


def test_border_and_contrast_by_definition(described):
    image, superpixels, boundaries, members, columns = described
    edges = edge_map(image)
    for r, row in enumerate(members):
        mask = row[superpixels]
        inside = np.pad(mask, 1)
        sides = sum((inside & ~np.roll(inside, step, axis)).sum() for step in (1, -1) for axis in (0, 1))
        frame = mask[0].sum() + mask[-1].sum() + mask[:, 0].sum() + mask[:, -1].sum()
        assert columns["frame_share"][r] == pytest.approx(frame / sides)
        assert columns["compactness"][r] == pytest.approx(4 * np.pi * mask.sum() / sides**2)
        down, right = mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]
        border = np.concatenate(
            [np.maximum(edges[1:], edges[:-1])[down], np.maximum(edges[:, 1:], edges[:, :-1])[right]]
        )
        assert columns["border_strength"][r] == pytest.approx(border.mean() if border.size else 0, abs=1e-6)
        code = (image.astype(int) * 6 // 256) @ np.array([36, 6, 1])
        near = np.zeros(members.shape[1], bool)
        for a, b in boundaries.edges:
            if row[a] != row[b]:
                near[b if row[a] else a] = True
        for name, other in (("ring_contrast", near[superpixels]), ("rest_contrast", ~mask)):
            p, q = (np.bincount(code[m], minlength=216) / max(m.sum(), 1) for m in (mask, other))
            assert columns[name][r] == pytest.approx(((p - q) ** 2 / np.maximum(p + q, 1e-12)).sum() / 2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (3, 4)], ids=str)
def test_descriptions_of_tiny_images_are_finite(shape):
    image = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    superpixels = np.arange(image.size).reshape(shape)
    boundaries = find_boundaries(superpixels, edge_map(image))
    members = np.concatenate([np.eye(image.size, dtype=bool), np.ones((1, image.size), bool)])
    features = segment_features(image, superpixels, boundaries, members)
    assert features.shape == (len(members), len(SEGMENT_FEATURES))
    assert np.isfinite(features).all()
    assert segment_features(image, superpixels, boundaries, members[:0]).shape == (0, len(SEGMENT_FEATURES))


def test_features_that_do_not_fit_are_refused(described):
    image, superpixels, boundaries, members, _ = described
    with pytest.raises(ShapeError, match="do not fit"):
        segment_features(image, superpixels, boundaries, members[:, 1:])


# The ranker ----------------------------------------------------------------------------------------------------------


def problem(rows=600, columns=25):
    rng = np.random.default_rng(4)
    features = rng.normal(size=(rows, columns))
    return features, 1 / (1 + np.exp(-features[:, 0] - features[:, 1] ** 2 + 1))


def test_the_ranker_is_ridge_regression_on_its_waves():
    features, quality = problem()
    ranker = SegmentRanker(waves=50).fit(features, quality, rng=np.random.default_rng(0))
    waves = np.cos((features - features.mean(0)) / features.std(0) @ ranker.directions_ + ranker.phases_)
    expected = Ridge(alpha=1.0).fit(waves, quality).predict(waves)
    np.testing.assert_allclose(ranker.predict(features), expected, atol=1e-8)


def test_the_ranker_learns_what_is_not_linear():
    features, quality = problem(2000, columns=3)
    ranker = SegmentRanker(waves=400).fit(features[:1500], quality[:1500], rng=np.random.default_rng(0))
    assert np.corrcoef(ranker.predict(features[1500:]), quality[1500:])[0, 1] > 0.9  # linear: 0.5


def test_a_ranker_is_saved_and_loaded(tmp_path):
    features, quality = problem()
    one, two = (SegmentRanker(waves=30).fit(features, quality, rng=np.random.default_rng(1)) for _ in range(2))
    one.save(tmp_path / "one.safetensors")
    two.save(tmp_path / "two.safetensors")
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    again = SegmentRanker.load(tmp_path / "one.safetensors")
    np.testing.assert_array_equal(again.predict(features), one.predict(features))
    assert (again.waves, again.width) == (one.waves, one.width)


def test_files_that_hold_no_ranker_are_named(tmp_path):
    from tinysegrank.files import write_arrays

    with pytest.raises(CheckpointError, match="nothing"):
        SegmentRanker.load(tmp_path / "nothing")
    write_arrays(tmp_path / "other", {"x": np.zeros(3)})
    with pytest.raises(CheckpointError, match="fit it again"):
        SegmentRanker.load(tmp_path / "other")
    narrow = SegmentRanker(waves=3).fit(np.eye(4), np.ones(4), rng=np.random.default_rng(0))
    with pytest.raises(ShapeError, match=r"\(R, 4\)"):
        narrow.predict(np.zeros((2, 5)))


@pytest.mark.parametrize("option", ["waves", "width"])
def test_options_of_the_ranker_are_checked(option):
    with pytest.raises(ConfigError, match=option):
        SegmentRanker(**{option: 0})


@pytest.mark.parametrize(
    ("features", "quality"),
    [
        pytest.param(np.zeros((0, 3)), np.zeros(0), id="nothing"),
        pytest.param(np.zeros((2, 3)), np.zeros(3), id="sizes"),
        pytest.param(np.full((2, 3), np.nan), np.zeros(2), id="nan"),
    ],
)
def test_what_cannot_be_fitted_is_refused(features, quality):
    with pytest.raises(ShapeError, match="features"):
        SegmentRanker().fit(features, quality, rng=np.random.default_rng(0))
