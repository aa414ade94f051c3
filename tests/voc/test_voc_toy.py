import numpy as np
import pytest
from PIL import Image

from tinysegrank.errors import ConfigError, DatasetError
from tinysegrank.voc import CLASS_NAMES, VOCSegmentation, make_toy_voc, toy_classification
from tinysegrank.voc.toy import draw_object, draw_scene, textures
from tinysegrank.voc.toy.canvas import Canvas
from tinysegrank.voc.toy.pen import Paint, Pen
from tinysegrank.voc.toy.scene import THEMES
from tinysegrank.voc.toy.textures import noise


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(np.random.default_rng([7, index])) for index in range(150)]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    root = tmp_path_factory.mktemp("toy")
    return make_toy_voc(root, train=5, val=3, seed=3)


def files(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_background_is_about_seventy_per_cent(scenes):
    pixels = sum(np.bincount(labels.ravel(), minlength=256) for _, labels in scenes)
    assert 0.6 < pixels[0] / pixels[:21].sum() < 0.8
    assert 0.02 < pixels[255] / pixels.sum() < 0.08  # real VOC has about 0.05


def test_every_class_occurs_and_none_rules(scenes):
    images = np.array([[k in labels for k in range(1, 21)] for _, labels in scenes]).sum(axis=0)
    pixels = sum(np.bincount(labels.ravel(), minlength=256) for _, labels in scenes)[1:21]
    assert images.min() >= 4
    assert pixels.max() < 0.15 * pixels.sum()


def test_classes_of_one_place_occur_together_more_than_by_chance(scenes):
    present = np.array([[k in labels for k in range(21)] for _, labels in scenes], float)
    assert {name for theme in THEMES.values() for name in theme.classes} == set(CLASS_NAMES[1:])
    together = present.T @ present
    animals = [CLASS_NAMES.index(name) for name in ("cow", "sheep", "horse", "dog")]
    furniture = [CLASS_NAMES.index(name) for name in ("sofa", "chair", "tvmonitor", "diningtable")]
    assert together[np.ix_(animals, animals)].sum() - together[animals, animals].sum() > 0
    assert together[np.ix_(animals, furniture)].sum() == 0


def test_images_and_labels_are_of_the_promised_kind(scenes):
    shapes = set()
    for image, labels in scenes:
        assert image.dtype == labels.dtype == np.uint8 and image.shape == (*labels.shape, 3)
        assert min(labels.shape) >= 160 and max(labels.shape) <= 240
        assert set(np.unique(labels)) <= {*range(21), 255}
        shapes.add(labels.shape)
    assert len(shapes) > 50


def test_void_parts_every_two_different_labels(scenes):
    for _, labels in scenes[:40]:
        for a, b in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
            assert not ((a != b) & (a != 255) & (b != 255)).any()


def test_contours_are_thin_and_void_is_nowhere_else():
    canvas = Canvas(np.zeros((3, 120, 160), np.float32))
    canvas.add_object(np.random.default_rng(0), CLASS_NAMES.index("tvmonitor"), (80, 60), 80)
    row, labels = canvas.classes[60], canvas.labels()[60]
    edges = np.flatnonzero(row[1:] != row[:-1])
    assert edges.size == 2
    assert np.flatnonzero(labels == 255).tolist() == sorted([*edges, *(edges + 1)])
    assert (canvas.classes > 0).sum() > 0.9 * ((canvas.labels() > 0) & (canvas.labels() < 255)).sum()


@pytest.mark.parametrize("label", range(1, 21), ids=CLASS_NAMES[1:])
def test_labels_are_where_at_least_half_of_the_pixel_is_painted(label):
    """Over two greys the same picture differs by how much of the background each pixel lets through."""
    images = []
    for grey in (40, 120):
        canvas = Canvas(np.full((3, 120, 160), grey, np.float32))
        canvas.add_object(np.random.default_rng(label), label, (80, 60), 90)
        images.append(canvas.image(np.random.default_rng(0)).astype(int))
    through = (images[1] - images[0]).mean(axis=2)
    open_background = through[0, 0]
    labelled = canvas.classes == label
    assert labelled.sum() > 300 and open_background > 50
    assert through[labelled].max() <= 0.5 * open_background + 2
    assert through[~labelled].min() >= 0.75 * open_background - 2  # a pixel has four parts


def test_later_objects_hide_earlier_ones_and_clutter_is_background():
    canvas = Canvas(np.zeros((3, 100, 100), np.float32))
    rng = np.random.default_rng(1)
    bus, cat = CLASS_NAMES.index("bus"), CLASS_NAMES.index("cat")
    canvas.add_object(rng, bus, (50, 50), 90)
    assert canvas.classes[50, 50] == bus
    canvas.add_object(rng, cat, (50, 50), 60)
    assert canvas.classes[55, 50] == cat and (canvas.classes == bus).any()
    assert set(np.unique(canvas.objects)) == {0, 1, 2}
    cluttered = Canvas(np.zeros((3, 100, 100), np.float32))
    cluttered.add_clutter(rng, (50, 50), 60)
    assert not cluttered.classes.any() and cluttered.image(rng).max() > 40


def test_an_object_outside_the_picture_leaves_no_trace():
    canvas = Canvas(np.zeros((3, 50, 50), np.float32))
    canvas.add_object(np.random.default_rng(0), 7, (500, 500), 40)
    assert not canvas.objects.any()


def test_colour_alone_does_not_tell_the_class():
    """Nearest mean colour of the object's pixels is far below what shapes allow, though above chance (5 %)."""
    means, classes = [], []
    for index in range(400):
        label = 1 + index % 20
        canvas = Canvas(np.zeros((3, 64, 64), np.float32))
        rng = np.random.default_rng([11, index])
        canvas.add_object(rng, label, (32, 32), 50)
        means.append(canvas.image(rng)[canvas.classes == label].mean(axis=0))
        classes.append(label)
    means, classes = np.array(means), np.array(classes)
    train, test = slice(0, 200), slice(200, 400)
    centres = np.stack([means[train][classes[train] == k].mean(axis=0) for k in range(1, 21)])
    guess = 1 + ((means[test][:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert (guess == classes[test]).mean() < 0.3


def test_the_folder_is_a_voc_in_the_devkits_layout(toy):
    assert isinstance(toy.train, VOCSegmentation)
    assert (len(toy.train), len(toy.val)) == (5, 3)
    trainval = VOCSegmentation(toy.train.root, "trainval")
    assert trainval.names == toy.train.names + toy.val.names
    assert len(trainval.check().fingerprint) == 64
    image, labels = draw_scene(np.random.default_rng([3, 0, 2]))
    np.testing.assert_array_equal(toy.train.labels(2), labels)
    assert np.abs(toy.train.image(2).astype(int) - image).mean() < 8  # JPEG
    with Image.open(toy.train.labels_path(0)) as mask:
        assert mask.mode == "P"


def test_jobs_do_not_matter_and_a_small_one_begins_a_large_one(toy, tmp_path):
    make_toy_voc(tmp_path / "a", train=3, val=1, seed=3, jobs=2)
    small, large = files(tmp_path / "a"), files(toy.train.root)
    pictures = {path for path in small if path.suffix in (".jpg", ".png")}
    assert len(pictures) == 8
    assert all(small[path] == large[path] for path in pictures)
    make_toy_voc(tmp_path / "a", train=5, val=3, seed=3)
    assert files(tmp_path / "a") == large


def test_only_missing_images_are_drawn_again(tmp_path):
    toy = make_toy_voc(tmp_path, train=2, val=1, seed=0, size=(40, 60))
    whole = files(tmp_path)
    toy.train.labels_path(1).unlink()
    kept = toy.train.image_path(0).stat().st_mtime_ns
    make_toy_voc(tmp_path, train=2, val=1, seed=0, size=(40, 60))
    assert files(tmp_path) == whole
    assert toy.train.image_path(0).stat().st_mtime_ns == kept


def test_seeds_and_splits_give_other_images(toy, tmp_path):
    other = make_toy_voc(tmp_path, train=1, val=1, seed=4)
    labels = [toy.train.labels(0), toy.val.labels(0), other.train.labels(0)]
    assert len({each.tobytes() for each in labels}) == 3


def test_folders_in_use_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(DatasetError, match="not a toy VOC"):
        make_toy_voc(tmp_path, train=1, val=1, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(DatasetError, match="is a file"):
        make_toy_voc(tmp_path / "thesis.tex", train=1, val=1, seed=0)


def test_a_toy_voc_drawn_otherwise_or_a_damaged_marker_is_refused(tmp_path):
    make_toy_voc(tmp_path, train=1, val=1, seed=0, size=(40, 60))
    with pytest.raises(DatasetError, match="with other options"):
        make_toy_voc(tmp_path, train=1, val=1, seed=0, size=(40, 61))
    (tmp_path / "toyvoc.json").write_text("{")
    with pytest.raises(DatasetError, match=r"toyvoc\.json"):
        make_toy_voc(tmp_path, train=1, val=1, seed=0, size=(40, 60))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"train": 0}, "train: 0"),
        ({"val": 0}, "val: 0"),
        ({"seed": -1}, "seed: -1"),
        ({"size": (12, 40)}, "size"),
        ({"size": (60, 40)}, "size"),
    ],
)
def test_bad_numbers_are_named_before_anything_is_written(tmp_path, options, named):
    with pytest.raises(ConfigError, match=named):
        make_toy_voc(tmp_path / "a", **({"train": 1, "val": 1, "seed": 0} | options))
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "texture",
    [
        textures.bricks,
        textures.clouds,
        textures.gradient,
        textures.grain,
        textures.planks,
        textures.stripes,
        textures.tiles,
    ],
)
def test_textures_have_the_shape_asked_for(rng, texture):
    for height, width in [(1, 13), (9, 14), *((7, width) for width in range(15, 90))]:
        field = texture(rng, (height, width))
        assert field.dtype == np.float32
        assert field.shape == (height, width)


