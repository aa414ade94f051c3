"""The trunk of a run: pre-training that is interrupted resumes from its checkpoint, and ends with the same bits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tinysegrank.experiment import Silent, named_settings, run_experiment
from tinysegrank.experiment.progress import Progress
from tinysegrank.voc import make_toy_voc

pytestmark = pytest.mark.slow

STEPS, EVERY = 53, 50  # of the training, and between checkpoints


class Counting(Silent):
    """Notes the steps of pre-training as they are reported, and is interrupted at one of them."""

    def __init__(self, until: int = STEPS + 1) -> None:
        self.advances, self.until = [], until

    def count(self, what, total):
        return super().count(what, total) if what != "pre-training steps" else Steps(self)


class Steps:
    def __init__(self, progress: Counting) -> None:
        self.progress = progress

    def __enter__(self):
        return self.advance

    def __exit__(self, *exception: object) -> None:
        pass

    def advance(self, steps: int) -> None:
        self.progress.advances.append(steps)
        if sum(self.progress.advances) == self.progress.until:
            raise KeyboardInterrupt


def test_an_interrupted_trunk_resumes(tmp_path):
    make_toy_voc(tmp_path / "toy", train=5, val=1, seed=1, size=(40, 60))
    demo = named_settings("demo")
    settings = replace(
        demo,
        data=replace(demo.data, voc=str(tmp_path / "toy")),
        trunk=replace(demo.trunk, pretrain_images=8, pretrain_steps=STEPS),
    )

    def trunk(name: str, progress: Progress) -> dict[str, bytes]:
        run = run_experiment(tmp_path / name, settings, jobs=1, progress=progress, until="trunk")
        return {path.name: path.read_bytes() for path in run.folder("trunk").iterdir() if path.name != "stamp.json"}

    whole, rest = trunk("whole", Silent()), Counting()
    with pytest.raises(KeyboardInterrupt):
        trunk("interrupted", Counting(until=EVERY + 1))
    assert trunk("interrupted", rest) == whole
    assert rest.advances == [EVERY, 1, 1, 1]
    assert set(whole) == {"segnet.safetensors", "pretraining.json"}
