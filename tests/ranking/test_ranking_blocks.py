"""The blocks of an image's features together, and a block from outside the package."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ranking.labellings import blobs
from tinysegrank.errors import ConfigError, DatasetError, ShapeError
from tinysegrank.proposals.o2p.cpmc import edge_map
from tinysegrank.ranking import (
    BLOCKS,
    PAPER_BLOCKS,
    UNGATED,
    Block,
    FeatureTable,
    ImageProposals,
    class_shares,
    describe,
)
from tinysegrank.ranking.features.classification import classification_feature_names, classification_features
from tinysegrank.ranking.features.rerank import rerank_feature_names, rerank_features
from tinysegrank.ranking.features.segnet import segnet_feature_names, segnet_features
from tinysegrank.voc import soft_targets_many


def scene(seed=0, shape=(40, 45), **changes):
    rng = np.random.default_rng(seed)
    given = {
        "image": rng.integers(0, 256, (*shape, 3), dtype=np.uint8),
        "coarse": rng.dirichlet(np.full(21, 0.2), (13, 13)).astype(np.float32),
        "labels": np.stack([blobs(rng, shape, [3, 8, 15]) for _ in range(3)]),
        "classifier_scores": rng.normal(size=100),
        "size_thresholds": np.sort(rng.uniform(0, 0.3, (20, 4)), axis=1),
        "scores": np.array([3.0, 2.0, 1.0]),
    }
    return ImageProposals(**given | changes)


def test_the_papers_blocks_make_a_table():
    given = scene()
    table = FeatureTable.of_image("2007_000001", describe(given))
    assert tuple(table.blocks) == PAPER_BLOCKS and table.select().shape == (3, 1293)
    cells, _ = soft_targets_many(given.labels)
    np.testing.assert_array_equal(table.blocks["segnet"], segnet_features(given.coarse, cells))
    expected = classification_features(given.classifier_scores, given.size_thresholds, class_shares(given.labels))
    np.testing.assert_array_equal(table.blocks["classification"], expected)
    expected = rerank_features(given.labels, edge_map(given.image), scores=given.scores)
    np.testing.assert_array_equal(table.blocks["rerank"], expected)
    assert table.names() == segnet_feature_names() + classification_feature_names() + rerank_feature_names()


def test_options_are_used():
    given = scene(1)
    other = describe(scene(1, eps=0.1, segments=[None] * 3), list(BLOCKS))
    np.testing.assert_array_equal(other["segnet"][1], segnet_features(given.coarse, given.cells, eps=0.1))
    gated, ungated = (other[name][1] for name in ("classification", UNGATED))
    assert np.ptp(ungated, axis=0).max() == 0 < np.ptp(gated, axis=0).max()
    np.testing.assert_array_equal(ungated[0], given.classifier_scores.astype(np.float32))
    FeatureTable.of_image("one", other)  # no name is duplicated
    bare = scene(image=given.image[:, :, 0], scores=None, classifier_scores=None)
    columns, values = describe(bare, ["rerank"])["rerank"]
    assert not values[:, columns.index("map_score")].any()


def test_other_classes():
    rng = np.random.default_rng(0)
    described = describe(
        ImageProposals(
            np.zeros((20, 21, 3), np.uint8),
            rng.dirichlet(np.ones(3), (5, 7)),
            rng.integers(0, 3, (2, 20, 21)),
            classifier_scores=np.ones(10),
            size_thresholds=np.ones((2, 4)),
            class_names=["ground", "sky", "sea"],
        )
    )
    assert [values.shape[1] for _, values in described.values()] == [14, 10, 261]
    FeatureTable.of_image("one", described)


def test_a_block_from_outside(monkeypatch):
    def sizes(proposals):
        return class_shares(proposals.labels, num_classes=proposals.num_classes).astype(np.float32)

    monkeypatch.setitem(BLOCKS, "sizes", Block(lambda names: tuple(f"size_{name}" for name in names[1:]), sizes))
    given = scene()
    table = FeatureTable.of_image("one", describe(given, ["sizes", "segnet"]))
    assert table.names(["sizes"])[2] == "size_bird"
    np.testing.assert_allclose(table.select()[:, 2], (given.labels == 3).mean(axis=(1, 2)), rtol=1e-6)
    monkeypatch.setitem(BLOCKS, "short", Block(lambda names: ("one",), sizes))
    with pytest.raises(ShapeError, match=r"block 'short': computes \(3, 20\) for 3 proposals and 1 columns"):
        describe(given, ["short"])


def test_what_does_not_fit():
    for blocks in (["colour"], [], ["segnet", "segnet"]):
        with pytest.raises(ConfigError, match="blocks"):
            describe(scene(), blocks)
    for name in ("classifier_scores", "size_thresholds"):
        with pytest.raises(ConfigError, match="give both"):
            describe(scene(**{name: None}))
    given = scene()
    for changes in ({"image": given.image[1:]}, {"labels": given.labels[0]}):
        with pytest.raises(ShapeError, match="labels"):
            scene(**changes)
    with pytest.raises(ShapeError, match="21 class names"):
        scene(coarse=given.coarse[..., :20])
    with pytest.raises(DatasetError, match="too small"):
        describe(scene(image=given.image[:12], labels=given.labels[:, :12]))
