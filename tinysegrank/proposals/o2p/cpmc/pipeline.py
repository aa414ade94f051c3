"""All steps of CPMC: make ranked, diverse segments of an image, and examples to train the ranker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tinysegrank.config import Options, option
from tinysegrank.errors import ShapeError
from tinysegrank.proposals.o2p.cpmc import filters
from tinysegrank.proposals.o2p.cpmc.cuts import connected_parts, parametric_cuts
from tinysegrank.proposals.o2p.cpmc.description import segment_features
from tinysegrank.proposals.o2p.cpmc.gains import colour_gains, frame_hypotheses, grid_seeds, lambdas, uniform_gains
from tinysegrank.proposals.o2p.cpmc.graph import UNIT, Boundaries, edge_map, find_boundaries, oversegment
from tinysegrank.proposals.o2p.cpmc.ranker import SegmentRanker
from tinysegrank.proposals.o2p.segments import Segments, segment_overlaps
from tinysegrank.superpixels import as_rgb
from tinysegrank.voc import VOID, find_objects

UNIFORM_UPPER, COLOUR_UPPER = 150.0, 300.0  # largest lambda without and with colour
LARGEST_RATIO = 250.0  # cut ratio of a segment that is kept

Columns = Callable[[Segments], np.ndarray]
"""A function that describes segments of an image by further columns, (R, d), beside `segment_features`."""


@dataclass(frozen=True)
class CpmcOptions(Options):
    """Options for making segments.

    superpixels: number of superpixels to aim at.
    grid: number of seeds down and across.
    seed: side of the square seeds, pixels.
    steps: number of cuts per hypothesis besides the one at lambda = 0; lambda is the gain of each foreground pixel.
    smallest: size of the smallest segment kept, pixels.
    sample: number of segments drawn at random before they are compared with each other.
    count: largest number of segments returned.
    relevance: weight of the score against the overlap with better segments, 0..1.
    """

    superpixels: int = option(800, at_least=1)
    grid: int = option(5, at_least=1)
    seed: int = option(40, at_least=1)
    steps: int = option(20, at_least=1)
    smallest: int = option(100, at_least=1)
    sample: int = option(1000, at_least=1)
    count: int = option(150, at_least=1)
    relevance: float = option(0.75, at_least=0, at_most=1)


class Candidates(NamedTuple):
    """Segments before ranking.

    superpixels | (H, W) | int32      | 0..S-1
    boundaries  |        | Boundaries | between the superpixels
    members     | (R, S) | bool       | superpixels of each segment
    ratios      | (R,)   | float64    | cut ratio of each segment, from `cut_ratios`
    """

    superpixels: np.ndarray
    boundaries: Boundaries
    members: np.ndarray
    ratios: np.ndarray

    @property
    def segments(self) -> Segments:
        """The segments, scored by minus their cut ratios."""
        return Segments(self.superpixels, self.members, -self.ratios)


def candidates(
    image: np.ndarray, *, lab: np.ndarray | None = None, options: CpmcOptions | None = None, rng: np.random.Generator
) -> Candidates:
    """Find the segments of an image that are worth ranking.

    Cuts from seeds on a grid and against parts of the frame are split into connected parts. Dropped are small parts,
    those with a high cut ratio, duplicates, and all but the best of each group of similar ones.

    image | (H, W) or (H, W, 3) | uint8   | 0..255; any size
    lab   | (H, W, 3)           | float32 | CIE Lab of `image`, if computed already

    Args:
        options: see `CpmcOptions`; the defaults if not given.
        rng: draws `options.sample` segments if there are more.

    Raises:
        ShapeError: the image is not 8-bit grey or RGB, or has no pixel, or `lab` is of another size.
    """
    options = options or CpmcOptions()
    rgb = as_rgb(image)
    edges = edge_map(rgb, lab=lab)
    superpixels = oversegment(edges, count=options.superpixels)
    boundaries = find_boundaries(superpixels, edges)
    areas = np.bincount(superpixels.ravel())
    colours = np.stack(
        [np.bincount(superpixels.ravel(), rgb[..., c].ravel()) / areas for c in range(3)], axis=1
    )  # (S, 3)

    seeds, frames = grid_seeds(superpixels, grid=options.grid, size=options.seed), frame_hypotheses(superpixels)
    uniform, wide = (lambdas(top, count=options.steps) for top in (UNIFORM_UPPER, COLOUR_UPPER))
    kept = []
    for gain in (
        uniform_gains(seeds, areas, uniform),
        uniform_gains(frames, areas, uniform),
        colour_gains(seeds, areas, wide, colours),
    ):
        cuts = parametric_cuts(boundaries.edges, boundaries.weight, gain)  # (B, L, S)
        parts = connected_parts(cuts.reshape(-1, len(areas)), boundaries.edges)
        parts = parts[parts @ areas >= options.smallest]
        kept.append(parts[filters.low_cut_ratios(filters.cut_ratios(parts, boundaries), limit=LARGEST_RATIO)])
    members = np.concatenate(kept)
    if len(members) > options.sample:
        members = members[np.sort(rng.choice(len(members), options.sample, replace=False))]
    members = members[filters.drop_duplicates(segment_overlaps(members, areas))]
    ratios = filters.cut_ratios(members, boundaries)
    best = filters.best_of_clusters(segment_overlaps(members, areas), ratios)
    return Candidates(superpixels, boundaries, members[best], ratios[best])


def cpmc(
    image: np.ndarray,
    ranker: SegmentRanker | None = None,
    *,
    columns: Columns | None = None,
    lab: np.ndarray | None = None,
    options: CpmcOptions | None = None,
    rng: np.random.Generator,
) -> Segments:
    """Make at most `options.count` segments of an image, ordered by quality and diversity.

    There may be none, as in an image of fewer pixels than `options.smallest`. For `image`, `lab`, `options`, `rng` and
    the errors see `candidates`.

    Args:
        ranker: predicts the best overlap of each segment with an object, which is its score; without a ranker the score
            is exp(-cut ratio / 1000).
        columns: describes the candidates further, as it did for the examples that the ranker was fitted on.

    Source: Carreira and Sminchisescu, "CPMC: automatic object segmentation using constrained parametric min-cuts", PAMI
    2012. The docstring of `proposals` lists the changes.
    """
    options = options or CpmcOptions()
    found = candidates(image, lab=lab, options=options, rng=rng)
    scores = np.exp(-found.ratios / UNIT) if ranker is None else ranker.predict(_features(image, found, columns))
    areas = np.bincount(found.superpixels.ravel())
    overlaps = segment_overlaps(found.members, areas)
    order = filters.diverse_order(scores, overlaps, count=options.count, relevance=options.relevance)
    return Segments(found.superpixels, found.members[order], scores[order])


def _features(image: np.ndarray, found: Candidates, columns: Columns | None) -> np.ndarray:
    features = segment_features(image, found.superpixels, found.boundaries, found.members)
    if columns is None:
        return features
    return np.concatenate([features, columns(found.segments)], axis=1)


class Examples(NamedTuple):
    """Training examples from one image; join those of several images with np.concatenate.

    features      | (R, D) | float64 | columns as SEGMENT_FEATURES, then those of `columns`, if given
    best_overlaps | (R,)   | float64 | largest IoU with an object of the image, void left out
    """

    features: np.ndarray
    best_overlaps: np.ndarray


def ranker_examples(
    image: np.ndarray,
    labels: np.ndarray,
    instances: np.ndarray | None = None,
    *,
    columns: Columns | None = None,
    options: CpmcOptions | None = None,
    rng: np.random.Generator,
) -> Examples:
    """Compute features and best overlaps of all candidates of a training image.

    image     | (H, W) or (H, W, 3) | uint8   | 0..255
    labels    | (H, W)              | integer | 0..K-1, or 255 where void
    instances | (H, W)              | integer | instance map, if there is one; see `find_objects`

    An image without an object gives no examples: every overlap would be 0, however good the segment. See `cpmc`
    for `columns`, and `candidates` for `options` and `rng`.

    Raises:
        ShapeError: the image is not 8-bit grey or RGB, or the labels or instances are of another size.
    """
    if labels.shape != image.shape[:2]:
        raise ShapeError(f"image {image.shape} and labels {labels.shape} must have the same size")
    objects, found = find_objects(labels, instances).masks, candidates(image, options=options, rng=rng)
    features = _features(image, found, columns)
    if not len(objects):
        return Examples(features[:0], np.zeros(0))
    return Examples(features, found.segments.overlaps_with(objects, known=labels != VOID).max(axis=1))
