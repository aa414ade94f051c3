"""Label counts over all masks of a split, to find masks that follow another convention than VOC's.

Each mask may look right alone; together they can show that another tool numbered the labels.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Self

from tinysegrank.errors import DatasetError
from tinysegrank.voc.classes import BACKGROUND, VOC, VOID, Classes
from tinysegrank.voc.labels import RENUMBER, Mask, background_elsewhere


class Census:
    """Counts of the labels in any number of masks.

    Attributes:
        classes: the classes of the masks.
        images: number of masks with each label.
        pixels: number of pixels of each label.
    """

    def __init__(self, classes: Classes = VOC) -> None:
        self.classes = classes
        self.images: Counter[int] = Counter()
        self.pixels: Counter[int] = Counter()
        self._coloured: Path | None = None  # a mask where label 0 is in use and coloured
        # a mask whose palette colours label 0, and another label that is black in it
        self._black: tuple[Path, int] | None = None

    def add(self, path: Path, mask: Mask) -> Self:
        """Add a mask, in place."""
        used = mask.used.tolist()
        self.images.update(used)
        self.pixels.update(dict(zip(used, mask.pixels.tolist(), strict=True)))
        coloured, black = background_elsewhere(mask)
        if coloured and self._coloured is None:
            self._coloured = path
        if black and self._black is None:
            self._black = path, black[0]
        return self

    def merge(self, other: Census) -> Self:
        """Add the masks of another census, in place."""
        self.images.update(other.images)
        self.pixels.update(other.pixels)
        self._coloured = self._coloured or other._coloured
        self._black = self._black or other._black
        return self

    def refuse_other_palette(self) -> None:
        """Check that the masks together do not contradict VOC's palette.

        Raises:
            DatasetError: label 0 is coloured in one mask, and another label black in another.
        """
        if self._coloured and self._black:
            path, label = self._black
            raise DatasetError(
                f"{self._coloured}: label 0 is coloured, and in {path.name} label {label} is black; {RENUMBER}"
            )

    def refuse_no_object(self, what: str) -> None:
        """Check that at least one mask has an object.

        Args:
            what: name of the masks in the error, such as "split 'train'".

        Raises:
            DatasetError: every pixel is background or void.
        """
        if not self.pixels.keys() - {BACKGROUND, VOID}:
            hint = (
                f"are objects painted {VOID}, which is void?"
                if self.pixels[VOID]
                else f"give masks with classes, 1 to {len(self.classes) - 1}"
            )
            raise DatasetError(f"no mask of {what} has an object; {hint}")

    def __str__(self) -> str:
        """Return a line with the classes found, the number of masks with each, and the share of void pixels."""
        found = [(k, count) for k, count in self.images.most_common() if k not in (BACKGROUND, VOID)]
        listed = ", ".join(f"{self.classes.names[k]} {count}" for k, count in found)
        void = 100 * self.pixels[VOID] / max(self.pixels.total(), 1)
        return f"{len(found)} of {len(self.classes) - 1} classes (masks with each: {listed}), {void:.1f} % void"
