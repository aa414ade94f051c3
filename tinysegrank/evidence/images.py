"""Measures of single images of val, and the rules by which some of them are shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.evaluation import read_confusions
from tinysegrank.metrics import mean_of_present
from tinysegrank.voc import BACKGROUND

SHOWN = 4


@dataclass(frozen=True)
class Images:
    """Measures of each image of val, by labelling: "naive", "superpixel", "1-best", "Eq. 17", "SVM", "oracle".

    iou     | each (N,) | float64 | IoU of the image, 0..1
    objects | each (N,) | float64 | share of the pixels that are not background; "truth" too
    """

    iou: dict[str, np.ndarray]
    objects: dict[str, np.ndarray]

    def gain(self, of: str, over: str) -> np.ndarray:
        """IoU of one labelling less that of another, (N,)."""
        return np.asarray(self.iou[of] - self.iou[over])


def places(run: Run) -> dict[str, str]:
    """The folder of each labelling."""
    loss = run.settings.ranking.loss
    return {
        "naive": f"upsampled/naive-{loss}",
        "superpixel": f"upsampled/superpixel-{loss}",
        "1-best": "picked/1-best",
        "Eq. 17": f"picked/segnet-{loss}",
        "SVM": "picked/svm",
        "oracle": "picked/oracle",
    }


def measure(run: Run) -> Images:
    """Measure every image of val."""
    iou, objects = {}, {}
    for name, place in places(run).items():
        rows = read_confusions(run, place)
        iou[name] = np.nan_to_num(mean_of_present(rows))
        objects[name] = 1 - rows[..., BACKGROUND].sum(axis=1) / np.maximum(rows.sum(axis=(1, 2)), 1)
        objects["truth"] = 1 - rows[:, BACKGROUND].sum(axis=1) / np.maximum(rows.sum(axis=(1, 2)), 1)
    return Images(iou, objects)


def figure_3(images: Images) -> np.ndarray:
    """Largest losses of Eq. 17 to the 1-best where SegNet's argmax, and then the choice, label too much as object."""
    too_much = (images.objects["naive"] > images.objects["truth"]) & (
        images.objects["Eq. 17"] > images.objects["1-best"]
    )
    return largest(images.gain("1-best", "Eq. 17"), too_much)


def figure_4_ranker(images: Images) -> np.ndarray:
    """Largest gains, then largest losses, of the SVM against Eq. 17."""
    gain = images.gain("SVM", "Eq. 17")
    half = SHOWN // 2
    return np.concatenate([largest(gain, gain > 0)[:half], largest(-gain, gain < 0)[:half]])


def figure_5(images: Images) -> np.ndarray:
    """Largest gains of Eq. 17 over the 1-best where it chose the smaller object, not none at all."""
    size = images.objects["Eq. 17"]
    return largest(images.gain("Eq. 17", "1-best"), (size > 0) & (size < images.objects["1-best"]))


def largest(gain: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The images with the largest gains above 0 among some, the best first."""
    order = np.argsort(-gain, kind="stable")
    return np.asarray(order[(gain > 0)[order] & among[order]][:SHOWN])
