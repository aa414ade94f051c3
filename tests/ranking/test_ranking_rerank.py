"""Block 3 of the features against loops over pixels."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import center_of_mass, distance_transform_edt

from tests.ranking.labellings import blobs
from tinysegrank.errors import DatasetError, ShapeError
from tinysegrank.proposals import PastedSegments
from tinysegrank.proposals.o2p.cpmc import edge_map
from tinysegrank.ranking.features.chamfer import RADII, THRESHOLDS, boundary_pixels, chamfer_features, image_edges
from tinysegrank.ranking.features.rerank import rerank_feature_names, rerank_features
from tinysegrank.voc import CLASS_NAMES

COLUMN = {name: number for number, name in enumerate(rerank_feature_names())}


def some_edges(rng, shape):
    """A map with many equal strengths, strengths at thresholds, and zeros."""
    levels = np.array([0, 0, 0, 0.03, *THRESHOLDS[::3], 0.3, 0.31, 1.0], np.float32)
    return rng.choice(levels, shape).astype(np.float32)


# The whole block -----------------------------------------------------------------------------------------------------


def test_number_and_names_of_all_columns():
    assert len(set(rerank_feature_names())) == len(rerank_feature_names()) == 420 + 210 + 210 + 120 + 120 + 27
    assert len(set(rerank_feature_names(["ground", "sky", "sea"]))) == 3 * 4 + 240 + 9


def test_all_background():
    features = rerank_features(np.zeros((2, 20, 30), np.uint8), some_edges(np.random.default_rng(0), (20, 30)))
    expected = np.zeros((2, 1107), np.float32)
    expected[1, COLUMN["rank"]], expected[1, COLUMN["log_rank"]] = 1, math.log(2)
    np.testing.assert_array_equal(features, expected)


@pytest.mark.parametrize("shape", [(13, 40), (1, 9), (9, 1), (1, 1)])
def test_any_size_is_finite(rng, shape):
    labels = rng.integers(0, 21, (3, *shape))
    features = rerank_features(labels, some_edges(rng, shape))
    assert features.shape == (3, 1107) and features.dtype == np.float32
    assert np.isfinite(features).all()


def test_no_proposal():
    assert rerank_features(np.zeros((0, 5, 6), int), np.zeros((5, 6))).shape == (0, 1107)


# Pairs ---------------------------------------------------------------------------------------------------------------


def test_pairs_by_loops(rng):
    labels = np.stack([blobs(rng, (17, 23), [3, 8, 15]) for _ in range(3)])
    labels[2] = 20
    labels[2, 16, 22] = 4  # one pixel in a corner
    features = rerank_features(labels, np.zeros((17, 23)))
    for m, one in enumerate(labels):
        present = [k for k in range(21) if (one == k).any()]
        pairs = list(combinations(present, 2))
        assert pairs
        total = sum(np.count_nonzero((one == a) | (one == b)) for a, b in pairs)
        for a, b in combinations(range(21), 2):
            found = [
                features[m, COLUMN[f"{kind}_{CLASS_NAMES[a]}_{CLASS_NAMES[b]}"]]
                for kind in ("centroid_x", "centroid_y", "pixels", "together")
            ]
            if (a, b) not in pairs:
                assert found == [0, 0, 0, 0]
                continue
            centres = [center_of_mass(one == k) for k in (a, b)]
            expected = [
                (centres[0][1] - centres[1][1]) / 23,
                (centres[0][0] - centres[1][0]) / 17,
                np.count_nonzero((one == a) | (one == b)) / total,
                1 / len(pairs),
            ]
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_one_class_has_no_pairs():
    features = rerank_features(np.full((1, 6, 6), 7), np.zeros((6, 6)))
    assert not features[0, :840].any()
    assert features[0, COLUMN["classes"]] == 1


# Boundaries ----------------------------------------------------------------------------------------------------------


def test_boundary_is_the_pixels_with_another_label_beside_them(rng):
    labels = np.stack([blobs(rng, (9, 12), [1, 2, 5]) for _ in range(3)])
    found = boundary_pixels(labels)
    for m in range(3):
        for r in range(9):
            for c in range(12):
                near = [(r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)]
                inside = [(y, x) for y, x in near if 0 <= y < 9 and 0 <= x < 12]
                assert found[m, r, c] == any(labels[m, y, x] != labels[m, r, c] for y, x in inside)


def bin_by_definition(distance):
    """0..5, or None beyond the last radius."""
    return next((number for number, radius in enumerate(RADII) if distance <= radius), None)


def chamfer_by_loops(edges, boundary):
    forth, back = np.zeros((10, 6)), np.zeros((10, 6))
    on_boundary = np.argwhere(boundary)
    for t, threshold in enumerate(THRESHOLDS):
        strong = np.argwhere(edges >= np.float32(threshold))
        if not len(strong) or not len(on_boundary):
            continue
        distances = np.hypot(*(on_boundary[:, None] - strong).transpose(2, 0, 1))  # (boundary, edges)
        for of_pixel in distances:
            place = bin_by_definition(nearest := of_pixel.min())
            if place is not None:
                forth[t, place] += max(edges[r, c] for r, c in strong[of_pixel == nearest])
        for (r, c), of_edge in zip(strong, distances.T, strict=True):
            place = bin_by_definition(of_edge.min())
            if place is not None:
                back[t, place] += edges[r, c]
    both = np.concatenate([forth.ravel(), back.ravel()])
    return both / (both.sum() or 1)


@pytest.mark.parametrize("accelerate", ["0", "1"])
@pytest.mark.parametrize("density", [0.002, 0.05, 0.5])
def test_chamfer_by_loops(monkeypatch, rng, accelerate, density):
    monkeypatch.setenv("TINYSEGRANK_ACCELERATE", accelerate)
    shape = (13, 90)  # further across than the largest radius
    edges = np.where(rng.random(shape) < density, some_edges(rng, shape), 0).astype(np.float32)
    labels = np.stack([blobs(rng, shape, [1, 2]), np.zeros(shape, int), np.eye(*shape, dtype=int)])
    labels[1, :, 0] = 1  # touches three sides
    features = rerank_features(labels, edges)
    for m in range(3):
        for kind, map_ in (("segment", labels[m]), ("object", labels[m] > 0)):
            boundary = boundary_pixels(map_)
            ways = (f"{kind}_boundary_to_edges", f"edges_to_{kind}_boundary")
            names = [f"{way}_from_{t}_within_{r}" for way in ways for t in THRESHOLDS for r in RADII]
            expected = chamfer_by_loops(edges, boundary)
            assert expected.sum() == pytest.approx(1)
            np.testing.assert_allclose(features[m, [COLUMN[name] for name in names]], expected, rtol=1e-5, atol=1e-9)


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 70)),
    density=st.sampled_from([0.0, 0.01, 0.2, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_numba_versions_agree_exactly(shape, density, seed):
    rng = np.random.default_rng(seed)
    edges = (some_edges(rng, shape) * (rng.random(shape) < density)).astype(np.float32)
    boundary = boundary_pixels(blobs(rng, shape, [1, 2]) * (rng.random() < 0.9))
    with pytest.MonkeyPatch.context() as patch:
        found = []
        for accelerate in "01":
            patch.setenv("TINYSEGRANK_ACCELERATE", accelerate)
            known = image_edges(edges, boundary)
            found.append((*known, chamfer_features(known, boundary)))
    for readable, numba in zip(*found, strict=True):
        np.testing.assert_array_equal(readable, numba, strict=True)


def test_distances_of_a_large_map_are_those_of_scipy(rng):
    edges = np.where(rng.random((120, 150)) < 0.003, 0.9, 0).astype(np.float32)
    wanted = rng.random(edges.shape) < 0.3
    known = image_edges(edges, wanted)
    distance = distance_transform_edt(edges == 0)[wanted]
    expected = np.searchsorted(RADII, distance)  # 6 beyond the last
    assert (expected == 6).any() and (expected < 6).any()
    for t in range(10):
        np.testing.assert_array_equal(known.bins[known.rows[wanted], t], expected)
        np.testing.assert_array_equal(known.nearest[known.rows[wanted], t] > 0, expected < 6)


def test_boundaries_on_edges_are_told_from_those_off_them():
    image = np.full((60, 80, 3), 40, np.uint8)
    image[20:40, 30:60] = 200
    edges = edge_map(image)
    on, off = np.zeros((2, 60, 80), np.uint8)
    on[20:40, 30:60] = off[34:54, 40:70] = 8
    features = rerank_features(np.stack([on, off]), edges)
    near = [COLUMN[f"segment_boundary_to_edges_from_{THRESHOLDS[-2]}_within_{radius}"] for radius in RADII[:2]]
    far = [COLUMN[f"edges_to_segment_boundary_from_{THRESHOLDS[-2]}_within_{radius}"] for radius in RADII[3:]]
    assert features[0, near].sum() > 2 * features[1, near].sum()
    assert features[0, far].sum() == 0 < features[1, far].sum()


def test_an_image_without_edges_and_a_proposal_without_boundary():
    boundary = np.zeros((8, 9), bool)
    assert not chamfer_features(image_edges(np.ones((8, 9)), boundary), boundary).any()
    boundary[4] = True
    assert not chamfer_features(image_edges(np.zeros((8, 9)), boundary), boundary).any()


def test_mirrored_image_has_the_same_chamfer_features(rng):
    edges, labels = some_edges(rng, (20, 31)), blobs(rng, (20, 31), [1, 2])
    chamfer = slice(840, 1080)
    there = rerank_features(labels[None], edges)[0, chamfer]
    mirrored = rerank_features(labels[None, :, ::-1], edges[:, ::-1])[0, chamfer]
    np.testing.assert_allclose(there, mirrored, rtol=1e-5)


# Scores and segments -------------------------------------------------------------------------------------------------


def test_summary_by_hand():
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[0, :2] = 15
    labels[0, 0, 0] = 8
    pasted = PastedSegments(np.array([8, 15, 15]), np.array([0.5, 0.3, 0.4]), np.array([1, 9, 0]))
    none = PastedSegments(np.zeros(0, int), np.zeros(0), np.zeros(0, int))
    scores = np.array([2.5, np.nan, -1.0])
    features = rerank_features(labels, np.zeros((4, 5)), scores=scores, segments=[pasted, None, none])
    rows = [{name: float(row[COLUMN[name]]) for name in rerank_feature_names()[-27:]} for row in features]
    assert rows[0] == pytest.approx(
        dict.fromkeys(rows[0], 0)
        | {"map_score": 2.5, "segments": 3, "classes": 2, "mean_pixel_score": (0.5 * 1 + 0.3 * 9) / 20}
        | {"max_segment_score_cat": 0.5, "max_segment_score_person": 0.4, "has_segments": 1}
    )
    assert rows[1] == pytest.approx(dict.fromkeys(rows[1], 0) | {"rank": 1, "log_rank": math.log(2)})
    assert rows[2] == pytest.approx(
        dict.fromkeys(rows[2], 0) | {"map_score": -1, "rank": 2, "log_rank": math.log(3), "has_segments": 1}
    )


def test_scores_of_two_engines_are_each_in_their_own_units():
    """Energies in the thousands of nats say nothing against sums of scores; one without a score stays unknown."""
    labels, some = np.zeros((6, 4, 5), np.uint8), PastedSegments(np.zeros(0, int), np.zeros(0), np.zeros(0, int))
    segments = [some, None, some, None, some, None]
    scores = np.array([1.5, -9000.0, 1.0, -9100.0, 0.5, np.nan])
    found = rerank_features(labels, np.zeros((4, 5)), scores=scores, segments=segments)[:, COLUMN["map_score"]]
    half_a_point, fifty_nats = math.sqrt(1 / 6), 50.0  # standard deviations
    expected = [0, 0, -0.5 / half_a_point, -100 / fifty_nats, -1 / half_a_point, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    alone = rerank_features(labels[:2], np.zeros((4, 5)), scores=scores[:2], segments=segments[:2])
    np.testing.assert_array_equal(alone[:, COLUMN["map_score"]], [0, 0])


def test_scores_below_0_count_only_where_a_segment_is_pasted():
    pasted = PastedSegments(np.array([2]), np.array([-0.25]), np.array([4]))
    row = rerank_features(np.full((1, 2, 2), 2), np.zeros((2, 2)), segments=[pasted], num_classes=3)[0]
    column = dict(zip(rerank_feature_names(["ground", "sky", "sea"]), row, strict=True))
    assert (column["max_segment_score_sky"], column["max_segment_score_sea"]) == (0, -0.25)
    assert column["mean_pixel_score"] == -0.25


# Bad input -----------------------------------------------------------------------------------------------------------


def test_bad_input():
    labels, edges = np.zeros((2, 4, 5), int), np.zeros((4, 5))
    segments = [PastedSegments(np.array([21]), np.ones(1), np.ones(1, int)), None]
    for error, match, given_labels, given_edges, options in (
        (ShapeError, "labels", labels[0], edges, {}),
        (ShapeError, "labels", labels[:, :0], edges[:0], {}),
        (ShapeError, "dtype", labels * 1.0, edges, {}),
        (DatasetError, "not a class", labels + 21, edges, {}),
        (DatasetError, "void", labels + 255, edges, {}),
        (ShapeError, "edges", labels, edges[:3], {}),
        (ShapeError, r"0\.\.1", labels, edges + 1.5, {}),
        (ShapeError, r"0\.\.1", labels, edges * np.nan, {}),
        (ShapeError, "scores", labels, edges, {"scores": np.ones(3)}),
        (ShapeError, "infinite", labels, edges, {"scores": np.array([1, np.inf])}),
        (ShapeError, "segments 1", labels, edges, {"segments": [None]}),
        (ShapeError, r"1\.\.20", labels, edges, {"segments": segments}),
    ):
        with pytest.raises(error, match=match):
            rerank_features(given_labels, given_edges, **options)
