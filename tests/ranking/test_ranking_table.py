"""The feature table, the standardiser, and the choice of C."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

from tinysegrank.errors import CheckpointError, ConfigError, ShapeError
from tinysegrank.files import read_about, write_arrays
from tinysegrank.metrics import corpus_iou, image_confusions, image_ious
from tinysegrank.ranking import FeatureTable, RankSVM, Standardizer, StoredTable, choose_C, pick
from tinysegrank.voc import assign_folds


def table(image="2007_000001", rows=3, quality=True):
    values = np.arange(5 * rows, dtype=np.float64).reshape(rows, 5)
    blocks = {"segnet": (["kl a", "kl/b"], values[:, :2]), "rerank": (["x", "y", "z"], values[:, 2:])}
    return FeatureTable.of_image(image, blocks, np.linspace(0, 1, rows) if quality else None)


def test_rows_blocks_and_names():
    joined = FeatureTable.concatenate([table("a", 2), FeatureTable.concatenate([table("b", 3), table("c", 1, False)])])
    assert joined.images == ("a", "b", "c") and len(joined) == 6
    assert joined.groups.tolist() == [0, 0, 1, 1, 1, 2] and joined.proposals.tolist() == [0, 1, 0, 1, 2, 0]
    assert np.isnan(joined.quality).tolist() == [False] * 5 + [True]
    assert joined.select().shape == (6, 5) and joined.select().dtype == np.float32
    assert joined.names() == ("kl a", "kl/b", "x", "y", "z")
    assert joined.names(["rerank", "segnet"]) == ("x", "y", "z", "kl a", "kl/b")
    np.testing.assert_array_equal(joined.select(["rerank", "segnet"]), joined.select()[:, [2, 3, 4, 0, 1]])
    np.testing.assert_array_equal(joined.select("segnet"), joined.blocks["segnet"])


def test_names_of_columns_are_stored_once_for_many_images(tmp_path):
    joined = FeatureTable.concatenate([table("d"), table("bé", quality=False)])
    tables = [table("a"), table("b", 200), table("c", quality=False), joined]
    for one in tables:
        one.save(tmp_path / one.images[0])
        assert b"kl a" not in (tmp_path / one.images[0]).read_bytes()
    columns = dict(tables[0].columns)
    read = [FeatureTable.load(tmp_path / name, columns) for name in "abcd"]
    assert [one.columns for one in read] == [columns] * 4
    for one, other in zip(read, tables, strict=True):
        assert one.images == other.images
        np.testing.assert_array_equal(one.select(), other.select())
        for name in ("groups", "proposals", "quality"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    only = FeatureTable.load(tmp_path / "a", {"rerank": columns["rerank"]})
    np.testing.assert_array_equal(only.select(), tables[0].select(["rerank"]))
    for others in ({"segnet": ("kl a",)}, {"colour": ("red",)}):
        with pytest.raises(CheckpointError, match="a: is damaged"):
            FeatureTable.load(tmp_path / "a", others)


def test_a_stored_table_reads_what_was_saved(tmp_path):
    tables = [table("a", 2), table("b", 3, quality=False), table("c", 1)]
    for one in tables:
        one.save(tmp_path / one.images[0])
    columns, joined = dict(tables[0].columns), FeatureTable.concatenate(tables)
    stored = StoredTable.open([tmp_path / name for name in "abc"], columns)
    assert (stored.images, stored.columns, len(stored)) == (joined.images, columns, 6)
    for name in ("groups", "proposals", "quality"):
        np.testing.assert_array_equal(getattr(stored, name), getattr(joined, name))
    for blocks in (None, ["rerank", "segnet"], "rerank"):
        assert stored.names(blocks) == joined.names(blocks)
        assert stored.select(blocks).dtype == np.float32
        np.testing.assert_array_equal(stored.select(blocks), joined.select(blocks))
    with pytest.raises(ConfigError, match="colour"):
        stored.select(["colour"])
    with pytest.raises(ShapeError, match="at least one"):
        StoredTable.open([], columns)
    joined.save(tmp_path / "abc")
    with pytest.raises(ShapeError, match="each of one image"):
        StoredTable.open([tmp_path / "abc"], columns)
    (tmp_path / "b").unlink()
    with pytest.raises(CheckpointError, match="b: is missing"):
        np.asarray(stored.select())


def test_damaged_files(tmp_path):
    path, columns = tmp_path / "features.safetensors", table().columns
    with pytest.raises(CheckpointError, match="features"):
        FeatureTable.load(path, columns)
    write_arrays(path, {"groups": np.zeros(1)})
    with pytest.raises(CheckpointError, match="does not hold"):
        FeatureTable.load(path, columns)
    table().save(path)
    about = read_about(path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(CheckpointError, match="features"):
        FeatureTable.load(path, columns)
    write_arrays(path, {"groups": np.zeros(1, int)}, about=about)
    with pytest.raises(CheckpointError, match="damaged"):
        FeatureTable.load(path, columns)


@pytest.mark.parametrize("blocks", [["colour"], [], ["segnet", "segnet"]])
def test_unknown_blocks(blocks):
    with pytest.raises(ConfigError, match="segnet"):
        table().select(blocks)


def test_tables_that_do_not_fit():
    with pytest.raises(ShapeError, match="duplicated"):
        FeatureTable.concatenate([table("a"), table("a")])
    with pytest.raises(ShapeError, match="differ"):
        FeatureTable.concatenate([table("a"), FeatureTable.of_image("b", {"segnet": (["x"], np.ones((1, 1)))})])
    with pytest.raises(ShapeError, match="none"):
        FeatureTable.concatenate([])
    with pytest.raises(ShapeError, match="block 'b'"):
        FeatureTable.of_image("a", {"b": (["x"], np.ones((3, 2)))})
    with pytest.raises(ShapeError, match="'x' is duplicated"):
        FeatureTable.of_image("a", {"b": (["x"], np.ones((1, 1))), "c": (["x"], np.ones((1, 1)))})
    with pytest.raises(ShapeError, match="quality"):
        FeatureTable.of_image("a", {"b": (["x"], np.ones((3, 1)))}, np.ones(2))
    with pytest.raises(ShapeError, match="blocks"):
        FeatureTable.of_image("a", {})


def test_standardizer_is_scikit_learns_but_for_constant_columns():
    rng = np.random.default_rng(0)
    X, more = rng.normal(5, 3, (9000, 4)), rng.normal(5, 3, (7, 4))
    X[:, 2] = 0.1
    expected = StandardScaler().fit(X).transform(more)
    expected[:, 2] = 0
    np.testing.assert_allclose(Standardizer().fit(X).transform(more), expected, rtol=1e-12)
    assert not Standardizer().fit_transform(X)[:, 2].any()
    copied, own = Standardizer().fit(X).transform(X), Standardizer().fit(X).transform(X, copy=False)
    assert own is X and copied is not X
    np.testing.assert_array_equal(own, copied)


def test_standardizer_of_float32_far_from_zero():
    X = np.random.default_rng(0).normal(1e4, 1, (5000, 3)).astype(np.float32)
    X[:, 1] = np.float32(0.1)
    standard = Standardizer().fit_transform(X)
    assert standard.dtype == np.float32 and not standard[:, 1].any()
    np.testing.assert_allclose(standard[:, [0, 2]].std(axis=0), 1, rtol=1e-4)
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=1e-3)


def test_standardizer_bad_input():
    with pytest.raises(NotFittedError):
        Standardizer().transform(np.ones((2, 2)))
    with pytest.raises(ShapeError, match="no rows"):
        Standardizer().fit(np.ones((0, 2)))
    with pytest.raises(ShapeError, match="3 columns, fitted on 2"):
        Standardizer().fit(np.ones((2, 2))).transform(np.ones((2, 3)))
    for weights in (np.ones(3), np.array([1.0, 0.0]), np.array([1.0, np.inf])):
        with pytest.raises(ShapeError, match="weights: give 2 finite numbers above 0"):
            Standardizer(weights).fit(np.ones((2, 2)))


def corpus(images=20, proposals=5, seed=0):
    """Truths, proposals of them with more or fewer wrong pixels, and a noisy feature that tells how many."""
    rng = np.random.default_rng(seed)
    truths, labels, features, quality, confusions = [], [], [], [], []
    for _ in range(images):
        truth = rng.integers(0, 3, (6, 7))
        wrong = rng.random(proposals)
        made = np.where(rng.random((proposals, 6, 7)) < wrong[:, None, None], rng.integers(0, 4, (6, 7)), truth)
        truths.append(truth)
        labels.append(made)
        features.append(np.stack([wrong + rng.normal(0, 0.3, proposals), rng.normal(0, 1, proposals)], axis=1))
        quality.append(image_ious(truth, made, num_classes=4))
        confusions.append(image_confusions(truth, made, num_classes=4))
    groups = np.repeat(np.arange(images), proposals)
    stacked = (np.concatenate(part) for part in (features, quality, confusions))
    return truths, labels, groups, *stacked


@pytest.mark.parametrize("classes", [None, [0, 2]])
def test_accuracy_of_each_c_is_the_corpus_iou_of_held_out_picks(classes):
    truths, labels, groups, X, quality, confusions = corpus()
    chosen = choose_C(X, quality, groups, confusions, grid=[10.0, 1e-4, 0.1], folds=4, seed=3, classes=classes)
    assert chosen.grid.tolist() == [1e-4, 0.1, 10.0]
    fold = assign_folds([str(image) for image in range(20)], 4, seed=3)
    for C, accuracy in zip(chosen.grid, chosen.accuracy, strict=True):
        picked = [None] * 20
        for held_out in range(4):
            train, test = (
                np.isin(groups, np.flatnonzero(fold != held_out)),
                np.isin(groups, np.flatnonzero(fold == held_out)),
            )
            scaler = StandardScaler().fit(X[train])
            svm = RankSVM(C=C).fit(scaler.transform(X[train]), quality[train], groups[train])
            scores = svm.decision_function(scaler.transform(X[test]))
            for row in np.flatnonzero(test)[pick(scores, groups[test])]:
                picked[groups[row]] = labels[groups[row]][row % 5]
        iou = corpus_iou(truths, picked, num_classes=4)[[0, 1, 2] if classes is None else classes]  # 3 is never true
        assert accuracy == pytest.approx(iou.mean(), rel=1e-12)
    assert chosen.grid[chosen.accuracy.argmax()] == chosen.C


@pytest.mark.slow
def test_choice_is_the_same_for_any_number_of_workers():
    _, _, groups, X, quality, confusions = corpus()
    one, two = (choose_C(X, quality, groups, confusions, folds=3, jobs=jobs) for jobs in (1, 2))
    assert one.C == two.C and (one.accuracy == two.accuracy).all()


def test_choice_takes_an_estimator_and_leaves_it_alone():
    _, _, groups, X, quality, confusions = corpus()
    estimator = RankSVM(C=7.0, pairs="all")
    assert choose_C(X, quality, groups, confusions, grid=[1.0], folds=2, estimator=estimator).C == 1.0
    assert estimator.C == 7.0 and not estimator.warm_start and not hasattr(estimator, "coef_")


def test_choice_bad_input():
    _, _, groups, X, quality, confusions = corpus()
    with pytest.raises(ShapeError, match="confusions"):
        choose_C(X, quality, groups, confusions[:-1])
    with pytest.raises(ShapeError, match="confusions"):
        choose_C(X, quality, groups, confusions[:, :3])
    for grid in ([], [0.0], [np.nan]):
        with pytest.raises(ShapeError, match="grid"):
            choose_C(X, quality, groups, confusions, grid=grid)
    with pytest.raises(ConfigError, match="folds"):
        choose_C(X, quality, groups, confusions, folds=21)
    with pytest.raises(ShapeError, match="classes"):
        choose_C(X, quality, groups, confusions, folds=2, classes=[3])
