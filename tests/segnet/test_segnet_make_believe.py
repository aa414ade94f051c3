"""Training and prediction on the make-believe CuPy: on a device of one's own, and with few waits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.gpu.make_believe_cupy import installed, tally
from tests.segnet.segnet_toys import IMAGES, thin_model, trained
from tinysegrank.backend import get_backend, to_numpy
from tinysegrank.segnet import FeatureStore, TrainingOptions, predict, predict_store, train
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
    np.testing.assert_allclose(predict(there, [image], mirrored=True), predict(here, [image], mirrored=True), atol=1e-4)
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
