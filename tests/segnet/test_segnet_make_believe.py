"""Training and prediction on the make-believe CuPy: on a device of one's own, and with few waits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.gpu.make_believe_cupy import installed, tally
from tests.segnet.segnet_toys import CHANNELS, CLASSES, IMAGES, assert_same_bits, thin_model, trained
from tinysegrank.backend import get_backend, to_numpy
from tinysegrank.segnet import FeatureStore, TrainingOptions, predict, predict_features, predict_store, train
from tinysegrank.segnet.corpus import COUNTS


@pytest.fixture(autouse=True)
def cupy() -> Iterator[None]:
    with installed():
        yield


@pytest.mark.parametrize("counts", COUNTS)
def test_the_second_device_is_used_throughout(store: FeatureStore, counts: str) -> None:
    """While the first is current: an array of the other one would be refused. The results are NumPy's."""
    there, here = (trained(store, backend=get_backend(name), counts=counts, steps=4) for name in ("cupy:1", "numpy"))
    for name, array in there.parameters.items():
        assert array.device == there.backend.device
        np.testing.assert_allclose(to_numpy(array), here.parameters[name], atol=1e-4)
    image = np.full((40, 60, 3), 90, np.uint8)
    np.testing.assert_allclose(predict(there, [image]), predict(here, [image]), atol=1e-4)
    np.testing.assert_allclose(predict_store(there, store), predict_store(here, store), atol=1e-4)


@pytest.mark.parametrize("counts", COUNTS)
def test_waits_of_a_training(store: FeatureStore, counts: str) -> None:
    """One for each line of the log."""
    waits = []
    for steps in (10, 20):
        model = thin_model(backend=get_backend("cupy"))
        options = TrainingOptions("uoi", steps=steps, batch=4, rate=0.01, counts=counts)
        tally.reset()
        train(model, store, IMAGES, options, seed=0, log_every=10)
        waits.append(tally.waits.total())
    assert waits[1] - waits[0] == 1


@pytest.mark.parametrize("counts", COUNTS)
def test_rows_are_on_the_device_if_they_fit(store: FeatureStore, counts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step then sends the numbers of its rows only; otherwise features as float16. The results are the same."""
    size = 14 * 13 * 13 * (2 * CHANNELS + 4 * CLASSES + 4)  # bytes of all rows
    models, sent = [], []
    for free in (2 * size, 2 * size - 1):
        backend = get_backend("cupy")
        monkeypatch.setattr(backend.xp.cuda.runtime, "memGetInfo", lambda free=free: (free, 2**30))
        tally.reset()
        models.append(trained(store, backend=backend, counts=counts, steps=6))
        sent.append(tally.sent)
    assert_same_bits(*models)
    read = {"batch": 30, "running": 30, "corpus": 30 + 3 * 14, "full": 6 * 2 * 14}[counts]
    parameters = sum(array.nbytes for array in models[0].parameters.values())
    assert sent[0] - parameters < size + 8 * read + 1000
    assert 0 <= sent[1] - parameters - read * size / 14 < 1000


def test_prediction_sends_features_in_float16(store: FeatureStore) -> None:
    model, features = thin_model(backend=get_backend("cupy")), store.gather("features")
    tally.reset()
    found = predict_features(model, features)
    assert tally.sent == features.nbytes
    np.testing.assert_array_equal(found, predict_features(model, features.astype(np.float32)))


def test_a_copy_of_rows_that_are_read_once_does_not_pay(store: FeatureStore) -> None:
    tally.reset()
    model = trained(store, backend=get_backend("cupy"), steps=2)
    assert tally.sent < sum(array.nbytes for array in model.parameters.values()) + 11 * 13 * 13 * 36
