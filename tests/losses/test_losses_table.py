"""The table of losses: what its names stand for, options, and a loss of one's own, trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace

from tinysegrank import losses
from tinysegrank.errors import ConfigError
from tinysegrank.nn import softmax, softmax_backward
from tinysegrank.segnet import FeatureStore, SegNet, TrainingOptions, train
from tinysegrank.segnet.presets import PRESETS
from tinysegrank.testing import check_backward


def squared_error(z, target, weight=None, *, counts=None):
    """A loss from outside the package: mean over cells of |softmax(z) - target|^2."""
    if counts is not None:
        raise ConfigError("squared_error takes no counts=")
    xp = array_namespace(z)
    N, _, H, W = z.shape
    cells = xp.reshape(xp.ones((N, H, W)) if weight is None else weight, (N, 1, H, W))
    q, context = softmax(z, axis=1)
    share = cells / xp.sum(cells)
    return xp.sum(share * (q - target) ** 2), softmax_backward(2 * share * (q - target), context)


@pytest.fixture
def squared(monkeypatch):
    monkeypatch.setitem(losses.TABLE, "squared_error", squared_error)


def drawn(rng, classes=3):
    target = rng.dirichlet(np.ones(classes), size=(2, 4, 5)).transpose(0, 3, 1, 2)
    return rng.normal(size=target.shape), target, rng.random((2, 4, 5))


MASS = {"min_mass": 0.1}
TERMS: dict[str, list[tuple[float, Callable[..., Any], dict[str, float]]]] = {
    "ce": [(1.0, losses.soft_cross_entropy, {})],
    "uoi": [(1.0, losses.uoi, MASS)],
    "iou": [(-1.0, losses.iou, MASS)],
    "uoi+ce": [(0.7, losses.uoi, MASS), (0.3, losses.soft_cross_entropy, {})],
    "soft_dice": [(1.0, losses.soft_dice, MASS)],
    "lovasz_softmax": [(1.0, losses.lovasz_softmax, MASS)],
}


@pytest.mark.parametrize("name", losses.TABLE)
def test_names_are_the_papers_mixtures(rng, name):
    arrays = drawn(rng)
    parts = [(factor, loss(*arrays, **options)) for factor, loss, options in TERMS[name]]
    found = losses.named(name, **MASS)(*arrays)
    for k in (0, 1):  # value, gradient
        np.testing.assert_allclose(found[k], sum(factor * part[k] for factor, part in parts), rtol=1e-14)


@pytest.mark.parametrize("name", [name for name in losses.TABLE if name != "ce"])
def test_min_mass_reaches_every_loss_that_takes_it(rng, name):
    arrays = drawn(rng)
    every, none = (losses.named(name, min_mass=mass)(*arrays)[0] for mass in (0, 1e6))
    cross_entropy = losses.soft_cross_entropy(*arrays)[0] if name == "uoi+ce" else 0.0
    assert none == pytest.approx(0.3 * cross_entropy)
    assert every != pytest.approx(none)


def test_unknown_names_and_refused_counts(squared):
    with pytest.raises(ConfigError, match=r'loss="hinge": choose one of ce, uoi, .*squared_error'):
        TrainingOptions(loss="hinge")
    for name in ("lovasz_softmax", "squared_error"):  # before anything is trained
        with pytest.raises(ConfigError, match=f"{name} takes no counts="):
            TrainingOptions(loss=name, counts="running")


def test_a_loss_from_outside_is_trained(squared, rng, tmp_path):
    z, target, weight = drawn(rng)
    check_backward(lambda z: squared_error(z, target, weight), lambda grad, context: grad * context, [z])
    features = rng.random((4, PRESETS["tiny"].convolutions[-1].filters, 13, 13)).astype(np.float16)
    truth = np.eye(3, dtype=np.float32)[rng.integers(0, 3, (4, 13, 13))]
    store = FeatureStore(tmp_path, images=4, mirrors=False, chunk=4)
    store.write(0, {"features": features, "targets": truth, "weights": np.ones((4, 13, 13), np.float32)})
    model = SegNet(3, "tiny", rng=np.random.default_rng(0), dropout=0.0)
    expected, _ = squared_error(model.forward_features(features.astype(np.float32)), truth.transpose(0, 3, 1, 2))
    options = TrainingOptions(loss="squared_error", steps=2, rate=0.01, batch=4)
    first, second = train(model, store, np.arange(4), options, seed=0, log_every=1)
    assert first.loss == pytest.approx(float(expected), rel=1e-5)
    assert second.loss < first.loss
