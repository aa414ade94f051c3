import numpy as np
import pytest

from tinysegrank.errors import ConfigError
from tinysegrank.voc import CLASS_NAMES, NUM_CLASSES, VOC, Classes, classes_of, palette, parse_classes, read_classes

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


def test_own_classes_by_hand(tmp_path):
    text = "\ufeff# my field\n\nsugar beet 1 2, 3\nweed\t#FF00a0\r\nroad_sign\n"
    (tmp_path / "classes.txt").write_bytes(text.encode())
    classes = read_classes(tmp_path / "classes.txt")
    assert classes.names == ("background", "sugar beet", "weed", "road_sign")
    assert classes.colours == ((0, 0, 0), (1, 2, 3), (255, 0, 160), KNOWN_COLOURS[3])
    assert len(classes) == 4 and classes.listed([3, 1]) == "road_sign, sugar beet"
    assert classes.palette[:4].tolist() == [list(colour) for colour in classes.colours]
    assert tuple(classes.palette[255]) == KNOWN_COLOURS[255] and tuple(classes.palette[20]) == KNOWN_COLOURS[20]
    assert classes_of(tmp_path) == classes == Classes.parse(classes.lines())
    assert parse_classes("weed, 0", classes) == (2, 0)
    with pytest.raises(ConfigError, match=r"^classes: 'weeds' is not a class of the data; did you mean weed\?$"):
        parse_classes("weeds", classes)


@pytest.mark.parametrize("first", ["background", "Background", "_background_ 9 9 9"])
def test_the_background_may_be_listed_first(first):
    classes = Classes.parse(["__ignore__", first, "weed"])
    assert classes.names == ("background", "weed")
    assert classes.colours == ((9, 9, 9) if "9" in first else (0, 0, 0), (128, 0, 0))


def test_without_a_file_the_classes_are_vocs(tmp_path):
    assert classes_of(tmp_path) == VOC == Classes(CLASS_NAMES)
    np.testing.assert_array_equal(VOC.palette, palette())


def test_as_many_classes_as_a_label_map_holds():
    lines = [f"class {number}#" for number in range(1, 256)]
    assert len(Classes.parse(lines[:254])) == 255
    with pytest.raises(ConfigError, match=r"^classes: line 255: .*; 254 besides the background fit a label map$"):
        Classes.parse(lines)


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        (["crop", "weed", "crop"], 3, "crop is listed twice$"),
        (["crop", "background"], 2, "background is listed twice; it is class 0: put it first or leave it out"),
        (["crop 0 256 0"], 1, "'crop' has no colour that can be used; write R G B, each 0 to 255, or #rrggbb"),
        (["crop #12345"], 1, "'crop #12345' has no colour"),
        (["crop", "weed 128 0 0"], 2, "weed has the colour of crop, 128 0 0; give one of them another"),
        (["crop 0 0 0"], 1, "crop has the colour of background"),
        (["crop 224 224 192"], 1, "crop has the colour of void"),
        (["# fields", "", "void"], 3, "void is not a class: pixels without a label are 255"),
        (["crop, weed"], 1, "'crop, weed' is not a name"),
        (["crop|weed"], 1, ".* is not a name"),
        (["cr\x07op"], 1, ".* is not a name"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path, lines, line, message):
    (tmp_path / "own.txt").write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=rf"own\.txt: line {line}: {message}"):
        read_classes(tmp_path / "own.txt")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "names no class; write one per line"), (b"background\n", "names no class"), (b"\xff\xfe", r".*not UTF-8")],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, content, message):
    (tmp_path / "own.txt").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"own\.txt: {message}"):
        read_classes(tmp_path / "own.txt")
    with pytest.raises(ConfigError, match=r"gone\.txt: cannot be read"):
        read_classes(tmp_path / "gone.txt")


@pytest.mark.parametrize(("names", "colours"), [(("a",), ()), (("a", "b"), ((0, 0, 0),)), (("a", "a"), ())])
def test_classes_that_do_not_fit_are_refused(names, colours):
    with pytest.raises(ConfigError, match=r"^classes: "):
        Classes(names, colours)
