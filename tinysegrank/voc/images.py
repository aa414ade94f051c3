"""Photographs in: any common image file becomes (H, W, 3) uint8 RGB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tinysegrank.errors import DatasetError

_SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N")


@contextmanager
def opened(path: Path | str) -> Iterator[Image.Image]:
    """Open an image file with PIL; whatever is wrong with the file, then or while its pixels are read, is one error.

    Raises:
        DatasetError: the file is missing, or is not a whole image.
    """
    path = Path(path)
    try:
        with Image.open(path) as image:
            yield image
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: there is no such file; check the path") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        # PIL reports a damaged PNG as SyntaxError and a damaged header as ValueError
        raise DatasetError(f"{path}: cannot be read as an image ({error}); copy or download it again") from error


def read_image(path: Path | str, *, upright: bool = False) -> np.ndarray:
    """Read a photograph.

    returns | (H, W, 3) | uint8 | R, G, B in 0..255

    Grey, palette, CMYK and 16-bit files are converted; transparent pixels show white beneath.

    Args:
        path: a JPEG, PNG or other file that PIL reads.
        upright: turn the picture as its EXIF orientation says. For photographs of one's own; images that have masks
            are read as stored, because their masks are.

    Raises:
        DatasetError: the file is missing, is not a whole image, or has pixels of a kind with no known range.
    """
    with opened(path) as image:
        image.load()
        turned = ImageOps.exif_transpose(image) if upright else image
        return np.array(_to_rgb(turned, path))


def _to_rgb(image: Image.Image, path: Path | str) -> Image.Image:
    if image.mode in _SIXTEEN_BIT:
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise DatasetError(f"{path}: pixels outside 0..65535; convert it to 8 bits a channel")
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")  # 65535 = 255 * 257
    if image.mode == "F":
        raise DatasetError(f"{path}: floating-point pixels have no known range; convert it to 8 bits a channel")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")
