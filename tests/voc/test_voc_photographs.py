"""Photographs in every form that users have them in, reduced, and the legend below a picture."""

from __future__ import annotations

import base64
import sys

import numpy as np
import pytest
from PIL import Image

from tinysegrank.errors import DatasetError, ShapeError
from tinysegrank.voc import read_image
from tinysegrank.voc.images import photograph, reduced
from tinysegrank.voc.labels import draw_legend

HEIC = (
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA"
    "ACJpbG9jAAAAAERAAAEAAQAAAAABoAABAAAAAAAAAEwAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRt"
    "AAAAAAABAAAA/GlwcnAAAADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMA"
    "AAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNs"
    "eAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAGAAAAAEAAAAQAAAAAf///9gAAAAC////0AAAAAIAAAAQcGl4"
    "aQAAAAADCAgIAAAAGGlwbWEAAAAAAAAAAQABBYECAwWEAAAAVG1kYXQAAABIKAGvCchqSBojm1H/Obf6haGzmu0XyBKNVpXEEYTP"
    "2idV4ukiY9EF+0G5Q6Ed5TOMTujzLHBV+rik2bTqTB1yWTXA4wxWSfkM"
)
"""A HEIC photograph of 24 x 16 pixels: red on the left, blue on the right."""


@pytest.fixture
def rng_image(rng):
    return rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_a_file_a_pil_image_and_an_array_are_the_same_photograph(tmp_path, rng_image):
    path = tmp_path / "a.png"
    Image.fromarray(rng_image).save(path)
    for source in (path, str(path), Image.open(path), Image.fromarray(rng_image), rng_image):
        np.testing.assert_array_equal(photograph(source), rng_image)
    assert photograph(rng_image) is rng_image


def test_files_and_pil_images_are_turned_upright(tmp_path, rng_image):
    path, turned = tmp_path / "a.png", Image.fromarray(rng_image)
    turned.getexif()[0x0112] = 6  # to be shown turned by 90 degrees to the right
    turned.save(path, exif=turned.getexif())
    for source in (path, turned):
        np.testing.assert_array_equal(photograph(source), np.rot90(rng_image, -1))
    np.testing.assert_array_equal(read_image(path), rng_image)
    np.testing.assert_array_equal(np.asarray(turned), rng_image)  # the user's own stays as it is


def test_grey_and_transparent_pil_images_become_rgb(rng_image):
    grey = Image.fromarray(rng_image[..., 0])
    np.testing.assert_array_equal(photograph(grey), np.repeat(rng_image[..., :1], 3, axis=2))
    clear = Image.fromarray(np.dstack([rng_image, np.zeros((20, 30), np.uint8)]))
    assert (photograph(clear) == 255).all()


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        (np.zeros((20, 30), np.uint8), r"shape \(20, 30\)"),
        (np.zeros((3, 20, 30), np.uint8), "the channels R, G, B last"),
        (np.zeros((20, 30, 4), np.uint8), r"give \(H, W, 3\)"),
        (np.zeros((20, 30, 3), np.float32), r"float32; give .* uint8, .* in 0\.\.255"),
        (["a.png", "b.png"], "is a list; give one path"),
        (None, "is a NoneType"),
    ],
)
def test_what_is_no_photograph_is_refused_with_advice(source, advice):
    with pytest.raises(ShapeError, match=advice):
        photograph(source)


def test_a_heic_photograph_is_read_by_the_extra(tmp_path):
    pytest.importorskip("pi_heif", reason="needs pip install '.[heic]'")
    (tmp_path / "photo.jpg").write_bytes(base64.b64decode(HEIC))
    found = read_image(tmp_path / "photo.jpg")
    assert found.shape == (16, 24, 3)
    assert np.abs(found[8, [3, 20]].astype(int) - [(200, 30, 30), (30, 30, 200)]).max() < 10


def test_without_the_extra_heic_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    (tmp_path / "photo.heic").write_bytes(base64.b64decode(HEIC))
    with pytest.raises(DatasetError, match=r"photo\.heic: is a HEIC photograph; pip install '\.\[heic\]'"):
        read_image(tmp_path / "photo.heic")


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [
        ((300, 400), 400, (300, 400)),
        ((300, 400), 200, (150, 200)),
        ((400, 300), 200, (200, 150)),
        ((9, 900), 90, (5, 500)),
    ],
)
def test_reduced_keeps_the_shape_and_the_shorter_side(size, longest, expected):
    image = np.full((*size, 3), (10, 200, 90), np.uint8)
    small = reduced(image, longest=longest, shortest=5)
    np.testing.assert_array_equal(small, np.full((*expected, 3), (10, 200, 90), np.uint8))
    assert (small is image) == (size == expected)


def test_reduced_averages():
    """Noise of many pixels for each one left becomes grey, as it would not by leaving out pixels."""
    noise = np.random.default_rng(0).integers(0, 256, (800, 800, 3), dtype=np.uint8)
    assert reduced(noise, longest=40).std() < noise.std() / 10


def test_a_legend_shows_every_colour_in_as_many_lines_as_it_needs():
    colours = [(k * 12, 255 - k * 12, 99) for k in range(20)]
    wide, narrow = (draw_legend(width, [("pottedplant", colour) for colour in colours]) for width in (4000, 120))
    assert narrow.height > 10 * (narrow.height // 20) and (wide.width, narrow.width) == (4000, 120)
    for strip in (wide, narrow):
        there = {tuple(pixel) for pixel in np.unique(np.asarray(strip).reshape(-1, 3), axis=0).tolist()}
        assert there >= set(colours)