@pytest.mark.parametrize("size", [(13, 13), (40, 41), (300, 500)])
def test_any_size_can_be_drawn(size):
    for index in range(4):
        _, labels = draw_scene(np.random.default_rng(index), size=size)
        assert size[0] <= min(labels.shape) and max(labels.shape) <= size[1]


def test_classification_is_balanced_reproducible_and_independent_of_jobs():
    images, classes = toy_classification(45, seed=2, size=48)
    assert images.shape == (45, 48, 48, 3) and images.dtype == np.uint8
    counts = np.bincount(classes, minlength=21)
    assert counts[0] == 0 and set(counts[1:].tolist()) == {2, 3}
    again, classes_again = toy_classification(45, seed=2, size=48, jobs=2)
    np.testing.assert_array_equal(again, images)
    np.testing.assert_array_equal(classes_again, classes)
    assert (toy_classification(45, seed=3, size=48)[1] != classes).any()
    np.testing.assert_array_equal(images[5], draw_object(np.random.default_rng([2, 3, 5]), int(classes[5]), size=48))


def test_classification_numbers_out_of_range():
    for options in ({"count": 0}, {"seed": -1}, {"size": 12}):
        with pytest.raises(ConfigError, match=f"{next(iter(options))}: "):
            toy_classification(**({"count": 1, "seed": 0, "size": 32} | options))


