"""Add Berkeley's annotations (SBD) to VOC 2012: masks as PNG, and the split `train_aug`.

Source: Hariharan et al., "Semantic contours from inverse detectors", ICCV 2011. benchmark_RELEASE/dataset/cls/NAME.mat
holds a struct GTcls whose field Segmentation is a mask of VOC's classes, without void.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from tinysegrank.errors import DatasetError, OutputError
from tinysegrank.fetching.archives import opened_tar
from tinysegrank.fetching.download import Counter
from tinysegrank.fetching.matlab import read_field
from tinysegrank.files import reading, write_text
from tinysegrank.links import check_links
from tinysegrank.outputs import check_folder
from tinysegrank.voc import check_labels, write_labels
from tinysegrank.voc.images import opened
from tinysegrank.voc.masks import MASKS
from tinysegrank.voc.split import first_few, read_split, split_file

AUGMENTED = "train_aug"
_LARGEST = 1 << 24  # bytes of one .mat file; SBD's have a few thousand


def add_sbd(source: Path, root: Path, *, progress: Counter, replace: bool = False) -> Path:
    """Write SBD's masks of the images outside VOC's train and val, then the split `train_aug`; return its file.

    The split has VOC's train images and then the images of these masks. So no image of val is in it, and VOC's masks
    are used where both have one. The masks join VOC's in SegmentationClass/.

    Args:
        source: SBD's archive, benchmark.tgz, or the folder that it unpacks to.
        root: the VOC root, VOCdevkit/VOC2012.
        replace: replace masks that exist, and a `train_aug` that differs.

    Raises:
        DatasetError: the archive is missing or damaged or holds no annotations, a mask doesn't fit its image, VOC lacks
            a split or a photograph, or a link leads out of a folder that is written to.
        OutputError: a `train_aug` with other names exists, or the folder cannot be written.
    """
    train, val = (read_split(split_file(root, split)) for split in ("train", "val"))
    annotations = dict(_annotations(source, progress))
    more = sorted(annotations.keys() - {*train, *val})
    if not more:
        raise DatasetError(
            f"{source}: holds no cls/NAME.mat of an image outside VOC's train and val; give SBD's archive"
        )
    missing = [name for name in more if not (root / "JPEGImages" / f"{name}.jpg").is_file()]
    if missing:
        raise DatasetError(
            f"{root}: lacks the photographs of {len(missing)} of SBD's annotations: {first_few(missing)}; "
            "unpack VOC 2012 again, whose archive has them all"
        )
    target, text = split_file(root, AUGMENTED), "".join(f"{name}\n" for name in (*train, *more))
    if target.exists() and not replace and read_split(target) != (*train, *more):
        raise OutputError(f"{target}: exists and has other names; pass --force to replace it")
    for folder in (root / MASKS, target.parent):
        check_links(folder, DatasetError, deep=False)
        check_folder(folder, named=folder)
    with progress.count("SBD's masks", len(more)) as advance:
        for name in more:
            path = root / MASKS / f"{name}.png"
            if replace or not path.exists():
                write_labels(
                    path, _mask(annotations[name], f"{source}: {name}.mat", root / "JPEGImages" / f"{name}.jpg")
                )
            advance(1)
    write_text(target, text)
    return target


def _annotations(source: Path, progress: Counter) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of each cls/NAME.mat; nothing else in the archive is unpacked."""
    if source.is_dir():
        for path in sorted(source.rglob("cls/*.mat")):
            yield path.stem, path.read_bytes()
        return
    with opened_tar(source, progress=progress) as (archive, members):
        for member in members:
            inner = PurePosixPath(member.name)
            if not (member.isreg() and inner.suffix == ".mat" and inner.parent.name == "cls"):
                continue
            if member.size > _LARGEST:
                raise DatasetError(
                    f"{source}: {inner} has {member.size} bytes, far more than a mask; give SBD's archive"
                )
            content = archive.extractfile(member)
            if content is not None:
                yield inner.stem, content.read()


def _mask(content: bytes, named: str, photograph: Path) -> np.ndarray:
    with reading(named, DatasetError, fault="is not an annotation of SBD", remedy="download the archive again"):
        mask = read_field(content, "GTcls", "Segmentation")
    with opened(photograph) as image:
        if mask.shape != (image.height, image.width):
            raise DatasetError(f"{named}: shape {mask.shape} does not fit {photograph}, {image.width} x {image.height}")
    return check_labels(mask, name=named)
