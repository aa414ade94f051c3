import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import confusion_matrix, jaccard_score

from tinysegrank.errors import ConfigError, DatasetError, ShapeError
from tinysegrank.metrics import Confusion, corpus_iou, image_confusions, image_iou, image_ious, iou_of_confusion


@pytest.fixture(params=["0", "1"], ids=["numpy", "numba"], autouse=True)
def accelerate(request, monkeypatch):
    monkeypatch.setenv("TINYSEGRANK_ACCELERATE", request.param)


def images(count, *, num_classes=21, void=True, seed=0):
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, num_classes, (count, 5, 6)).astype(np.uint8)
    maps = np.repeat(np.repeat(blocks, 4, axis=1), 5, axis=2)
    if void:
        maps[rng.random(maps.shape) < 0.2] = 255
    return maps


TRUTHS, LABELS = images(4), images(4, void=False, seed=1)


def test_matrix_is_scikit_learns_over_the_pixels_that_are_not_void():
    confusion = Confusion()
    for truth, labels in zip(TRUTHS, LABELS, strict=True):
        assert confusion.update(truth, labels) is confusion
    valid = TRUTHS != 255
    expected = confusion_matrix(TRUTHS[valid], LABELS[valid], labels=range(21))
    assert confusion.matrix.dtype == np.int64
    np.testing.assert_array_equal(confusion.matrix, expected)
    np.testing.assert_allclose(
        confusion.iou(), jaccard_score(TRUTHS[valid], LABELS[valid], labels=range(21), average=None)
    )
    np.testing.assert_array_equal(corpus_iou(TRUTHS, LABELS), confusion.iou())


@settings(deadline=None)  # numba compiles in the first example
@given(
    data=st.integers(1, 30).flatmap(
        lambda size: st.tuples(
            arrays(np.uint8, size, elements=st.sampled_from([0, 1, 3, 255])),
            arrays(np.uint8, (3, size), elements=st.sampled_from([0, 1, 2])),
        )
    )
)
def test_many_by_brute_force(data):
    truth, proposals = data
    expected = np.zeros((3, 4, 4), int)
    for m, labels in enumerate(proposals):
        for true, label in zip(truth, labels, strict=True):
            if true != 255:
                expected[m, true, label] += 1
    np.testing.assert_array_equal(image_confusions(truth, proposals, num_classes=4), expected)


@pytest.mark.parametrize("size", [1, 7, 8, 9, 4095, 4096, 4097, 4104, 9001])
@pytest.mark.parametrize("length", [1, 3, 500])
def test_runs_of_any_length_in_images_of_any_size(size, length):
    rng = np.random.default_rng(size + length)
    truth = np.repeat(rng.choice([0, 5, 20, 255], size), length)[:size].astype(np.uint8)
    truth[0] = 3
    proposals = np.repeat(rng.integers(0, 21, (2, size)), length, axis=1)[:, 2 : size + 2]
    proposals = np.pad(proposals, ((0, 0), (0, size - proposals.shape[1]))).astype(np.uint8)
    valid = truth != 255
    expected = [confusion_matrix(truth[valid], labels[valid], labels=range(21)) for labels in proposals]
    np.testing.assert_array_equal(image_confusions(truth, proposals), expected)


def example():
    """Truth has 0 and 1, labels have 0 and 2, class 3 is nowhere; IoU 2/4, 0, 0, NaN."""
    return Confusion(4).update(np.array([[0, 0, 0, 1, 255]]), np.array([[0, 0, 2, 0, 3]]))


def test_iou_is_nan_for_a_class_that_is_nowhere():
    np.testing.assert_array_equal(example().iou(), [0.5, 0, 0, np.nan])


def test_mean_skips_classes_absent_from_the_truth_and_counts_the_rest():
    assert example().mean_iou() == (0.25, 2)
    assert example().mean_iou(classes=[0, 2]) == (0.5, 1)
    value, classes = example().mean_iou(classes=[2, 3])
    assert np.isnan(value) and classes == 0


def test_strict_mean_is_the_devkits():
    value, classes = example().mean_iou(absent="strict")
    assert np.isnan(value) and classes == 4
    assert example().mean_iou(absent="strict", classes=[0, 1, 2]) == (pytest.approx(0.5 / 3), 3)


def test_bad_means():
    with pytest.raises(ConfigError, match="absent: 'nan'"):
        example().mean_iou(absent="nan")
    for classes in ([4], [-1], [0, 0]):
        with pytest.raises(ConfigError, match="classes"):
            example().mean_iou(classes=classes)


def test_labels_on_void_do_not_count_but_are_still_labels():
    truth = np.array([[255, 0]], np.uint8)
    a = Confusion().update(truth, np.array([[7, 0]])).matrix
    np.testing.assert_array_equal(a, Confusion().update(truth, np.array([[3, 0]])).matrix)
    assert a.sum() == 1
    with pytest.raises(DatasetError, match=r"labels: .*255"):
        Confusion().update(truth, np.array([[255, 0]]))