def test_noise_keeps_its_cells_whatever_the_shape():
    for shape in ((1, 1), (3, 200), (200, 3), (64, 64)):
        field = noise(np.random.default_rng(0), shape, 16)
        assert field.shape == shape and field.dtype == np.float32 and np.abs(field).max() < 2.2
    wide, narrow = (noise(np.random.default_rng(0), (400, width), 16, 1) for width in (400, 100))
    for field in (wide, narrow):  # the correlation length is that of the cells, not of the picture
        rows = field - field.mean()
        near, far = (rows[:, :-lag] * rows[:, lag:] for lag in (4, 40))
        assert near.mean() > 0.5 * rows.var() and abs(far.mean()) < 0.25 * rows.var()


def test_pen_fills_the_areas_of_geometry():
    pen = Pen((400, 400), 100 * np.eye(2), np.array([200.0, 200.0]))
    pen.box(-1, -0.5, 1, 0.5, Paint.BODY)
    pen.box(-0.5, -0.4, 0.5, 0.4, Paint.LIGHT, 0.2)
    pen.ellipse(0, 0, 0.4, 0.2, Paint.DARK, 0.7)
    counts = np.bincount(np.asarray(pen.canvas).ravel(), minlength=9)
    rounded = 8000 - (4 - np.pi) * 400  # 100 x 80 less the corners of radius 20
    ellipse = np.pi * 40 * 20
    assert counts[Paint.DARK] == pytest.approx(ellipse, rel=0.05)
    assert counts[Paint.LIGHT] == pytest.approx(rounded - ellipse, rel=0.06)
    assert counts[Paint.BODY] == pytest.approx(20000 - rounded, rel=0.03)


def test_pen_draws_through_its_map():
    turned = Pen((100, 100), np.array([[0, -30], [30, 0]]), np.array([50.0, 50.0]))
    turned.polygon([(0.5, -0.1), (1, -0.1), (1, 0.1), (0.5, 0.1)], Paint.BODY)  # to the right, hence drawn below
    left, top, right, bottom = turned.canvas.getbbox()
    assert (left, top) == (47, 65) and abs(right - 54) <= 1 and abs(bottom - 81) <= 1


def test_pens_smooth_curve_passes_its_points():
    pen = Pen((200, 200), 80 * np.eye(2), np.array([100.0, 100.0]))
    points = [(0.9, 0), (0, 0.9), (-0.9, 0), (0, -0.9)]
    pen.blob(points, Paint.BODY)
    canvas = np.asarray(pen.canvas)
    for x, y in points:
        assert canvas[round(100 + 78 * y), round(100 + 78 * x)] == Paint.BODY  # 2 % inside the point
        assert canvas[round(100 + 83 * y), round(100 + 83 * x)] == 0
