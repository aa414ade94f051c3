"""The exact gradient of a corpus loss, with no more than one batch in memory.

IOU and UOI are ratios of sums over every cell of the corpus, so minibatches' gradients do not add up to the corpus
loss's gradient. Two passes compute it: the first adds up the sums, the second backpropagates each batch through the
ratios of these sums. Both passes drop the same units, so the result is the gradient of one batch with all rows.

Paper: section 3.2 calls IOU a corpus-level metric, which minibatches only approximate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from tinysegrank.backend import Array
from tinysegrank.errors import TrainingError
from tinysegrank.losses import CorpusCounts, Loss
from tinysegrank.nn.layer import Gradients
from tinysegrank.segnet.batches import Batch
from tinysegrank.segnet.network import SegNet, on_its_device


@on_its_device
def full_batch_gradients(
    model: SegNet,
    loss: Loss,
    batches: Callable[[], Iterable[Batch]],
    *,
    generator: Callable[[int], np.random.Generator | None],
) -> tuple[Array, Gradients]:
    """Compute a loss over all batches together, and its gradients with respect to the head's trainable parameters.

    returns | (), and a dictionary of arrays | as the features | the loss, and the gradients by parameter's name

    Args:
        model: the network; its parameters are not changed.
        loss: a loss of `tinysegrank.losses` that takes counts.
        batches: returns batches, whose numbers of rows may differ; called twice, and must return the same ones in the
            same order.
        generator: returns the random generator of a batch's dropout, given the batch's number from 0, or None for no
            dropout; called twice per batch, and must return generators of the same state.

    Raises:
        TrainingError: there are no batches.
    """
    counts = CorpusCounts(model.num_classes)
    for number, (features, target, weight) in enumerate(batches()):
        counts.update(model.forward_features(features, rng=generator(number)), target, weight)
    value: Array = None
    total: Gradients = {}
    for number, (features, target, weight) in enumerate(batches()):
        z = model.forward_features(features, rng=generator(number))
        value, grad_z = loss(z, target, weight, counts=counts)  # the corpus's value, the same for every batch
        gradients = model.backward(grad_z)
        total = {name: total[name] + array if total else array for name, array in gradients.items()}
    if value is None:
        raise TrainingError("no batches to compute a loss over; give at least one")
    return value, total
