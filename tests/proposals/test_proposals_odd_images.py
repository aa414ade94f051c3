"""Images that no photographer takes, through the whole of module 1: always proposals of the image's size, or none at
all where the coarse grid cannot be laid over them."""

from __future__ import annotations

import numpy as np
import pytest

from tinysegrank.errors import DatasetError
from tinysegrank.proposals import (
    CrfEngine,
    PasteEngine,
    ProposalStore,
    SegmentOptions,
    divmbest,
    interleave,
    potts_weights,
    superpixel_features,
)
from tinysegrank.proposals.o2p.cpmc import SegmentRanker, cpmc, ranker_examples
from tinysegrank.proposals.o2p.second_order import DescriptorReduction, Projection, describe_segments
from tinysegrank.superpixels import region_graph, slic
from tinysegrank.voc import soft_targets_many

pytestmark = pytest.mark.slow

COUNT = 30
RNG = np.random.default_rng(0)


def noise(height, width):
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


IMAGES = {
    "blank": np.zeros((60, 80, 3), np.uint8),
    "white grey": np.full((40, 40), 255, np.uint8),
    "one colour": np.full((50, 70, 3), (200, 30, 90), np.uint8),
    "speck": np.pad(np.full((1, 1), 255, np.uint8), 30),
    "checkerboard": (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8),
    "noise": noise(45, 33),
    "smallest": noise(13, 13),
    "strip": noise(13, 400),
    "one row": noise(1, 300),
    "one column": noise(300, 1),
    "one pixel": noise(1, 1),
    "two by two": noise(2, 2),
    "12 by 12": noise(12, 12),
    "5 by 200": noise(5, 200),
}


@pytest.fixture(scope="module")
def model():
    """Fitted on two scenes of a bright disc before noise."""
    options, examples, scenes = SegmentOptions(length=16), [], []
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        image = rng.integers(60, 120, (60, 80, 3), dtype=np.uint8)
        disc = np.hypot(*(np.mgrid[:60, :80] - rng.integers(25, 35, (2, 1, 1)))) < 15
        image[disc] += 90
        labels = disc.astype(np.uint8)
        examples.append(ranker_examples(image, labels, None, options=options.cpmc, rng=np.random.default_rng(0)))
        scenes.append(image)
    ranker = SegmentRanker(waves=50).fit(
        *map(np.concatenate, zip(*examples, strict=True)), rng=np.random.default_rng(0)
    )
    reduction = DescriptorReduction.fit(scenes, sift=options.sift, lbp=options.lbp)
    found = [cpmc(image, ranker, options=options.cpmc, rng=np.random.default_rng(0)) for image in scenes]
    described = [describe_segments(*pair, reduction=reduction) for pair in zip(scenes, found, strict=True)]
    projection = Projection.fit(np.concatenate(described), rng=np.random.default_rng(0), size=options.length)
    return options, ranker, reduction, projection


def paste_engine(model, image):
    options, ranker, reduction, projection = model
    segments = cpmc(image, ranker, options=options.cpmc, rng=np.random.default_rng(0))
    features = projection.apply(describe_segments(image, segments, options=options.pooling, reduction=reduction))
    assert features.shape == (len(segments), 16)
    assert np.isfinite(features).all()
    scores = np.random.default_rng(1).normal(0.1, 0.2, (len(segments), 20))
    return PasteEngine(scores, segments, threshold=0.1)


def crf_engine(image):
    superpixels = slic(image)
    graph = region_graph(superpixels, image)
    features = superpixel_features(image, superpixels, graph)
    assert np.isfinite(features).all()
    unary = -np.log(np.random.default_rng(1).dirichlet(np.full(21, 0.3), len(features)) + 1e-6)
    return CrfEngine(unary, graph.edges, potts_weights(graph, strength=40.0), superpixels)


@pytest.mark.parametrize("name", IMAGES)
def test_both_engines_propose_for_any_image(tmp_path, model, name):
    image = IMAGES[name]
    pastings = divmbest(paste_engine(model, image), 0.08, COUNT)
    labellings = divmbest(crf_engine(image), 0.4, COUNT)
    assert len(pastings) == len(labellings) == COUNT
    for proposal in (*pastings, *labellings):
        assert proposal.labels.shape == image.shape[:2]
        assert proposal.labels.dtype == np.uint8
        assert proposal.labels.max() <= 20
        assert np.isfinite(proposal.score)
    both = interleave(pastings, labellings, count=COUNT)
    store = ProposalStore(tmp_path)
    store.write(name, both)
    labels, scores = store.read(name)
    np.testing.assert_array_equal(labels, np.stack([proposal.labels for proposal in both]))
    np.testing.assert_array_equal(scores, [proposal.score for proposal in both])
    if min(image.shape[:2]) < 13:
        with pytest.raises(DatasetError, match="too small for 13 tiles"):
            soft_targets_many(labels)
    else:
        assert np.isfinite(soft_targets_many(labels)[0]).all()


@pytest.mark.parametrize("name", ["one pixel", "two by two"])
def test_without_any_segment_all_is_background(model, name):
    engine = paste_engine(model, IMAGES[name])
    assert len(engine.segments) == 0
    for proposal in divmbest(engine, 0.08, COUNT):
        assert not proposal.labels.any()
        assert proposal.score == 0
