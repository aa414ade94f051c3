"""Images and their label maps as data of the browser in an HTML report; `browser.js` shows them."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from tinysegrank.reporting.panels import PanelRow, stretch
from tinysegrank.voc import VOC, VOID, Classes

SIDE = 384
"""Longest side at which images are stored, in pixels."""
_HIGHEST = 16383  # pixels of a WebP
_QUALITY = 50  # of photographs, 0..100


@dataclass(frozen=True)
class Browser:
    """The images of a browser in an HTML report, and the methods that label them."""

    images: Sequence[Mapping[str, Any]]  # of each, what `packed` returns
    methods: Sequence[str]  # names of the ways of labelling, in order
    first: str  # the method that the others are compared with
    chosen: str  # the method whose gain is shown first
    classes: Classes = VOC

    def to_json(self) -> str:
        """Return the browser as JSON that can stand within a script element: it holds no "<"."""
        labels = {**dict(enumerate(self.classes.names)), VOID: self.classes.name(VOID)}
        named = {label: [name, self.classes.palette[label].tolist()] for label, name in labels.items()}
        of_all = {"classes": named, "methods": self.methods, "first": self.first, "chosen": self.chosen}
        text = json.dumps({**of_all, "images": self.images}, separators=(",", ":"), allow_nan=False)
        return text.replace("<", "\\u003c")


def packed(
    row: PanelRow, iou: Mapping[str, float], picks: Mapping[str, str], ious: Mapping[str, float]
) -> dict[str, Any]:
    """Return an image with its label maps, scaled down to at most SIDE pixels a side, as values for JSON.

    Label maps are sampled at the centres of the smaller image's pixels. All are in one lossless WebP of class numbers,
    below one another in as few columns as fit: they are alike, so that one file is far smaller than several.

    Args:
        row: the image and its maps, the truth first; captions are shown below the maps.
        iou: the image's IoU by each method, per cent, by name of the method.
        picks: heading of the map that each method gives, by name of the method.
        ious: IoU of each map, per cent, by its heading.
    """
    height, width = (max(1, round(n * min(1, SIDE / max(row.image.shape[:2])))) for n in row.image.shape[:2])
    at_row, at_column = (
        ((np.arange(small) + 0.5) * large / small).astype(int)
        for small, large in zip((height, width), row.image.shape, strict=False)
    )
    maps = [stretch(labels, row.image)[at_row[:, None], at_column] for labels in row.labels.values()]
    per_column = min(len(maps), _HIGHEST // height)
    maps += [np.zeros_like(maps[0])] * (-len(maps) % per_column)
    columns = [np.concatenate(maps[start : start + per_column]) for start in range(0, len(maps), per_column)]
    grey = Image.fromarray(np.concatenate(columns, axis=1)).convert("RGB")
    photograph = Image.fromarray(row.image).resize((width, height), Image.Resampling.LANCZOS)
    return {
        "name": row.name,
        "classes": [int(k) for k in np.unique(next(iter(row.labels.values()))) if k not in (0, VOID)],
        "iou": dict(iou),
        "picks": dict(picks),
        "maps": [{"title": title, "iou": ious.get(title), "note": row.captions.get(title, "")} for title in row.labels],
        "size": [width, height, per_column],
        "photograph": _webp(photograph, quality=_QUALITY),
        "labels": _webp(grey, lossless=True, quality=_QUALITY, method=2),
    }


def _webp(image: Image.Image, **options: Any) -> str:
    """Return an image as a data: URL of a WebP file."""
    stream = io.BytesIO()
    image.save(stream, "WEBP", **options)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
