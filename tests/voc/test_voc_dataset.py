import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinysegrank.errors import ConfigError, DatasetError
from tinysegrank.voc import VOCSegmentation, palette, write_labels


@pytest.fixture
def root(tmp_path):
    """Three images in the devkit's layout."""
    rng = np.random.default_rng(0)
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation", "Annotations"):
        (tmp_path / folder).mkdir(parents=True)
    for index, name in enumerate(("2007_000002", "2007_000001", "2008_000003")):
        pixels = rng.integers(0, 256, (20 + index, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "JPEGImages" / f"{name}.jpg", quality=95)
        write_labels(tmp_path / "SegmentationClass" / f"{name}.png", np.full((20 + index, 30), index))
    split(tmp_path, "train", "2007_000002\n2007_000001\n\n2008_000003\n")
    return tmp_path


def split(root, name, text):
    (root / "ImageSets" / "Segmentation" / f"{name}.txt").write_text(text)


def test_samples_in_the_order_of_the_split_file(root):
    data = VOCSegmentation(root, "train")
    assert len(data) == 3
    assert data.names == ("2007_000002", "2007_000001", "2008_000003")
    for index, sample in enumerate(data):
        assert sample.name == data.names[index]
        assert sample.image.shape == (20 + index, 30, 3) and sample.image.dtype == np.uint8
        assert (sample.labels == index).all() and sample.labels.shape == (20 + index, 30)
        with Image.open(data.image_path(index)) as image:
            np.testing.assert_array_equal(data.image(index), np.asarray(image))
    assert data[-1].name == "2008_000003"


def test_labels_are_read_without_the_photograph_and_the_photograph_without_its_labels(root):
    data = VOCSegmentation(root, "train")
    data.image_path(0).unlink()
    data.labels_path(1).unlink()
    assert (data.labels(0) == 0).all()
    assert data.image(1).shape == (21, 30, 3)


def test_limit_takes_the_first(root):
    assert VOCSegmentation(root, "train", limit=2).names == ("2007_000002", "2007_000001")
    assert len(VOCSegmentation(root, "train", limit=10)) == 3
    with pytest.raises(ConfigError, match="limit: 0"):
        VOCSegmentation(root, "train", limit=0)


def test_instances_where_there_are_any(root):
    data = VOCSegmentation(root, "train")
    assert data.instances(0) is None
    (root / "SegmentationObject").mkdir()
    numbers = np.zeros((20, 30), np.uint8)
    numbers[5:, :10], numbers[5:, 10:20], numbers[4] = 1, 40, 255  # more objects than there are classes
    Image.fromarray(numbers).save(root / "SegmentationObject" / "2007_000002.png")
    np.testing.assert_array_equal(data.instances(0), numbers)
    assert data.instances(1) is None


def test_other_masks_and_none(root):
    (root / "SegmentationClassAug").mkdir()
    write_labels(root / "SegmentationClassAug" / "2007_000002.png", np.full((20, 30), 7))
    split(root, "one", "2007_000002\n")
    assert (VOCSegmentation(root, "one", masks="SegmentationClassAug").labels(0) == 7).all()
    unlabelled = VOCSegmentation(root, "one", masks=None)
    assert unlabelled.image(0).shape == (20, 30, 3)
    assert len(unlabelled.check().fingerprint) == 64
    with pytest.raises(DatasetError, match="without label maps"):
        unlabelled[0]


def test_a_wrong_root_names_the_right_one(root, tmp_path_factory):
    outer = tmp_path_factory.mktemp("outer")
    (outer / "VOCdevkit" / "VOC2012" / "JPEGImages").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"give .*VOCdevkit/VOC2012$"):
        VOCSegmentation(outer, "train")
    with pytest.raises(DatasetError, match="SegmentationClass: holds no folder JPEGImages; put the photographs there"):
        VOCSegmentation(root / "SegmentationClass", "train")
    with pytest.raises(DatasetError, match=r"nowhere: is missing; give the folder that holds JPEGImages$"):
        VOCSegmentation(root / "nowhere", "train")


def test_missing_files_are_counted_and_the_first_five_named(root):
    split(root, "long", "\n".join(f"a{index}" for index in range(9)))
    with pytest.raises(DatasetError, match=r"9 of 9 .*JPEGImages/a0\.jpg, .*a4\.jpg, \.\.\."):
        VOCSegmentation(root, "long")
    (root / "SegmentationClass" / "2007_000001.png").unlink()
    with pytest.raises(DatasetError, match=r"1 of 3 files are missing: SegmentationClass/2007_000001\.png; add them"):
        VOCSegmentation(root, "train")


