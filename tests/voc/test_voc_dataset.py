import os

import numpy as np
import pytest
from PIL import Image

from tinysegrank.errors import ConfigError, DatasetError
from tinysegrank.voc import VOCSegmentation, write_labels


@pytest.fixture
def root(tmp_path):
    """Three images in the devkit's layout."""
    rng = np.random.default_rng(0)
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
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
    assert len(unlabelled.check()) == 64
    with pytest.raises(DatasetError, match="without label maps"):
        unlabelled[0]


def test_a_wrong_root_names_the_right_one(root, tmp_path_factory):
    outer = tmp_path_factory.mktemp("outer")
    (outer / "VOCdevkit" / "VOC2012" / "JPEGImages").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"give .*VOCdevkit/VOC2012$"):
        VOCSegmentation(outer, "train")
    with pytest.raises(DatasetError, match="holds no folder JPEGImages"):
        VOCSegmentation(root / "nowhere", "train")


def test_a_missing_split_lists_those_there_are(root):
    split(root, "val", "2008_000003\n")
    with pytest.raises(DatasetError, match=r"trainaug\.txt: there is no such split; there are train, val"):
        VOCSegmentation(root, "trainaug")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n \n", "names no images"),
        ("2007_000001\n2007_000002\n2007_000001\n", "1 images more than once: 2007_000001;"),
        ("2007_000001 1\n2007_000002 -1\n", "2 lines are not one bare image name: 2007_000001 1, "),
        ("/JPEGImages/2007_000001.jpg\n", "1 lines are not one bare"),
    ],
)
def test_split_files_that_are_none(root, text, words):
    split(root, "bad", text)
    with pytest.raises(DatasetError, match=words):
        VOCSegmentation(root, "bad")


def test_missing_files_are_counted_and_the_first_five_named(root):
    split(root, "long", "\n".join(f"a{index}" for index in range(9)))
    with pytest.raises(DatasetError, match=r"9 of 9 .*JPEGImages/a0\.jpg, .*a4\.jpg, \.\.\."):
        VOCSegmentation(root, "long")
    (root / "SegmentationClass" / "2007_000001.png").unlink()
    with pytest.raises(DatasetError, match=r"1 of 3 files are missing: SegmentationClass/2007_000001\.png;"):
        VOCSegmentation(root, "train")


def test_fingerprint_follows_bytes_names_and_order(root):
    first = VOCSegmentation(root, "train").check()
    assert VOCSegmentation(root, "train").check(jobs=2) == first
    prints = {first, VOCSegmentation(root, "train", limit=2).check()}
    split(root, "turned", "2007_000001\n2007_000002\n2008_000003\n")
    prints.add(VOCSegmentation(root, "turned").check())
    write_labels(root / "SegmentationClass" / "2007_000001.png", np.full((21, 30), 5))
    prints.add(VOCSegmentation(root, "train").check())
    (root / "JPEGImages" / "2007_000001.jpg").write_bytes((root / "JPEGImages" / "2007_000002.jpg").read_bytes())
    write_labels(root / "SegmentationClass" / "2007_000001.png", np.full((20, 30), 5))
    prints.add(VOCSegmentation(root, "train").check())
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
    assert len(data.check()) == 64
    for index, sample in enumerate(data):
        with Image.open(data.labels_path(index)) as mask:
            np.testing.assert_array_equal(sample.labels, np.asarray(mask))
        assert 255 in sample.labels and 0 in sample.labels and sample.labels[sample.labels < 255].max() <= 20
