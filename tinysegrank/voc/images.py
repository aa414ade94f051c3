"""Read photographs: any common image file becomes (H, W, 3) uint8 RGB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps
from PIL.ExifTags import Base

from tinysegrank.errors import DatasetError, ShapeError
from tinysegrank.files import reading

# no format that runs a program, as PostScript does, and none that its first bytes do not identify
_PLUGINS = ("Jpeg", "Png", "Bmp", "Gif", "Tiff", "WebP", "Ppm", "Avif")
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}
_HEADER = 64  # bytes that identify the format
_SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N")


@contextmanager
def opened(path: Path | str) -> Iterator[Image.Image]:
    """Open an image file, as a context manager; its pixels can be decoded inside. Every reader of images uses this.

    The format is recognised by the content: JPEG, PNG, BMP, GIF, TIFF, WebP, PPM, AVIF if the installed Pillow has it,
    and HEIC with the extra `heic`. Other formats of Pillow are refused, as it starts other programs for some.

    Raises:
        DatasetError: the file is missing, is not a complete image of these formats, or has more than
            PIL.Image.MAX_IMAGE_PIXELS pixels; also if decoding its pixels within the context fails.
        CheckpointError: it is a file of a run, and is not as its stamp says.
    """
    path = Path(path)
    if path.is_dir():
        raise DatasetError(f"{path}: is a folder; give its files, e.g. {path}/*.jpg")
    fault, remedy = "cannot be read as an image", "copy or download it again"
    with reading(path, DatasetError, fault=fault, remedy=remedy), path.open("rb") as stream:
        image = _open_header(stream, path)
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and image.width * image.height > limit:
            raise DatasetError(
                f"{path}: has {image.width} x {image.height} pixels, more than the limit of {limit:,}; scale it"
                " down (or set PIL.Image.MAX_IMAGE_PIXELS)"
            )
        yield image


def _open_header(stream: IO[bytes], path: Path) -> Image.Image:
    """Open a file in the first format that accepts its first bytes.

    This replaces Image.open, which checks the number of pixels by itself, and may only warn.
    """
    header = stream.read(_HEADER)
    if not header:
        raise DatasetError(f"{path}: cannot be read as an image, it is empty; copy or download it again")
    brands = {header[i : i + 4] for i in range(8, min(int.from_bytes(header[:4]), _HEADER), 4)}
    if header[4:8] == b"ftyp" and brands & _HEIC:
        return _heic(path)(stream, "")
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


def _heic(path: Path) -> Callable[[IO[bytes], str], Image.Image]:
    """Return the reader of HEIC photographs; raise a DatasetError that names `path` if it isn't installed."""
    try:
        from pi_heif import register_heif_opener
    except ImportError:
        raise DatasetError(
            f"{path}: is a HEIC photograph; pip install '.[heic]' in the checkout to read it, or convert it to JPEG"
        ) from None
    register_heif_opener()
    return Image.OPEN["HEIF"][0]


@cache
def _kinds() -> tuple[str, ...]:
    """Import Pillow's plugin of each format, and return the names of the formats that this Pillow can open."""
    for name in _PLUGINS:
        with suppress(ImportError):  # AVIF came with Pillow 11.3
            import_module(f"PIL.{name}ImagePlugin")
    return tuple(name.upper() for name in _PLUGINS if name.upper() in Image.OPEN)


def read_image(path: Path | str, *, upright: bool = False) -> np.ndarray:
    """Read an image file as RGB.

    returns | (H, W, 3) | uint8 | R, G, B in 0..255

    Grey, palette, CMYK and 16-bit files are converted; transparent pixels are blended with white.

    Args:
        path: a JPEG, PNG, BMP, GIF, TIFF, WebP, PPM, AVIF or HEIC file, with any ending.
        upright: rotate the image by its EXIF orientation. Leave it False for images with masks, which fit the image as
            stored.

    Raises:
        DatasetError: see `opened`; also if pixels are floating-point or outside 0..65535.
        CheckpointError: see `opened`.
    """
    with opened(path) as image:
        return _pixels(image, path, upright=upright)


def photograph(source: Path | str | Image.Image | np.ndarray) -> np.ndarray:
    """Return the pixels of a file or PIL image, rotated by its EXIF orientation; return an array as it is.

    source  | (H, W, 3) | uint8 | R, G, B in 0..255, if it is an array
    returns | (H, W, 3) | uint8 | R, G, B in 0..255

    Raises:
        DatasetError, CheckpointError: see `read_image`.
        ShapeError: an array has another shape or dtype, or `source` is none of these.
    """
    if isinstance(source, Path | str):
        return read_image(source, upright=True)
    if isinstance(source, Image.Image):
        return _pixels(source, "image", upright=True)
    if not hasattr(source, "__array__"):
        raise ShapeError(f"image: is a {type(source).__name__}; give one path, PIL image or array (H, W, 3) at a time")
    array = np.asarray(source)
    if array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8:
        return array
    raise ShapeError(
        f"image: shape {array.shape}, dtype {array.dtype}; give (H, W, 3) uint8, the channels R, G, B last, in 0..255"
    )


def reduced(image: np.ndarray, *, longest: int, shortest: int = 1) -> np.ndarray:
    """Scale an image down until its longer side has `longest` pixels or its shorter side `shortest`, if that is sooner.

    image   | (H, W, 3) | uint8 |
    returns | (h, w, 3) | uint8 | `image` itself if it is small enough
    """
    height, width = image.shape[:2]
    scale = max(longest / max(height, width), shortest / min(height, width))
    if scale >= 1:
        return image
    size = round(width * scale), round(height * scale)
    return np.array(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


def _pixels(image: Image.Image, path: Path | str, *, upright: bool) -> np.ndarray:
    image.load()
    turned = upright and image.getexif().get(Base.Orientation, 1) != 1
    return np.array(_to_rgb(ImageOps.exif_transpose(image) if turned else image, path))


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
    return image if image.mode == "RGB" else image.convert("RGB")  # not a copy: one of 12 megapixels has 48 MB
