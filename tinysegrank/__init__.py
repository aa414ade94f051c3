"""Semantic segmentation by ranking graphical-model proposals with a small ConvNet, from scratch on NumPy.

After Cogswell, Lin, Purushwalkam and Batra, "Combining the Best of Graphical Models and ConvNets for Semantic
Segmentation". Subpackages, such as `tinysegrank.nn`, are imported when they are first used, so that importing the
package alone stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from os import PathLike

    from tinysegrank.experiment import Segmenter

__version__ = "0.1.0"


def load(run: str | PathLike[str]) -> Segmenter:
    """Return a Segmenter, which labels photographs with a finished run.

    `tinysegrank.load("runs/demo")("photo.jpg").labels` is a label map.

    Raises:
        CheckpointError: the folder is not a finished run, or a file of it is damaged.
        ConfigError, WeightsError, BackendError: its settings, its weight file or the backend cannot be used.
    """
    from tinysegrank.experiment import Segmenter

    return Segmenter(run)


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):
        try:
            return import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
