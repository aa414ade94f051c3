"""Masks of other tools: what their numbers and colours mean is found out, or said to be unclear."""

import numpy as np
import pytest
from PIL import Image

from tinysegrank.errors import ConfigError, DatasetError
from tinysegrank.voc import VOC, Classes, classes_of, label_colours, read_labels, write_labels
from tinysegrank.voc.masks import BY_COLOUR, BY_NUMBER, GREY, RGB, read_mask

FIELD = Classes(("background", "crop", "weed"), ((0, 0, 0), (0, 128, 0), (255, 0, 0)))
LABELS = np.array([[0, 1, 2, 2], [255, 1, 0, 0]], np.uint8)


def save(path, values, palette=None):
    image = Image.fromarray(np.asarray(values, np.uint8))
    if palette is not None:
        image.putpalette([value for colour in palette for value in colour])
    image.save(path)
    return path


@pytest.mark.parametrize("classes", [VOC, FIELD], ids=["voc", "field"])
def test_all_kinds_of_files_give_the_same_labels(tmp_path, classes):
    write_labels(tmp_path / "written.png", LABELS, classes)
    colours = label_colours(LABELS, classes)
    save(tmp_path / "grey.png", LABELS)
    save(tmp_path / "rgb.png", colours)
    Image.fromarray(colours).convert("RGBA").save(tmp_path / "rgba.png")
    Image.fromarray(colours).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "rebuilt.png")
    kinds = {"written": BY_NUMBER, "grey": GREY, "rgb": RGB, "rgba": RGB, "rebuilt": BY_COLOUR}
    for name, kind in kinds.items():
        mask = read_mask(tmp_path / f"{name}.png", classes)
        assert mask.kind == kind, name
        assert mask.labels.dtype == np.uint8
        np.testing.assert_array_equal(mask.labels, LABELS, err_msg=name)
        assert mask.used.tolist() == [0, 1, 2, 255] and mask.pixels.tolist() == [3, 2, 2, 1]
    with Image.open(tmp_path / "rebuilt.png") as image:
        assert not np.array_equal(np.array(image), LABELS)


def test_every_class_of_many_is_found_by_colour(tmp_path):
    classes = Classes(("background", *map(str, range(254))))
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(
        read_labels(save(tmp_path / "a.png", label_colours(labels, classes)), classes), labels
    )


@pytest.mark.parametrize(
    ("values", "palette", "labels"),
    [
        ([[0, 1, 2]], [(0, 0, 0), (255, 0, 0), (0, 128, 0)], [[0, 2, 1]]),  # another order
        ([[0, 5, 5]], [(0, 0, 0)] * 5 + [(255, 0, 0)], [[0, 2, 2]]),  # numbers beyond the classes
        ([[0, 1, 1]], [(0, 128, 0), (0, 0, 0)], [[1, 0, 0]]),  # the background is 1
        ([[0, 1, 3]], [(0, 0, 0), (0, 128, 0), (9, 9, 9), (224, 224, 192)], [[0, 1, 255]]),  # void is 3
        ([[0, 1, 2]], [(0, 0, 0), (7, 7, 7), (8, 8, 8)], [[0, 1, 2]]),  # colours of no class
        ([[0, 1, 2]], [(0, 0, 0)] * 256, [[0, 1, 2]]),  # unset
        ([[0, 1, 1]], [(0, 0, 0), (7, 7, 7), (0, 128, 0)], [[0, 1, 1]]),  # only colours in use count
        ([[0, 1, 255]], [(0, 0, 0), (0, 128, 0)] + [(5, 5, 5)] * 198, [[0, 1, 255]]),  # void without an entry
    ],
)
def test_a_palette_by_its_numbers_or_colours(tmp_path, values, palette, labels):
    np.testing.assert_array_equal(read_labels(save(tmp_path / "a.png", values, palette), FIELD), labels)


@pytest.mark.parametrize(
    ("values", "palette", "message"),
    [
        ([[0, 1, 2]], [(0, 0, 0), (255, 0, 0), (1, 2, 3)], "1 has the colour of weed.* 2 has the colour 1 2 3"),
        ([[0, 1, 2]], [(0, 0, 0), (224, 224, 192), (1, 2, 3)], "label 1 has the colour of void"),
        ([[0, 3, 9]], [(0, 0, 0)] + [(1, 2, 3)] * 9, r"labels 3, 9 are neither a class \(0\.\.2\) nor void"),
        ([[0, 1, 2]], [(9, 9, 9), (0, 0, 0), (8, 8, 8)], "label 0 is coloured and label 1 black"),
        ([[[0, 128, 0], [1, 2, 3], [1, 2, 3]]], None, "2 pixels have the colour 1 2 3, which is not that of a class"),
        ([[[9, 9, 9], [1, 2, 3], [1, 2, 3]]], None, r"not that of a class \(one of 2 such colours"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_names_the_file_and_the_colour(tmp_path, values, palette, message):
    with pytest.raises(DatasetError, match=rf"a\.png: .*{message}"):
        read_labels(save(tmp_path / "a.png", values, palette), FIELD)


@pytest.mark.parametrize(
    ("values", "palette", "refused"),
    [
        (LABELS, None, True),
        (LABELS, [(k, k, k) for k in range(256)], True),
        (LABELS, [*VOC.palette], False),
        (LABELS, [(0, 0, 0)] * 256, False),  # unset
        (np.zeros((4, 4, 3)), None, False),  # by colour
        (np.full((4, 4), 99), None, False),  # no class of VOC, which the check of all masks reports
    ],
    ids=["grey", "grey palette", "VOC's", "unset", "RGB", "strange"],
)
def test_numbers_without_names_are_refused(tmp_path, values, palette, refused):
    (tmp_path / "SegmentationClass").mkdir()
    save(tmp_path / "SegmentationClass/plot_1.png", values, palette)
    if refused:
        with pytest.raises(ConfigError, match=r"classes\.txt: is missing, and plot_1\.png doesn't have the colours of"):
            classes_of(tmp_path)
        (tmp_path / "Annotations").mkdir()  # VOC's own folder, its masks replaced by those of train_aug, often grey
    assert classes_of(tmp_path) == VOC
    (tmp_path / "classes.txt").write_text("weed")
    assert classes_of(tmp_path).names == ("background", "weed")


def test_transparent_and_deep_masks_are_refused_with_the_remedy(tmp_path):
    Image.fromarray(np.zeros((2, 2, 4), np.uint8)).save(tmp_path / "rgba.png")
    Image.fromarray(np.zeros((2, 2), np.uint16)).save(tmp_path / "deep.png")
    for name in ("rgba", "deep"):
        with pytest.raises(DatasetError, match=rf"{name}\.png: pixels are .*; convert it to a palette, 8-bit"):
            read_labels(tmp_path / f"{name}.png", FIELD)
