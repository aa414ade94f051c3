"""conv1 to conv5: loaded from a weight file, or pre-trained here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tinysegrank.experiment.images import WEIGHTS
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.files import write_json
from tinysegrank.parallel import one_blas_thread
from tinysegrank.segnet import SegNet, pretrain_trunk, save_segnet

NETWORK = "segnet.safetensors"
"""The file of a network in its folder, here and in `training`."""


def network_path(run: Run) -> Path:
    """Return the file of the network whose trunk is ready and whose head is untrained."""
    return run.folder(STAGE.name) / NETWORK


def make(run: Run) -> None:
    """Load conv1 to conv5 from the weight file, or pre-train them, and write the network."""
    settings = run.settings
    model = SegNet(preset=settings.trunk.preset, rng=np.random.default_rng([settings.seed, 0]))
    checkpoint = network_path(run).with_name("pretraining.safetensors")
    if settings.trunk.weights:
        model.load_weights(settings.trunk.weights)
    else:
        accuracy = _pretrain(run, model, checkpoint)
        run.progress.say(f"the pre-trained trunk classifies {accuracy:.0%} of its last training images")
        write_json(network_path(run).with_name("pretraining.json"), {"training_accuracy": accuracy})
    save_segnet(network_path(run), model)
    checkpoint.unlink(missing_ok=True)


def _pretrain(run: Run, model: SegNet, checkpoint: Path) -> float:
    from tinysegrank.voc import toy_classification

    trunk, seed, size = run.settings.trunk, run.settings.seed, model.preset.preprocessing.size
    with run.progress.count("toy images of single objects", trunk.pretrain_images) as drawn:
        images, classes = toy_classification(trunk.pretrain_images, seed=seed, size=size, jobs=run.jobs, advance=drawn)
    shown = 0

    def show(step: int, loss: float) -> None:  # noqa: ARG001
        nonlocal shown
        advance(step - shown)
        shown = step

    with run.progress.count("pre-training steps", trunk.pretrain_steps) as advance:
        return one_blas_thread(
            lambda: pretrain_trunk(
                model,
                images,
                classes,
                steps=trunk.pretrain_steps,
                rate=trunk.pretrain_rate,
                seed=seed,
                checkpoint=checkpoint,
                progress=show,
            )
        )


STAGE = Stage("trunk", make, (WEIGHTS,), lambda s: [replace(s.trunk, chunk=1), s.seed], backend=True)
