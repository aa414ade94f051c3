"""Label counts over all masks of a split, to report them and to find masks of another convention.

Each mask may look right alone; together they can show that another tool numbered the labels.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tinysegrank.errors import DatasetError
from tinysegrank.voc.classes import BACKGROUND, CLASSES_FILE, VOC, VOID, Classes
from tinysegrank.voc.masks import BY_COLOUR, BY_NUMBER, RENUMBER, Mask, background_elsewhere, has_class_colours

_FEW = 5  # classes without a mask are named if there are no more than these


class Census:
    """Counts of the labels in any number of masks."""

    def __init__(self, classes: Classes = VOC) -> None:
        self.classes = classes
        self.images: Counter[int] = Counter()  # number of masks with each label
        self.pixels: Counter[int] = Counter()  # number of pixels of each label
        self.kinds: Counter[str] = Counter()  # number of masks of each kind, see `masks`
        self._first: dict[str, Path] = {}  # masks with palettes other than the classes', by kind
        self._coloured: Path | None = None  # a mask where label 0 is in use and coloured
        # a mask whose palette colours label 0, and another label that is black in it
        self._black: tuple[Path, int] | None = None

    def add(self, path: Path, mask: Mask) -> None:
        """Count a mask, which may be without its labels; `path` is its file, for error messages."""
        used = mask.used.tolist()
        self.images.update(used)
        self.pixels.update(dict(zip(used, mask.pixels.tolist(), strict=True)))
        self.kinds[mask.kind] += 1
        if mask.kind == BY_COLOUR or (mask.kind == BY_NUMBER and not has_class_colours(mask, self.classes)):
            self._first.setdefault(mask.kind, path)
        coloured, black = background_elsewhere(mask)
        if coloured and self._coloured is None:
            self._coloured = path
        if black and self._black is None:
            self._black = path, black[0]

    def refuse_other_palette(self) -> None:
        """Raise a DatasetError if the masks' palettes contradict each other.

        They do if some masks are read by colour and others, read by number, don't have their classes' colours; or if
        label 0 is coloured in one mask and another label is black in one.
        """
        if len(self._first) > 1:
            raise DatasetError(
                f"{self._first[BY_COLOUR]}: has the classes' colours under other numbers, so it is read by colour; but"
                f" {self._first[BY_NUMBER].name} has colours of no class; give {CLASSES_FILE} the colours of all masks"
            )
        if self._coloured and self._black:
            path, label = self._black
            raise DatasetError(
                f"{self._coloured}: label 0 is coloured, and in {path.name} label {label} is black; {RENUMBER}"
            )

    def refuse_no_object(self, what: str) -> None:
        """Raise a DatasetError, in which `what` names the masks, if every pixel is background or void."""
        if not self.pixels.keys() - {BACKGROUND, VOID}:
            hint = (
                f"objects may not be painted {VOID}, which is void"
                if self.pixels[VOID]
                else f"give masks with classes, 1 to {len(self.classes) - 1}"
            )
            raise DatasetError(f"no mask of {what} has an object; {hint}")

    def __str__(self) -> str:
        """Return a line with the kinds of masks, the classes found, and the masks and share of pixels of each class."""
        kinds = " and ".join(f"{count} {kind}" for kind, count in self.kinds.most_common())
        found = [k for k, _ in self.images.most_common() if k not in (BACKGROUND, VOID)]
        share = {k: f"{100 * pixels / self.pixels.total():.1f} %" for k, pixels in self.pixels.items()}
        listed = "; ".join(f"{self.classes.name(k)} {self.images[k]}, {share[k]}" for k in found)
        lacking = sorted(set(range(1, len(self.classes))) - set(found))
        without = f", without {self.classes.listed(lacking)}" if len(lacking) <= _FEW else ""
        whose = "VOC's " if self.classes == VOC else ""
        return (
            f"{kinds}; {len(found)} of {whose}{len(self.classes) - 1} classes{without if lacking else ''}"
            f" (masks and pixels of each: {listed}), {share.get(VOID, '0.0 %')} void"
        )
