import contextlib
import errno
import os
import re
import struct
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from tinysegrank.errors import DatasetError
from tinysegrank.voc import read_image

try:
    from PIL.AvifImagePlugin import SUPPORTED as AVIF
except ImportError:  # before Pillow 11.3
    AVIF = False


@pytest.fixture
def rng_image():
    return np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8)


def test_rgb_png_comes_back_as_written(tmp_path, rng_image):
    Image.fromarray(rng_image).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, rng_image)
    image[0, 0] = 0  # writable


def test_grey_has_three_equal_channels(tmp_path, rng_image):
    Image.fromarray(rng_image[..., 0]).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.repeat(rng_image[..., :1], 3, axis=2))


def test_cmyk_jpeg_is_near_the_colours_it_shows(tmp_path):
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan, full magenta and yellow: red
    cmyk.save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - (255, 0, 0)).max() <= 4


def test_transparent_pixels_show_white(tmp_path):
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 0] = 200
    rgba[0, :, 3] = 255, 0, 51  # opaque, clear, a fifth
    Image.fromarray(rgba).save(tmp_path / "a.png")
    expected = [[200, 0, 0], [255, 255, 255], [244, 204, 204]]
    assert np.abs(read_image(tmp_path / "a.png")[0].astype(int) - expected).max() <= 1


def test_palette_picture_with_a_transparent_entry(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "a.png", transparency=0)
    assert read_image(tmp_path / "a.png").tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_sixteen_bit_grey_is_scaled_not_cut_off(tmp_path):
    values = np.array([[0, 128, 129, 257, 30000, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    expected = [round(value * 255 / 65535) for value in values[0].tolist()]
    assert read_image(tmp_path / "a.png")[0, :, 0].tolist() == expected


def test_floating_point_pixels_are_refused(tmp_path):
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(DatasetError, match=r"a\.tiff: floating-point"):
        read_image(tmp_path / "a.tiff")


def test_thirty_two_bit_pixels_beyond_sixteen_bits_are_refused(tmp_path):
    Image.fromarray(np.full((4, 4), 70000, np.int32)).save(tmp_path / "a.tiff")
    with pytest.raises(DatasetError, match=r"outside 0\.\.65535"):
        read_image(tmp_path / "a.tiff")


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (6, lambda a: np.rot90(a, -1)),
        (8, lambda a: np.rot90(a, 1)),
    ],
)
def test_upright_follows_exif_orientation_and_the_default_does_not(tmp_path, rng_image, orientation, turn):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(rng_image).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), rng_image)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", upright=True), turn(rng_image))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"gone\.jpg: cannot be read: No such file or directory; check the path"):
        read_image(tmp_path / "gone.jpg")


def test_text_and_empty_files_are_no_images(tmp_path):
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.jpg").write_bytes(b"")
    for name, words in (("text.jpg", "first bytes match none of JPEG, PNG"), ("empty.jpg", "is empty")):
        with pytest.raises(DatasetError, match=f"cannot be read as an image.*{words}"):
            read_image(tmp_path / name)


def test_a_folder_is_named_as_one(tmp_path):
    with pytest.raises(DatasetError, match=rf"{tmp_path}: is a folder; give its files, e\.g\. {tmp_path}/\*\.jpg$"):
        read_image(tmp_path)


LOSSLESS = {"png": {}, "bmp": {}, "tiff": {"compression": "tiff_lzw"}, "ppm": {}, "webp": {"lossless": True}}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_the_kind_is_told_from_the_content_not_the_name(tmp_path, rng_image, kind):
    path = tmp_path / "photo.jpg"
    Image.fromarray(rng_image).save(path, kind, **LOSSLESS[kind])
    np.testing.assert_array_equal(read_image(path), rng_image)


def test_gif_and_the_two_pictures_of_an_mpo(tmp_path, rng_image):
    few = rng_image // 128 * 255  # eight colours, which a palette keeps
    Image.fromarray(few).save(tmp_path / "a.gif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif"), few)
    flat = [Image.new("RGB", (32, 16), colour) for colour in ("red", "blue")]
    flat[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=flat[1:], quality=95)
    assert b"MPF" in (tmp_path / "a.jpg").read_bytes()
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - (255, 0, 0)).max() <= 4  # the first


@pytest.mark.skipif(not AVIF, reason="this Pillow has no AVIF")
def test_avif(tmp_path):
    Image.new("RGB", (32, 16), (200, 100, 50)).save(tmp_path / "a.avif", quality=95)
    assert np.abs(read_image(tmp_path / "a.avif").astype(int) - (200, 100, 50)).max() <= 6


