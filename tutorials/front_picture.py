"""Draw README's picture: a photograph, what a run proposes for it, and its pick.

    python -m tutorials.front_picture RUN [PHOTOGRAPH]

The photograph is scikit-image's `astronaut`: Eileen Collins, by NASA, in the public domain.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import tinysegrank
from tinysegrank.experiment import Segmentation
from tinysegrank.voc import overlay

FILE = Path(__file__).parent / "figures" / "front.png"
_WIDTH, _GAP, _LINE = 210, 6, 16


def front_picture(result: Segmentation) -> Image.Image:
    """Return in a row the photograph, the coarse map, the two proposals most unlike the pick, and the pick."""
    coarse = result.coarse.argmax(-1).astype(np.uint8)  # (h, w)
    height = round(_WIDTH * result.image.shape[0] / result.image.shape[1])
    enlarged = np.asarray(Image.fromarray(coarse).resize(result.labels.shape[::-1], Image.Resampling.NEAREST))
    others = sorted(range(1, len(result.ranked)), key=lambda m: -(result.ranked[m] != result.ranked[0]).mean())[:2]
    panels = {
        "a photograph": result.image,
        "the ConvNet's coarse map": overlay(result.image, enlarged, 0.7, result.classes),
        **{f"proposal {m + 1} of {len(result.ranked)}": _painted(result, m) for m in sorted(others)},
        f"the pick: {', '.join(name for name in result.names if name != 'background')}": _painted(result, 0),
    }
    page = Image.new("RGB", (len(panels) * (_WIDTH + _GAP) - _GAP, height + _LINE), "white")
    draw = ImageDraw.Draw(page)
    for column, (title, pixels) in enumerate(panels.items()):
        left = column * (_WIDTH + _GAP)
        page.paste(Image.fromarray(pixels).resize((_WIDTH, height), Image.Resampling.LANCZOS), (left, 0))
        draw.text((left + 2, height + 2), title, fill="black")
    return page


def _painted(result: Segmentation, number: int) -> np.ndarray:
    return overlay(result.image, result.proposal(number), 0.7, result.classes)


if __name__ == "__main__":
    import skimage

    run, *given = sys.argv[1:]
    photograph = given[0] if given else Path(skimage.__file__).parent / "data" / "astronaut.png"
    front_picture(tinysegrank.load(run)(photograph)).quantize(128).save(FILE, optimize=True)
