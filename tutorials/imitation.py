"""What pages 13 and 14 rank: drawn scenes whose proposals and SegNet's maps are the truth, spoilt."""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from tinysegrank import metrics, voc

M = 10  # proposals of a scene
alike = (
    "aeroplane bird boat", "bicycle motorbike", "bus car train", "cat cow dog horse sheep",
    "chair diningtable sofa tvmonitor", "bottle person pottedplant",
)  # fmt: skip
mistaken_for = {}
for group in alike:
    members = [voc.CLASS_NAMES.index(name) for name in group.split()]
    mistaken_for |= {k: [other for other in members if other != k] for k in members}


def without_void(labels):
    """Give the void pixels, thin outlines, the label of the nearest pixel that has one."""
    nearest = ndimage.distance_transform_edt(labels == voc.VOID, return_distances=False, return_indices=True)
    return labels[tuple(nearest)]


def from_border(mask):
    """Distance of each pixel from the border of a mask, negative inside."""
    return np.where(mask, 0.5 - ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(~mask) - 0.5)


def damaged(objects, shape, rng):
    """A labelling in which something is wrong with every object."""
    labels = np.zeros(shape, dtype=np.uint8)
    for distance, k in objects:
        kind, pixels = rng.choice(["drop", "rename", "grow", "shrink"], p=[0.15, 0.25, 0.3, 0.3]), rng.integers(2, 9)
        if kind != "drop":
            limit = {"rename": 0, "grow": pixels, "shrink": -pixels}[kind]
            labels[distance < limit] = rng.choice(mistaken_for[k]) if kind == "rename" else k
    return labels


def imitated_map(truth, rng):
    """A distribution over the classes in each cell, (13, 13, K), that knows the truth more or less."""
    p = voc.soft_targets(truth, void=None)[0].astype(float)  # (13, 13, K)
    p = ndimage.gaussian_filter(p, (0.8, 0.8, 0))
    for k in np.unique(truth[truth > 0]):
        doubt = rng.beta(1, 2)
        p[..., rng.choice(mistaken_for[k])] += doubt * p[..., k]
        p[..., k] *= 1 - doubt
    p[..., voc.BACKGROUND] *= 2
    noisy = (p + 0.003) * np.exp(rng.standard_normal(p.shape))
    return noisy / noisy.sum(axis=-1, keepdims=True)


class Scene(NamedTuple):
    image: np.ndarray  # (H, W, 3)
    truth: np.ndarray  # (H, W), with void
    labels: np.ndarray  # (M, H, W), the proposals in the order of their engine
    scores: np.ndarray  # (M,), the engine's
    quality: np.ndarray  # (M,), image IoU
    coarse: np.ndarray  # (13, 13, K), SegNet's map
    soft: np.ndarray  # (M, 13, 13, K), the proposals on the same grid


def imitate(samples, seed):
    scenes = []
    for number in range(len(samples)):
        rng = np.random.default_rng([seed, number])
        truth = samples.labels(number)
        full = without_void(truth)
        objects = [(from_border(mask), int(k)) for mask, k in zip(*voc.find_objects(full), strict=True)]
        labels = np.stack([damaged(objects, truth.shape, rng) for _ in range(M)])
        quality = metrics.image_ious(truth, labels)
        scores = quality + 0.8 * rng.standard_normal(M)
        order = np.argsort(-scores)
        labels, soft = labels[order], voc.soft_targets_many(labels[order], void=None)[0]
        coarse = imitated_map(full, rng)
        scenes.append(Scene(samples.image(number), truth, labels, scores[order], quality[order], coarse, soft))
    return scenes


def imitated_scenes():
    """Return 60 scenes to learn from and 60 others to judge by."""
    with TemporaryDirectory() as folder:
        drawn = voc.make_toy_voc(folder, train=60, val=60, seed=0, size=(96, 144))
        return imitate(drawn.train, seed=1), imitate(drawn.val, seed=2)


def rows_of(scenes):
    """Return the image IoU (rows,), scene (rows,) and confusion matrix (rows, K, K) of each proposal of the scenes."""
    confusions = [metrics.image_confusions(scene.truth, scene.labels) for scene in scenes]
    quality = np.concatenate([scene.quality for scene in scenes])
    return quality, np.repeat(np.arange(len(scenes)), M), np.concatenate(confusions)


def corpus_iou(rows, confusions):
    """Return VOC's measure of the proposals in some rows: pixels are added up over all images, then divided."""
    total = metrics.Confusion(voc.NUM_CLASSES)
    total.matrix += confusions[rows].sum(axis=0)
    return total.mean_iou().value
