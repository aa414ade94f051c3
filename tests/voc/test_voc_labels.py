import numpy as np
import pytest
from PIL import Image

from tinysegrank.errors import DatasetError, ShapeError
from tinysegrank.voc import Classes, check_labels, label_colours, overlay, palette, read_labels, write_labels

LABELS = np.array([[0, 1, 2, 20], [255, 8, 15, 0]], np.uint8)


def test_round_trip_through_a_palette_png(tmp_path):
    write_labels(tmp_path / "deep" / "a.png", LABELS)
    labels = read_labels(tmp_path / "deep" / "a.png")
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, LABELS)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.png"]


def test_the_written_file_is_what_the_devkit_wants(tmp_path):
    write_labels(tmp_path / "a.png", LABELS.astype(np.int64))
    header = (tmp_path / "a.png").read_bytes()[:26]
    assert header[24:26] == bytes([8, 3])  # bit depth 8, colour type palette
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.array(image.getpalette()).reshape(-1, 3), palette())
        np.testing.assert_array_equal(np.array(image.convert("RGB")), label_colours(LABELS))


def test_another_readers_pixels_agree(tmp_path):
    from matplotlib.image import imread

    write_labels(tmp_path / "a.png", LABELS)
    colours = np.rint(imread(tmp_path / "a.png")[..., :3] * 255).astype(np.uint8)
    np.testing.assert_array_equal(colours, palette()[LABELS])


def test_eight_bit_grey_of_indices_is_read(tmp_path):
    Image.fromarray(LABELS).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), LABELS)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_small_palettes_keep_their_indices(tmp_path, bits):
    labels = np.arange(2**bits, dtype=np.uint8)[None]
    image = Image.fromarray(labels)
    image.putpalette(palette()[: 2**bits].tobytes())
    image.save(tmp_path / "a.png", bits=bits)
    assert (tmp_path / "a.png").read_bytes()[24] == bits
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), labels)


def test_grey_of_few_bits_would_be_stretched_and_is_refused(tmp_path):
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 2, 1, 4, 0, 0, 0, 0)  # 2 x 1, four bits, grey
    row = zlib.compress(b"\x00\x0f")  # no filter, then pixels 0 and 15, which PIL reads as 0 and 255
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", row) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(png)
    with pytest.raises(DatasetError, match="grey of 4 bits"):
        read_labels(tmp_path / "a.png")


def test_labels_outside_the_classes_are_named(tmp_path):
    Image.fromarray(np.array([[0, 21, 254, 255]], np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DatasetError, match="labels 21, 254 are neither"):
        read_labels(tmp_path / "a.png")
    assert read_labels(tmp_path / "a.png", Classes(tuple(map(str, range(255))))).max() == 255


INDICES = np.array([[1, 1, 0], [1, 1, 1]], np.uint8)


@pytest.mark.parametrize(
    ("labels", "colours", "refused"),
    [
        (INDICES, [250, 50, 83, 0, 0, 0], True),  # background is 1, and an object 0
        (INDICES + INDICES, [250, 50, 83, 9, 9, 9, 0, 0, 0], True),  # background is 2
        (INDICES, [0, 0, 0, 0, 0, 0], False),  # unset
        (INDICES, [0, 0, 0, 250, 50, 83], False),
        (INDICES, [10, 10, 10, 20, 20, 20], False),  # colours that VOC does not have
        (INDICES * 0, [250, 50, 83, 0, 0, 0], False),  # nothing is black
        (INDICES | 1, [250, 50, 83, 0, 0, 0], False),  # nothing is 0
        (np.where(INDICES, 255, 0).astype(np.uint8), [9, 9, 9] + [0] * 765, False),  # void may be black
        (INDICES, [250, 50, 83], False),  # 1 has no entry
    ],
)
def test_a_background_that_is_not_0_is_found_out(tmp_path, labels, colours, refused):
    image = Image.fromarray(labels)
    image.putpalette(colours)
    image.save(tmp_path / "a.png")
    if refused:
        with pytest.raises(DatasetError, match=rf"a\.png: label 0 is coloured and label {labels.max()} black; the b"):
            read_labels(tmp_path / "a.png")
    else:
        np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), labels)


@pytest.mark.parametrize("colours", [[0] * 768, [v for g in range(256) for v in (g, g, g)]])
def test_a_palette_without_voc_colours_is_fine(tmp_path, colours):
    image = Image.fromarray(LABELS)
    image.putpalette(colours)
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), LABELS)


def test_jpeg_masks_are_refused(tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png", format="JPEG")
    with pytest.raises(DatasetError, match="this is JPEG"):
        read_labels(tmp_path / "a.png")


def test_truncated_and_missing_masks(tmp_path):
    path = tmp_path / "a.png"
    write_labels(path, np.random.default_rng(0).integers(0, 21, (80, 80)))
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(DatasetError, match=r"a\.png: cannot be read"):
        read_labels(path)
    with pytest.raises(DatasetError, match="No such file"):
        read_labels(tmp_path / "b.png")


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        (np.zeros((2, 2)), ShapeError, "float64 is not integer"),
        (np.zeros(4, int), ShapeError, r"\(4,\) is not \(H, W\)"),
        (np.zeros((0, 4), int), ShapeError, "is not"),
        (np.full((2, 2), 21), DatasetError, "21"),
        (np.full((2, 2), -1), DatasetError, "-1"),
        (np.full((2, 2), 256), DatasetError, "256"),
    ],
)
def test_nothing_wrong_is_written(tmp_path, labels, error, words):
    with pytest.raises(error, match=words):
        write_labels(tmp_path / "a.png", labels)
    assert not any(tmp_path.iterdir())


def test_check_labels_without_void():
    assert check_labels(np.array([0, 20])).dtype == np.uint8
    with pytest.raises(DatasetError, match="255"):
        check_labels(np.array([0, 255]), void=None)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
@pytest.mark.parametrize("void", [None, 255, 200])
@pytest.mark.parametrize("num_classes", [1, 21, 255])
def test_check_labels_tries_every_value(num_classes, void, dtype):
    for value in range(256):
        labels = np.array([[0, value]], dtype)
        if value < num_classes or value == void:
            np.testing.assert_array_equal(check_labels(labels, num_classes=num_classes, void=void), labels)
        else:
            words = "holds void" if (void, value) == (None, 255) else f"{value} is not a class"
            with pytest.raises(DatasetError, match=f"^labels: {words} "):
                check_labels(labels, num_classes=num_classes, void=void)
    assert check_labels(np.zeros((0, 3), dtype), num_classes=num_classes, void=void).shape == (0, 3)


def test_overlay_mixes_objects_and_leaves_background():
    image = np.full((2, 4, 3), 100, np.uint8)
    mixed = overlay(image, LABELS, 0.25)
    np.testing.assert_array_equal(mixed[LABELS == 0], 100)
    assert mixed[0, 1].tolist() == [107, 75, 75]  # 0.75 * 100 + 0.25 * (128, 0, 0)
    np.testing.assert_array_equal(overlay(image, LABELS, 0), image)
    np.testing.assert_array_equal(overlay(image, LABELS, 1)[LABELS != 0], label_colours(LABELS)[LABELS != 0])


def test_overlay_refuses_what_does_not_fit():
    with pytest.raises(ShapeError, match="does not fit"):
        overlay(np.zeros((3, 4, 3), np.uint8), LABELS)
    with pytest.raises(ShapeError, match="opacity"):
        overlay(np.zeros((2, 4, 3), np.uint8), LABELS, 1.5)
