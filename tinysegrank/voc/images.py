"""Read photographs: any common image file becomes (H, W, 3) uint8 RGB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps

from tinysegrank.errors import DatasetError, explain_os_error

# no format that runs a program, as PostScript does, and none that its first bytes do not identify
_PLUGINS = ("Jpeg", "Png", "Bmp", "Gif", "Tiff", "WebP", "Ppm", "Avif")
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}
_HEADER = 64  # bytes that identify the format
_SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N")


@contextmanager
def opened(path: Path | str) -> Iterator[Image.Image]:
    """Open an image file, as a context manager; its pixels can be decoded inside. The package opens all images here.

    The format is recognised by the content: JPEG, PNG, BMP, GIF, TIFF, WebP, PPM, and AVIF if the installed Pillow has
    it. Other formats of Pillow are refused, as it starts other programs for some.

    Raises:
        DatasetError: the file is missing, is not a complete image of these formats, or has more than
            PIL.Image.MAX_IMAGE_PIXELS pixels; also if decoding its pixels within the context fails.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            image = _open_header(stream, path)
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and image.width * image.height > limit:
                raise DatasetError(
                    f"{path}: has {image.width} x {image.height} pixels, more than the limit of {limit:,}; scale it"
                    " down (or set PIL.Image.MAX_IMAGE_PIXELS)"
                )
            yield image
    except (DatasetError, MemoryError):
        raise
    except Exception as error:  # PIL raises nearly every kind of exception for damage
        if isinstance(error, OSError) and error.errno is not None:
            if path.is_dir():
                raise DatasetError(f"{path}: is a folder; give its files, e.g. {path}/*.jpg") from error
            raise DatasetError(explain_os_error(path, error)) from error
        raise DatasetError(f"{path}: cannot be read as an image ({error}); copy or download it again") from error


def _open_header(stream: IO[bytes], path: Path) -> Image.Image:
    """Open a file in the first format that accepts its first bytes.

    This replaces Image.open, which checks the number of pixels by itself, and may only warn.
    """
    header = stream.read(_HEADER)
    if not header:
        raise DatasetError(f"{path}: cannot be read as an image, it is empty; copy or download it again")
    brands = {header[i : i + 4] for i in range(8, min(int.from_bytes(header[:4]), _HEADER), 4)}
    if header[4:8] == b"ftyp" and brands & _HEIC:
        raise DatasetError(f"{path}: is a HEIC photograph, which is not read here; convert it to JPEG or PNG")
    for kind in _kinds():
        factory, accepts = Image.OPEN[kind]
        answer = accepts is None or accepts(header[:16])
        if isinstance(answer, str):  # this Pillow was built without the format
            raise DatasetError(f"{path}: {answer}; convert it to JPEG or PNG")
        if answer:
            stream.seek(0)
            return factory(stream, "")
    raise DatasetError(
        f"{path}: cannot be read as an image, its first bytes match none of {', '.join(_kinds())};"
        " convert it to JPEG or PNG, or copy it again if it was one"
    )


@cache
def _kinds() -> tuple[str, ...]:
    """Import Pillow's plugin of each format, and return the formats that it has."""
    for name in _PLUGINS:
        with suppress(ImportError):  # AVIF came with Pillow 11.3
            import_module(f"PIL.{name}ImagePlugin")
    return tuple(name.upper() for name in _PLUGINS if name.upper() in Image.OPEN)


def read_image(path: Path | str, *, upright: bool = False) -> np.ndarray:
    """Read a photograph.

    returns | (H, W, 3) | uint8 | R, G, B in 0..255

    Grey, palette, CMYK and 16-bit files are converted; transparent pixels are blended with white.

    Args:
        path: a JPEG, PNG, BMP, GIF, TIFF, WebP, PPM or AVIF file, with any ending.
        upright: rotate the image by its EXIF orientation. Leave it False for images with masks, which fit the image as
            stored.

    Raises:
        DatasetError: the file is missing, is not a complete image of these formats, has more than
            PIL.Image.MAX_IMAGE_PIXELS pixels, or has floating-point pixels.
    """
    with opened(path) as image:
        image.load()
        turned = ImageOps.exif_transpose(image) if upright else image
        return np.array(_to_rgb(turned, path))


def _to_rgb(image: Image.Image, path: Path | str) -> Image.Image:
    if image.mode in _SIXTEEN_BIT:
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise DatasetError(f"{path}: pixels outside 0..65535; convert it to 8 bits per channel")
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")  # 65535 = 255 * 257
    if image.mode == "F":
        raise DatasetError(f"{path}: floating-point pixels have no known range; convert it to 8 bits per channel")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")