def test_a_kind_that_this_pillow_lacks_is_named(tmp_path, rng_image, monkeypatch):
    Image.fromarray(rng_image).save(tmp_path / "a.webp")
    factory, _ = Image.OPEN["WEBP"]
    answer = "image file could not be identified because WEBP support not installed"
    monkeypatch.setitem(Image.OPEN, "WEBP", (factory, lambda header: header[8:12] == b"WEBP" and answer))
    with pytest.raises(DatasetError, match=rf"a\.webp: {answer}; convert it to JPEG or PNG$"):
        read_image(tmp_path / "a.webp")


def test_a_postscript_file_starts_no_program(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch '{tmp_path}/started'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # look for it anew
    path = tmp_path / "photo.jpg"
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\nshowpage\n%%EOF\n")
    with Image.open(path) as other, contextlib.suppress(OSError):
        other.load()
    assert (tmp_path / "started").exists()  # the bait works
    (tmp_path / "started").unlink()
    with pytest.raises(DatasetError, match=r"photo\.jpg: cannot be read as an image, its first bytes match none"):
        read_image(path)
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("kind", ["eps", "ico", "jp2", "pcx", "tga", "sgi", "dds"])
def test_kinds_that_few_have_are_refused(tmp_path, rng_image, kind):
    Image.fromarray(rng_image).save(tmp_path / f"a.{kind}")
    with pytest.raises(DatasetError, match="first bytes match none"):
        read_image(tmp_path / f"a.{kind}")


@pytest.mark.parametrize(("brand", "others"), [(b"heic", b"mif1heic"), (b"mif1", b"mif1heicmiaf"), (b"heix", b"")])
def test_heic_is_known_by_content(tmp_path, monkeypatch, brand, others):
    monkeypatch.setitem(sys.modules, "pi_heif", None)  # as if it were not installed
    box = struct.pack(">I", 16 + len(others)) + b"ftyp" + brand + bytes(4) + others
    (tmp_path / "photo.jpg").write_bytes(box + b"\x00\x00\x01\x00meta" + bytes(300))
    with pytest.raises(DatasetError, match=r"photo\.jpg: is a HEIC photograph.*convert it to JPEG$"):
        read_image(tmp_path / "photo.jpg")


def header_only_png(path, width, height):
    data = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + data + struct.pack(">I", zlib.crc32(data))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 2**20) + b"IDAT")


@pytest.mark.parametrize(("width", "height"), [(10_000, 8_948), (13_000, 13_000), (60_000, 60_000)])
def test_more_pixels_than_the_limit_are_refused_from_the_header(tmp_path, width, height):
    header_only_png(tmp_path / "a.png", width, height)  # 89.48, 169 and 3,600 megapixels
    with pytest.raises(
        DatasetError, match=rf"a\.png: has {width} x {height} pixels.*limit of 89,478,485; scale it down"
    ):
        read_image(tmp_path / "a.png")


def test_the_limit_is_pillows_own(tmp_path, rng_image, monkeypatch):
    Image.fromarray(rng_image).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", rng_image.shape[0] * rng_image.shape[1])
    assert read_image(tmp_path / "a.png").shape == rng_image.shape
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", rng_image.shape[0] * rng_image.shape[1] - 1)
    with pytest.raises(DatasetError, match="limit of 125"):
        read_image(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert read_image(tmp_path / "a.png").shape == rng_image.shape


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES, errno.EIO, errno.ENOSPC])
def test_what_the_system_refuses_is_no_damage(tmp_path, rng_image, monkeypatch, number):
    Image.fromarray(rng_image).save(tmp_path / "a.png")

    def refuse(path, *_):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DatasetError, match=rf"a\.png: cannot be read: {re.escape(os.strerror(number))};") as caught:
        read_image(tmp_path / "a.png")
    assert not re.search("damage|copy|again", str(caught.value))


def test_every_image_of_the_package_is_opened_in_one_place():
    package = Path(__file__).parents[2] / "tinysegrank"
    found = [p.name for p in package.rglob("*.py") if re.search(r"Image\.OPEN\b|Image\.open\(|imread", p.read_text())]
    assert found == ["images.py"]


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_truncated_file_is_a_dataset_error(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    noise = np.random.default_rng(1).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    for length in (1, 8, 20, 40, 100, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(DatasetError, match="cannot be read as an image"):
            read_image(path)


@pytest.mark.parametrize("kind", ["jpeg", "png", "bmp", "gif", "tiff", "webp", "ppm", "avif"])
def test_damage_never_raises_anything_else(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)  # a damaged size would take its time
    if kind == "avif" and not AVIF:
        pytest.skip("this Pillow has no AVIF")
    path, rng = tmp_path / f"a.{kind}", np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(path)
    whole, refused = path.read_bytes(), 0
    places = [*range(min(40, len(whole))), *rng.integers(0, len(whole), 40)]
    with warnings.catch_warnings(action="ignore"):
        for place in places:
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
            try:
                read_image(path)
            except DatasetError:
                refused += 1
    assert refused > 5