@pytest.mark.parametrize(
    ("truth", "labels", "error", "words"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), ShapeError, "does not fit truth"),
        (np.zeros((2, 3), int), np.full((2, 3), 21), DatasetError, "labels: .*21"),
        (np.zeros((2, 3), int), np.full((2, 3), -1), DatasetError, "labels: .*-1"),
        (np.full((2, 3), 21), np.zeros((2, 3), int), DatasetError, "truth: .*21"),
        (np.zeros((2, 3)), np.zeros((2, 3), int), ShapeError, "not integer"),
        (np.zeros((2, 3), int), np.zeros((2, 3)), ShapeError, "not integer"),
    ],
)
def test_bad_arrays_leave_the_counts_as_they_were(truth, labels, error, words):
    confusion = Confusion()
    with pytest.raises(error, match=words):
        confusion.update(truth, labels)
    assert not confusion.matrix.any()


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
@pytest.mark.parametrize("place", [0, 7, 4999])
@pytest.mark.parametrize(("name", "value"), [("truth", 21), ("truth", 254), ("labels", 21), ("labels", 255)])
@pytest.mark.parametrize("void", [False, True])
def test_one_value_out_of_range_is_found_wherever_it_is(name, value, place, dtype, void):
    truth, labels = np.full((10, 500), 255 if void else 3, dtype), np.full((2, 10, 500), 20, dtype)
    assert image_confusions(truth, labels)[:, 3, 20].tolist() == [0 if void else 5000] * 2
    (truth if name == "truth" else labels[1]).flat[place] = value
    with pytest.raises(DatasetError, match=f"{name}: .*{value}"):
        image_confusions(truth, labels)


@pytest.mark.parametrize("num_classes", [0, 256])
def test_bad_numbers_of_classes(num_classes):
    with pytest.raises(ConfigError, match="num_classes"):
        Confusion(num_classes)


def test_corpus_iou_takes_streams_of_images_of_any_size_and_wants_as_many_labels():
    truths = [np.zeros((2, 2), np.uint8), np.ones((3, 1), np.uint8)]
    labels = [np.zeros((2, 2), np.uint8), np.zeros((3, 1), np.uint8)]
    np.testing.assert_allclose(corpus_iou(iter(truths), iter(labels), num_classes=2), [4 / 7, 0])
    with pytest.raises(ShapeError, match="one of each"):
        corpus_iou(truths, labels[:1])


def test_image_iou_by_scikit_learn_over_the_classes_in_either():
    for truth, labels in zip(TRUTHS, LABELS, strict=True):
        valid = truth != 255
        classes = np.union1d(truth[valid], labels[valid])
        expected = jaccard_score(truth[valid], labels[valid], labels=classes, average="macro", zero_division=0)
        assert image_iou(truth, labels) == pytest.approx(expected, abs=1e-12)
    assert image_iou(TRUTHS[0], np.where(TRUTHS[0] == 255, 0, TRUTHS[0])) == 1


def test_a_class_labelled_on_void_only_is_not_in_the_image():
    assert image_iou(np.array([[0, 255]], np.uint8), np.array([[0, 9]], np.uint8)) == 1


def test_image_and_corpus_iou_differ():
    truths = [np.array([[1] * 90 + [0] * 10]), np.array([[1] * 10 + [0] * 90])]
    labels = [np.array([[1] * 100]), np.array([[0] * 100])]
    per_image = np.mean([image_iou(*pair, num_classes=2) for pair in zip(truths, labels, strict=True)])
    assert per_image == pytest.approx(0.45)
    assert corpus_iou(truths, labels, num_classes=2) == pytest.approx([90 / 110, 90 / 110])


def test_image_ious_of_proposals_and_of_an_image_all_void():
    ious = image_ious(TRUTHS[0], LABELS)
    assert ious.tolist() == [image_iou(TRUTHS[0], labels) for labels in LABELS]
    assert image_ious(TRUTHS[0], LABELS[:0]).shape == (0,)
    assert np.isnan(image_iou(np.full((2, 2), 255), np.zeros((2, 2), int)))


def test_sum_of_matrices(rng):
    matrices = rng.integers(0, 2**31 - 1, (2, 3, 5, 5)).astype(np.int32)  # their sums need 64 bits
    for some in (matrices, matrices[0], matrices[0, 0]):
        expected = sum(map(int, some[..., 1, 2].ravel()))
        found = Confusion.of(some).matrix
        assert found.dtype == np.int64 and found[1, 2] == expected


def test_iou_of_several_matrices():
    matrices = image_confusions(TRUTHS[0], LABELS)
    ious = iou_of_confusion(matrices)
    assert ious.shape == (4, 21)
    for matrix, iou in zip(matrices, ious, strict=True):
        np.testing.assert_array_equal(iou_of_confusion(matrix), iou)
