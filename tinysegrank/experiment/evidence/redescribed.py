"""The proposals of a run described anew for other networks: SegNet's features and Eq. 17; the other blocks stay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.experiment import candidates, data, networks
from tinysegrank.experiment.ranked import SCORED
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import RankingSettings
from tinysegrank.files import read_arrays, write_arrays
from tinysegrank.parallel import parallel_map
from tinysegrank.proposals import ProposalStore
from tinysegrank.ranking import FeatureTable, proposal_distance
from tinysegrank.ranking.features.segnet import segnet_features
from tinysegrank.voc import soft_targets_many

BLOCK = "segnet"


@dataclass(frozen=True)
class DerivedRun(Run):
    """A run that reads the stages it does not make from another.

    Attributes:
        base: the run to read from.
        made: names of the stages made anew.
    """

    base: Run
    made: frozenset[str]

    @property
    def fold_seed(self) -> int:
        """As the base: its out-of-fold results are read."""
        return self.base.fold_seed

    def folder(self, stage: str) -> Path:
        """Its own for a stage that it makes, the base's for any other."""
        return self.path / stage if stage in self.made else self.base.folder(stage)


class _Task(NamedTuple):
    name: str
    store: Path
    source: Path
    target: Path
    ranking: RankingSettings
    coarse: np.ndarray
    scored: dict[str, np.ndarray]


def describe_again(run: Run) -> None:
    """Write the tables of both splits as the base has them, with the block of this run's networks in place of its."""
    assert isinstance(run, DerivedRun)  # noqa: S101  # only derived runs have this stage
    for which in ("train", "val"):
        names, target = data.names(run, which), run.folder("described") / which
        coarse = networks.read_coarse(run, networks.ranked_by(run.settings, which))
        maps = {loss: networks.read_coarse(run, f"val-{loss}") for loss in SCORED} if which == "val" else {}
        places = (candidates.store(run, which).root, run.base.folder("described") / which, target)
        tasks = [
            _Task(
                name, *places, run.settings.ranking, np.array(coarse[i]), {k: np.array(v[i]) for k, v in maps.items()}
            )
            for i, name in enumerate(names)
            if not (target / f"{name}.features.safetensors").is_file()
        ]
        with run.progress.count(f"{which} images", len(names)) as advance:
            advance(len(names) - len(tasks))
            for _ in parallel_map(_describe_one, tasks, jobs=run.jobs):
                advance(1)


def _describe_one(task: _Task) -> None:
    soft, _ = soft_targets_many(ProposalStore(task.store).read(task.name)[0])  # (M, 13, 13, K)
    eps, weight = task.ranking.eps, task.ranking.background_weight
    scores = {
        f"score/{loss}": proposal_distance(coarse, soft, eps=eps, background_weight=weight)
        for loss, coarse in task.scored.items()
    }
    held = read_arrays(task.source / f"{task.name}.scores.safetensors")
    write_arrays(task.target / f"{task.name}.scores.safetensors", {"confusions": held["confusions"], **scores})
    table = FeatureTable.load(task.source / f"{task.name}.features.safetensors")
    features = segnet_features(task.coarse, soft, eps=eps)
    replace(table, blocks={**table.blocks, BLOCK: features}).save(task.target / f"{task.name}.features.safetensors")
