"""The data of a run, decoded once before any long work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinysegrank.errors import ConfigError, WeightsError
from tinysegrank.experiment.images import IMAGES, OBJECTS, SPLITS, WEIGHTS, open_split
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.settings import Settings
from tinysegrank.files import write_json
from tinysegrank.segnet import SegNet
from tinysegrank.stamps import file_digest


def check_settings(settings: Settings, *, truth: bool) -> None:
    """Check that settings and input files can work, before a run folder is made.

    Args:
        settings: settings of the run.
        truth: whether the masks of val are needed.

    Raises:
        DatasetError, WeightsError, ConfigError: a file or setting is wrong; the message names it.
    """
    train, val = open_split(settings, "train"), open_split(settings, "val")
    if both := sorted(set(train.names) & set(val.names)):
        raise ConfigError(
            f"{len(both)} images are both in {settings.data.train} and {settings.data.val}, such as {both[0]}; "
            f"a validation image must not be trained on"
        )
    if truth and val.masks is None:
        raise ConfigError(
            f"{settings.data.val}: the split has no masks, so nothing can be scored on it; pass --until ranker, or "
            f"set data.val to a split with masks"
        )
    trunk = settings.trunk
    if trunk.weights:
        SegNet(preset=trunk.preset).load_weights(trunk.weights)
    elif not trunk.pretrain_steps:
        raise WeightsError(
            f'the preset "{trunk.preset}" needs --weights FILE, which `tinysegrank fetch` downloads; '
            "--experiment demo takes a small network that needs none"
        )
    if settings.folds > len(train):
        lists = f"folds={settings.folds}: {train.split} lists {len(train)} image"
        if len(train) == 1:
            raise ConfigError(f"{lists}; a run needs at least 2, to learn from one part of them and test on the other")
        raise ConfigError(f"{lists}s; pass --set folds={len(train)} or less")


def listing(settings: Settings) -> dict[str, Any]:
    """List the image names of both splits, with size and time of every image's files, and those of the weight file.

    The list is quick to make, and changes when a file is replaced or an image moves to the other split.
    """
    listed: dict[str, Any] = {}
    for which in SPLITS:
        split = open_split(settings, which)
        files = [split.image_path, split.instances_path, *([split.labels_path] if split.masks else [])]
        listed[which] = [[name, *(_state(path(i)) for path in files)] for i, name in enumerate(split.names)]
    if settings.trunk.weights:
        listed["weights"] = _state(Path(settings.trunk.weights))
    return listed


def _state(path: Path) -> list[int] | None:
    """Return the size of a file in bytes and its time of modification in ns, or None if it doesn't exist."""
    try:
        now = path.stat()
    except FileNotFoundError:
        return None
    return [now.st_size, now.st_mtime_ns]


def make(run: Run) -> None:
    """Decode every file of both splits, and write the images' names and digests of the files' contents.

    Digests of data that only some stages read are in files of their own, so that only those stages depend on them.
    """
    for which, listed in zip(SPLITS, IMAGES, strict=True):
        split = open_split(run.settings, which)
        with run.progress.count(f"{which} images", len(split)) as advance:
            checked = split.check(jobs=run.jobs, advance=advance)
        found = checked.census if split.masks else "no masks, so only stages up to `ranker` can be done"
        run.progress.say(f"{which}: {len(split)} images of {split.root.name}/{split.split}; {found}")
        write_json(run.path_of(listed), {"names": list(split.names), "fingerprint": checked.fingerprint})
        if which == "train":
            objects = [path for i in range(len(split)) if (path := split.instances_path(i)).is_file()]
            write_json(run.path_of(OBJECTS), {path.stem: file_digest(path) for path in objects})
    if run.settings.trunk.weights:
        write_json(run.path_of(WEIGHTS), {"weights": file_digest(Path(run.settings.trunk.weights))})


STAGE = Stage("data", make, settings=lambda s: s.data, outside=listing)
