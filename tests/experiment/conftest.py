"""A tiny finished run, and its evidence, made once for all tests that only read them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tinysegrank.experiment import Run, Silent, named_settings, run_experiment
from tinysegrank.experiment.evidence import collect_evidence
from tinysegrank.experiment.settings import CrfSettings, ProposalSettings, Settings, TrainingSettings
from tinysegrank.segnet import TrainingOptions
from tinysegrank.voc import make_toy_voc

SEEDS = (0, 3)


def tiny_settings(voc: Path) -> Settings:
    def steps(loss: str) -> TrainingOptions:
        return TrainingOptions(loss, steps=4, rate=0.02, batch=8)

    demo = named_settings("demo")
    return replace(
        demo,
        data=replace(demo.data, voc=str(voc)),
        trunk=replace(demo.trunk, pretrain_images=24, pretrain_steps=3, chunk=4),
        training=TrainingSettings(0.0, steps("ce"), steps("ce"), steps("uoi"), steps("iou"), steps("uoi+ce")),
        superpixels=replace(demo.superpixels, segments=60),
        proposals=ProposalSettings(count=4, crf=CrfSettings(strengths=(4.0,), lambdas=(0.3,), choice_images=4)),
        ranking=replace(demo.ranking, C=(0.01, 1.0), splits=2),
        report=replace(demo.report, panels=2),
    )


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Read it; copy it before changing anything."""
    folder = tmp_path_factory.mktemp("tiny")
    make_toy_voc(folder / "voc", train=10, val=6, seed=5)
    return run_experiment(folder / "run", tiny_settings(folder / "voc"), jobs=1, progress=Silent())


@pytest.fixture(scope="session")
def evidence(tiny_run: Run) -> Path:
    """The folder with all pieces of evidence of the tiny run."""
    collect_evidence(tiny_run.path, ("all",), seeds=SEEDS, jobs=1, progress=Silent())
    return tiny_run.path / "evidence"
