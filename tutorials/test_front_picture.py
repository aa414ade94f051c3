"""README's picture shows a photograph, its coarse map, the two proposals most unlike the pick, and the pick."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tinysegrank.experiment import Segmentation
from tinysegrank.voc import VOC, overlay
from tutorials.front_picture import FILE, front_picture


def test_the_pick_and_the_proposals_most_unlike_it_are_painted() -> None:
    ranked = np.full((4, 140, 210), 8, np.uint8)  # a cat everywhere
    ranked[1, :10], ranked[2, :90], ranked[3, :50] = 0, 0, 0
    coarse = np.zeros((13, 13, 21), np.float32)
    coarse[..., 12] = 1  # a dog
    image = np.full((140, 210, 3), 90, np.uint8)
    page = np.asarray(front_picture(Segmentation(image, ranked[0], coarse, ranked, np.zeros(4), VOC)))
    labels = [np.zeros_like(ranked[0]), np.full_like(ranked[0], 12), ranked[2], ranked[3], ranked[0]]
    for column, (some, opacity) in enumerate(zip(labels, (0, 0.7, 0.7, 0.7, 0.7), strict=True)):
        panel = page[:140, column * 216 : column * 216 + 210]
        np.testing.assert_array_equal(panel, overlay(image, some, opacity) if opacity else image)


def test_the_picture_is_small() -> None:
    with Image.open(FILE) as picture:
        assert (picture.width, picture.height) == (5 * 216 - 6, 226) and FILE.stat().st_size < 60_000
