"""How much of a run is left: from the time that its stages took so far, and what share of a run each usually takes."""

from __future__ import annotations

from collections.abc import Sequence

_PHOTOGRAPHS = {
    "data": 3, "trunk": 1, "features": 85, "training": 1800, "coarse": 3, "classifiers": 6,
    "superpixels": 20, "maps": 400, "upsampled": 4, "segments": 2200, "pooled": 100, "proposing": 460,
    "proposals": 240, "described": 140, "ranker": 27, "picked": 1, "evaluation": 2, "report": 5,
}  # fmt: skip
_DRAWINGS = {**_PHOTOGRAPHS, "trunk": 4000, "features": 300, "proposing": 1100, "superpixels": 400, "proposals": 400}
_FEWEST = 0.03  # share of the work done below which nothing is foretold


class Pace:
    """Estimates how long a command still takes, from the times of its stages so far.

    It knows how long each stage usually takes; only the ratios of these times matter.

    Args:
        stages: names of the stages, in order.
        pretrained: whether the trunk comes from a weight file; training one takes half of a small run.
    """

    def __init__(self, stages: Sequence[str], *, pretrained: bool) -> None:
        usual = _PHOTOGRAPHS if pretrained else _DRAWINGS
        self._numbers = {name: f"stage {number} of {len(stages)}: " for number, name in enumerate(stages, start=1)}
        self._left = {name: usual.get(name, 1) for name in stages}
        self._done = self._seconds = 0.0

    def number(self, name: str) -> str:
        """Return "stage 3 of 17: ", or "" for a stage that is not of the plan."""
        return self._numbers.get(name, "")

    def end(self, name: str, seconds: float | None = None) -> None:
        """Note that a stage took this long; None: it was kept, and says nothing about the pace."""
        usual = self._left.pop(name, 0)
        if seconds is not None:
            self._done, self._seconds = self._done + usual, self._seconds + seconds

    def left(self, name: str = "", seconds: float = 0.0, share: float = 0.0) -> float | None:
        """Return the seconds left of all stages, given the time and the share of the present one; None: too early."""
        now = self._left.get(name, 0) * share
        done, ahead = self._done + now, sum(self._left.values()) - now
        return (self._seconds + seconds) / done * ahead if done > _FEWEST * (done + ahead) else None


def duration(seconds: float) -> str:
    """Return a time to read, such as "40 s", "12 min" or "2 h 5 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
