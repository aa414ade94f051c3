"""The store of conv5's features, and what is put into it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.segnet.segnet_toys import CHANNELS, CLASSES, thin_model, toy_store
from tinysegrank.errors import CheckpointError, DatasetError, ShapeError, WeightsError
from tinysegrank.segnet import FeatureStore, chunk_arrays
from tinysegrank.segnet.features import KINDS


def numbered(store: FeatureStore) -> FeatureStore:
    """Every row holds its own number."""
    for chunk in range(store.chunks):
        rows = store.rows_of(np.array(store.members(chunk)))
        arrays = {
            "features": np.broadcast_to(rows[:, None, None, None], (len(rows), 2, 13, 13)).astype(np.float16),
            "targets": np.broadcast_to(rows[:, None, None, None], (len(rows), 13, 13, 3)).astype(np.float32),
            "weights": np.broadcast_to(rows[:, None, None], (len(rows), 13, 13)).astype(np.float32),
        }
        store.write(chunk, arrays)
    return store


# Rows ----------------------------------------------------------------------------------------------------------------


@settings(max_examples=15)  # each writes files
@given(data=st.data(), images=st.integers(1, 12), chunk=st.integers(1, 5), mirrors=st.booleans())
def test_gather_in_the_order_asked(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, images: int, chunk: int, mirrors: bool
) -> None:
    store = numbered(FeatureStore(tmp_path_factory.mktemp("store"), images=images, mirrors=mirrors, chunk=chunk))
    assert store.rows == images * (1 + mirrors)
    rows = np.array(data.draw(st.lists(st.integers(0, store.rows - 1), max_size=10)), int)
    for kind in KINDS:
        found = store.gather(kind, rows)
        assert np.all(found == rows.reshape(-1, *[1] * (found.ndim - 1)))
        assert len(found) == len(rows)
        np.testing.assert_array_equal(store.gather(kind)[rows], found)


def test_kinds_and_types(tmp_path: Path) -> None:
    store = toy_store(tmp_path, images=4)
    shapes = {kind: (store.gather(kind).shape, store.gather(kind).dtype) for kind in KINDS}
    assert shapes == {
        "features": ((8, CHANNELS, 13, 13), np.float16),
        "targets": ((8, 13, 13, CLASSES), np.float32),
        "weights": ((8, 13, 13), np.float32),
    }


def test_rows_of(tmp_path: Path) -> None:
    with_mirrors = FeatureStore(tmp_path, images=9, mirrors=True)
    np.testing.assert_array_equal(with_mirrors.rows_of(np.array([3, 0, 8])), [6, 7, 0, 1, 16, 17])
    without = FeatureStore(tmp_path, images=9, mirrors=False)
    np.testing.assert_array_equal(without.rows_of(np.array([3, 0, 8])), [3, 0, 8])
    assert len(with_mirrors.rows_of(np.array([], int))) == 0


def test_members_are_every_image_once(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, images=10, mirrors=True, chunk=4)
    assert [list(store.members(i)) for i in range(store.chunks)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert FeatureStore(tmp_path, images=8, mirrors=True, chunk=4).chunks == 2


@pytest.mark.parametrize("rows", [[-1], [8], [0, 100]])
def test_rows_that_do_not_exist(tmp_path: Path, rows: list[int]) -> None:
    with pytest.raises(ShapeError, match=r"0\.\.7"):
        toy_store(tmp_path, images=4).gather("features", np.array(rows))


# Damage --------------------------------------------------------------------------------------------------------------


def test_the_files_of_a_chunk(tmp_path: Path) -> None:
    toy_store(tmp_path, images=4)
    for targets, kinds in ((True, KINDS), (False, ("features",))):
        store = FeatureStore(tmp_path, images=4, mirrors=True, chunk=3, targets=targets)
        assert store.files(1) == [tmp_path / f"chunk_00001.{kind}.npy" for kind in kinds]
        assert all(file.is_file() for file in store.files(1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_chunk(tmp_path: Path, kind: str) -> None:
    store = toy_store(tmp_path, images=5)
    (tmp_path / f"chunk_00001.{kind}.npy").unlink()
    with pytest.raises(CheckpointError, match=rf"chunk_00001\.{kind}\.npy: is missing"):
        store.gather(kind)


def test_a_chunk_cut_off_anywhere(tmp_path: Path) -> None:
    toy_store(tmp_path, images=2)
    file = tmp_path / "chunk_00000.weights.npy"
    content = file.read_bytes()
    for length in [*range(140), len(content) // 2, len(content) - 1]:
        file.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r"chunk_00000\.weights\.npy: is damaged"):
            FeatureStore(tmp_path, images=2, mirrors=True, chunk=3).gather("weights")


@pytest.mark.filterwarnings("ignore:Reading `.npy`:UserWarning")  # NumPy suspects Python 2
@given(place=st.integers(0, 127), byte=st.integers(0, 255))
def test_a_spoilt_byte_in_a_header(tmp_path_factory: pytest.TempPathFactory, place: int, byte: int) -> None:
    folder = tmp_path_factory.mktemp("store")
    toy_store(folder, images=1)
    file = folder / "chunk_00000.weights.npy"
    content = bytearray(file.read_bytes())
    content[place] = byte
    file.write_bytes(content)
    try:
        found = FeatureStore(folder, images=1, mirrors=True, chunk=3).gather("weights")
    except CheckpointError:
        return
    assert len(found) == 2


@pytest.mark.parametrize("shape", [(2, -13, 13), (2, 13, -1), (2, 10**9, 10**9), (2, 13, 14)])
def test_a_shape_that_the_file_cannot_have(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """It is refused before the memory for it is asked for."""
    store = toy_store(tmp_path, images=1)
    with (tmp_path / "chunk_00000.weights.npy").open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
        stream.write(bytes(2 * 13 * 13 * 4))
    with pytest.raises(CheckpointError, match=r"weights\.npy: is damaged"):
        store.gather("weights")


def test_pickles_are_refused(tmp_path: Path) -> None:
    store = toy_store(tmp_path, images=1)
    np.save(tmp_path / "chunk_00000.weights.npy", np.array([{}, {}], object), allow_pickle=True)
    with pytest.raises(CheckpointError, match=r"weights\.npy"):
        store.gather("weights")


@pytest.mark.parametrize("options", [{"chunk": 2}, {"images": 6}, {"mirrors": False}])
def test_chunks_of_another_store(tmp_path: Path, options: dict[str, int]) -> None:
    toy_store(tmp_path, images=5, chunk=3)
    with pytest.raises(CheckpointError, match=r"expected \d+ rows"):
        FeatureStore(tmp_path, **({"images": 5, "mirrors": True, "chunk": 3} | options)).gather("features")


# What is stored ------------------------------------------------------------------------------------------------------


def photographs(rng: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray]]:
    sizes = [(40, 51), (33, 30), (113, 113)]
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    labels = [rng.choice(np.array([0, 1, 2, 3, 255], np.uint8), size) for size in sizes]
    return images, labels


def test_features_are_those_of_the_trunk(rng: np.random.Generator) -> None:
    model, (images, labels) = thin_model(feature_scale=5.0), photographs(rng)
    arrays = chunk_arrays(model, images, labels, mirrors=True)
    assert {kind: arrays[kind].dtype for kind in KINDS} == {
        "features": np.float16,
        "targets": np.float32,
        "weights": np.float32,
    }
    for number, image in enumerate(images):
        x = model.preset.preprocessing.apply(image)[None]
        for row, view in ((2 * number, x), (2 * number + 1, x[..., ::-1].copy())):
            expected = model.features(view)[0]  # not scaled
            np.testing.assert_allclose(arrays["features"][row], expected, rtol=1e-3, atol=1e-3 * np.max(expected))
        assert not np.allclose(arrays["features"][2 * number], arrays["features"][2 * number + 1], atol=1e-2)


def test_targets_are_shares_of_pixels(rng: np.random.Generator) -> None:
    """Of the largest image, 113 = 13 * 8 + 9: tiles by their rounded edges, classes by counting."""
    model, (images, labels) = thin_model(), photographs(rng)
    arrays = chunk_arrays(model, images, labels, mirrors=True)
    edges = [round(113 * r / 13) for r in range(14)]
    for row, label in ((4, labels[2]), (5, labels[2][:, ::-1])):
        for r in range(13):
            for c in range(13):
                tile = label[edges[r] : edges[r + 1], edges[c] : edges[c + 1]]
                counts = np.array([np.sum(tile == k) for k in range(CLASSES)])
                np.testing.assert_allclose(arrays["targets"][row, r, c], counts / counts.sum(), rtol=1e-6)
                np.testing.assert_allclose(arrays["weights"][row, r, c], counts.sum() / tile.size, rtol=1e-6)


def test_mirrored_targets_are_the_mirror_of_the_targets(rng: np.random.Generator) -> None:
    arrays = chunk_arrays(thin_model(), *photographs(rng), mirrors=True)
    np.testing.assert_array_equal(arrays["targets"][1::2], arrays["targets"][::2, :, ::-1])
    np.testing.assert_array_equal(arrays["weights"][1::2], arrays["weights"][::2, :, ::-1])


def test_without_mirrors(rng: np.random.Generator) -> None:
    model, (images, labels) = thin_model(), photographs(rng)
    one, other = (chunk_arrays(model, images, labels, mirrors=mirrors) for mirrors in (False, True))
    for kind in ("targets", "weights"):
        np.testing.assert_array_equal(one[kind], other[kind][::2])
    np.testing.assert_allclose(one["features"], other["features"][::2], rtol=1e-3, atol=1e-3)


def test_what_is_written_is_read(tmp_path: Path, rng: np.random.Generator) -> None:
    model, (images, labels) = thin_model(), photographs(rng)
    store = FeatureStore(tmp_path, images=3, mirrors=True, chunk=2)
    for chunk in range(store.chunks):
        members = store.members(chunk)
        store.write(
            chunk, chunk_arrays(model, [images[i] for i in members], [labels[i] for i in members], mirrors=True)
        )
    whole = chunk_arrays(model, images, labels, mirrors=True)
    for kind in ("targets", "weights"):
        np.testing.assert_array_equal(store.gather(kind), whole[kind])
    np.testing.assert_allclose(store.gather("features"), whole["features"], rtol=1e-3, atol=1e-3)


def test_images_that_cannot_be_stored(rng: np.random.Generator) -> None:
    model, (images, labels) = thin_model(), photographs(rng)
    with pytest.raises(ShapeError, match="RGB"):
        chunk_arrays(model, [images[0][..., 0]], labels[:1], mirrors=True)
    with pytest.raises(DatasetError, match="too small"):
        chunk_arrays(model, [images[0][:12]], [labels[0][:12]], mirrors=True)
    with pytest.raises(DatasetError, match=str(CLASSES)):
        chunk_arrays(model, images[:1], [np.full_like(labels[0], CLASSES)], mirrors=True)
    with pytest.raises(ValueError, match="2 label maps for 3 images"):
        chunk_arrays(model, images, labels[:2], mirrors=True)


@pytest.mark.parametrize(("factor", "reach"), [(1e6, r"reach \d\.\d+e\+"), (np.nan, "reach nan")])
def test_features_that_float16_cannot_hold_are_refused(factor: float, reach: str) -> None:
    """Stored as infinity, they would be found much later, as a training that diverges."""
    model = thin_model()
    model.assign({"conv5.weight": model.parameters["conv5.weight"] * np.float32(factor)})
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    with pytest.raises(WeightsError, match=rf"conv5's features {reach}.* float16"):
        chunk_arrays(model, [image], [np.zeros((40, 40), np.uint8)], mirrors=True)
