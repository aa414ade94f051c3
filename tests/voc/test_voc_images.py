import numpy as np
import pytest
from PIL import Image

from tinysegrank.errors import DatasetError
from tinysegrank.voc import read_image


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
    with pytest.raises(DatasetError, match=r"gone\.jpg: there is no such file"):
        read_image(tmp_path / "gone.jpg")


def test_folder_text_and_empty_files_are_no_images(tmp_path):
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.jpg").write_bytes(b"")
    for name in ("text.jpg", "empty.jpg", "."):
        with pytest.raises(DatasetError, match="cannot be read as an image"):
            read_image(tmp_path / name)


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


def test_damaged_png_never_raises_anything_else(tmp_path):
    path = tmp_path / "a.png"
    noise = np.random.default_rng(1).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    refused = 0
    for position in range(70):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        try:
            read_image(path)
        except DatasetError:
            refused += 1
    assert refused > 40