def test_fingerprint_follows_bytes_names_and_order(root):
    first = VOCSegmentation(root, "train").check().fingerprint
    assert VOCSegmentation(root, "train").check(jobs=2).fingerprint == first
    prints = {first, VOCSegmentation(root, "train", limit=2).check().fingerprint}
    split(root, "turned", "2007_000001\n2007_000002\n2008_000003\n")
    prints.add(VOCSegmentation(root, "turned").check().fingerprint)
    write_labels(root / "SegmentationClass" / "2007_000001.png", np.full((21, 30), 5))
    prints.add(VOCSegmentation(root, "train").check().fingerprint)
    (root / "JPEGImages" / "2007_000001.jpg").write_bytes((root / "JPEGImages" / "2007_000002.jpg").read_bytes())
    write_labels(root / "SegmentationClass" / "2007_000001.png", np.full((20, 30), 5))
    prints.add(VOCSegmentation(root, "train").check().fingerprint)
    assert len(prints) == 5


def test_check_reports_all_kinds_of_damage_in_one_error(root):
    jpeg = root / "JPEGImages" / "2007_000002.jpg"
    jpeg.write_bytes(jpeg.read_bytes()[:200])
    write_labels(root / "SegmentationClass" / "2007_000001.png", np.zeros((30, 21), int))
    Image.fromarray(np.full((22, 30), 77, np.uint8)).save(root / "SegmentationClass" / "2008_000003.png")
    with pytest.raises(DatasetError) as caught:
        VOCSegmentation(root, "train").check()
    message = str(caught.value)
    assert "3 of 3 images cannot be used" in message
    assert "2007_000002.jpg: cannot be read" in message
    assert "2007_000001.png: 21 x 30 labels for an image of 30 x 21" in message
    assert "2008_000003.png: labels 77" in message


def test_a_damaged_file_of_objects_is_found_early(root):
    (root / "SegmentationObject").mkdir()
    path = root / "SegmentationObject" / "2007_000001.png"
    Image.fromarray(np.zeros((21, 30), np.uint8)).save(path)
    VOCSegmentation(root, "train").check()
    Image.fromarray(np.zeros((21, 31), np.uint8)).save(path)
    with pytest.raises(
        DatasetError, match=r"SegmentationObject/2007_000001\.png: 31 x 21 labels for an image of 30 x 21"
    ):
        VOCSegmentation(root, "train").check()
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DatasetError, match=r"1 of 3 images.*SegmentationObject/2007_000001\.png: cannot be read"):
        VOCSegmentation(root, "train").check()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("call", ["open", "read_bytes", "iterdir"])
def test_what_the_system_refuses_is_no_fault_of_the_files(root, monkeypatch, number, call):
    def refuse(path, *_):
        raise OSError(number, os.strerror(number), str(path))

    data = VOCSegmentation(root, "train")
    monkeypatch.setattr(Path, call, refuse)
    with pytest.raises(DatasetError, match=f": cannot be read: {os.strerror(number)};") as caught:
        VOCSegmentation(root, "train") if call == "iterdir" else data.check()
    assert "images cannot be used" not in str(caught.value) and "Replace" not in str(caught.value)


def paint(root, masks, palette):
    for name, labels in masks.items():
        image = Image.fromarray(np.asarray(labels, np.uint8))
        if palette is not None:
            image.putpalette(palette)
        image.save(root / "SegmentationClass" / f"{name}.png")


def of(root, value):
    """Masks of one value, in the size of the three images."""
    sizes = {"2007_000002": 20, "2007_000001": 21, "2008_000003": 22}
    return {name: np.full((height, 30), value) for name, height in sizes.items()}


@pytest.mark.parametrize("palette", [None, palette().tobytes()])
@pytest.mark.parametrize(
    ("values", "hint"),
    [((0, 255), "objects may not be painted 255, which is void$"), ((0,), "give masks with classes")],
)
def test_a_split_without_objects_is_refused(root, palette, values, hint):
    masks = of(root, 0)
    masks["2007_000001"][5:9] = values[-1]
    paint(root, masks, palette)
    with pytest.raises(DatasetError, match=f"^no mask of split 'train' has an object; {hint}"):
        VOCSegmentation(root, "train").check()
    masks["2008_000003"][3, 3] = 12  # one pixel is enough
    paint(root, masks, palette)
    assert VOCSegmentation(root, "train").check().census.images[12] == 1


def test_check_says_what_the_masks_hold(root):
    masks = of(root, 0)
    masks["2007_000001"][:2] = 15
    masks["2008_000003"][:1] = 15
    masks["2008_000003"][1:4] = 255
    masks["2007_000002"][4:6, 5] = 8
    paint(root, masks, palette().tobytes())
    census = VOCSegmentation(root, "train").check(jobs=2).census
    assert dict(census.images) == {0: 3, 15: 2, 8: 1, 255: 1}
    pixels = np.bincount(np.concatenate([mask.ravel() for mask in masks.values()]))
    assert dict(census.pixels) == {k: pixels[k] for k in (0, 8, 15, 255)}
    assert str(census) == (
        "3 palette PNGs read by number; 2 of VOC's 20 classes (masks and pixels of each: person 2, 4.8 %; "
        "cat 1, 0.1 %), 4.8 % void"  # 90, 2 and 90 of 1,890 pixels
    )


