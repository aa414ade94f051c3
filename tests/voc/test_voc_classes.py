import numpy as np
import pytest

from tinysegrank.errors import ConfigError
from tinysegrank.voc import CLASS_NAMES, NUM_CLASSES, palette, parse_classes

# as printed in every VOC mask: the devkit's colours of its first labels and of void
KNOWN_COLOURS = {
    0: (0, 0, 0),
    1: (128, 0, 0),
    2: (0, 128, 0),
    3: (128, 128, 0),
    4: (0, 0, 128),
    7: (128, 128, 128),
    8: (64, 0, 0),
    15: (192, 128, 128),
    20: (0, 64, 128),
    255: (224, 224, 192),
}


def test_palette_has_the_devkit_colours():
    for label, colour in KNOWN_COLOURS.items():
        assert tuple(palette()[label]) == colour


def test_palette_by_the_bit_shifting_loop():
    def colour(label):
        red = green = blue = 0
        for shift in range(7, -1, -1):
            red |= (label & 1) << shift
            green |= (label >> 1 & 1) << shift
            blue |= (label >> 2 & 1) << shift
            label >>= 3
        return red, green, blue

    assert palette().tolist() == [list(colour(label)) for label in range(256)]
    assert len(np.unique(palette(), axis=0)) == 256


def test_palette_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        palette()[0] = 1


def test_the_twenty_one_classes():
    assert len(CLASS_NAMES) == len(set(CLASS_NAMES)) == NUM_CLASSES == 21
    assert [CLASS_NAMES.index(name) for name in ("background", "cat", "person", "tvmonitor")] == [0, 8, 15, 20]
    assert list(CLASS_NAMES[1:]) == sorted(CLASS_NAMES[1:])  # the devkit's order


@pytest.mark.parametrize(
    ("text", "indices"),
    [("background,cat,8"[:14], (0, 8)), ("cat", (8,)), ("20, 0 ,dog", (20, 0, 12)), ("tvmonitor,1", (20, 1))],
)
def test_parse_classes(text, indices):
    assert parse_classes(text) == indices


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("cat,unicorn", "'unicorn' is not a class"),
        ("airplane", "did you mean aeroplane"),
        ("dining table", "did you mean diningtable"),
        ("21", "'21'"),
        ("-1", "'-1'"),
        ("²", "'²'"),
        ("", "''"),
        ("cat,", "''"),
        ("cat,8", r"cat \(8\) is duplicated"),
    ],
)
def test_parse_classes_names_the_bad_entry(text, named):
    with pytest.raises(ConfigError, match=named):
        parse_classes(text)