def test_a_background_elsewhere_is_found_over_the_whole_split(root):
    coloured = [250, 50, 83, 0, 0, 0]  # label 0 an object, label 1 the background, painted black
    apart = of(root, 1)
    apart["2007_000001"][:] = 0
    paint(root, apart, coloured)  # no mask holds both
    with pytest.raises(
        DatasetError, match=r"2007_000001\.png: label 0 is coloured, and in 2007_000002\.png label 1 is bl"
    ):
        VOCSegmentation(root, "train").check()
    paint(root, of(root, 1), coloured)  # what label 0 means is never shown
    VOCSegmentation(root, "train").check()
    both = {"2007_000002": apart["2007_000002"]}
    both["2007_000002"][3:5] = 0
    paint(root, both, coloured)
    with pytest.raises(DatasetError, match=r"1 of 3 .*2007_000002\.png: label 0 is coloured and label 1 black; the b"):
        VOCSegmentation(root, "train").check()


def test_palettes_that_are_unset_or_grey_contradict_nothing(root):
    masks = of(root, 0)
    for k, mask in enumerate(masks.values()):
        mask[2:9], mask[10] = 1 + k, 255
    for colours in ([0] * 768, [v for g in range(256) for v in (g, g, g)], None):
        paint(root, masks, colours)
        assert VOCSegmentation(root, "train").check().census.images[3] == 1


def test_photographs_and_masks_have_any_ending(root):
    folder = root / "JPEGImages"
    (folder / "2007_000001.jpg").rename(folder / "2007_000001.JPG")
    with Image.open(folder / "2007_000002.jpg") as image:
        image.save(folder / "2007_000002.Png")
    (folder / "2007_000002.jpg").unlink()
    (root / "SegmentationClass/2007_000001.png").rename(root / "SegmentationClass/2007_000001.PNG")
    data = VOCSegmentation(root, "train")
    assert {data.image_path(i).suffix for i in range(3)} == {".JPG", ".Png", ".jpg"}
    assert {data.labels_path(i).suffix for i in range(3)} == {".PNG", ".png"}
    data.check()


def test_palettes_read_by_colour_and_others_do_not_mix(root):
    (root / "classes.txt").write_text("crop 0 128 0\nweed 255 0 0\n")
    paint(root, of(root, 1), [0, 0, 0, 255, 0, 0])  # 1 is painted as a weed
    census = VOCSegmentation(root, "train").check(jobs=2).census
    assert dict(census.images) == {2: 3}
    assert str(census) == (
        "3 palette PNGs read by colour; 1 of 2 classes, without crop (masks and pixels of each: weed 3, 100.0 %), "
        "0.0 % void"
    )
    paint(root, {"2007_000001": np.ones((21, 30))}, [0, 0, 0, 9, 9, 9])
    with pytest.raises(
        DatasetError, match=r"2007_000002\.png: has the classes' colours .* 2007_000001\.png has colours of no"
    ):
        VOCSegmentation(root, "train").check()


def test_a_photograph_that_is_turned_may_be_why_sizes_differ(root):
    write_labels(root / "SegmentationClass" / "2007_000001.png", np.zeros((30, 21), int))
    with pytest.raises(DatasetError, match=r"21 x 30 labels for an image of 30 x 21 \(if its EXIF data turns the"):
        VOCSegmentation(root, "train").check()


def test_an_image_smaller_than_the_grid_is_found_early(root):
    Image.fromarray(np.zeros((12, 40, 3), np.uint8)).save(root / "JPEGImages" / "2007_000001.jpg")
    write_labels(root / "SegmentationClass" / "2007_000001.png", np.zeros((12, 40), int))
    with pytest.raises(DatasetError, match="40 x 12, a side is below 13"):
        VOCSegmentation(root, "train").check()


def test_a_mask_of_another_size_is_no_sample(root):
    write_labels(root / "SegmentationClass" / "2007_000001.png", np.zeros((9, 9), int))
    with pytest.raises(DatasetError, match="9 x 9 labels for an image of 30 x 21"):
        VOCSegmentation(root, "train")[1]


@pytest.mark.voc
def test_real_voc_opens_checks_and_agrees_with_pil():
    place = os.environ.get("TINYSEGRANK_VOC")
    if not place:
        pytest.skip("TINYSEGRANK_VOC does not name a folder with PASCAL VOC")
    data = VOCSegmentation(place, "val", limit=40)
    assert len(data.check().fingerprint) == 64
    for index, sample in enumerate(data):
        with Image.open(data.labels_path(index)) as mask:
            np.testing.assert_array_equal(sample.labels, np.asarray(mask))
        assert 255 in sample.labels and 0 in sample.labels and sample.labels[sample.labels < 255].max() <= 20
