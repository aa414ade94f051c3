"""The paper's experiment: its stages in order.

images -> trunk features -> SegNet trainings -> coarse maps -> full-size labels (Eq. 16, superpixels)
       -> image classifiers, proposals -> features and Eq. 17 -> ranking SVM -> picks -> evaluation -> tables
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tinysegrank.backend import get_backend
from tinysegrank.config import from_dict
from tinysegrank.errors import ConfigError, OutputError
from tinysegrank.experiment import (
    candidates,
    classified,
    data,
    features,
    networks,
    ranked,
    regions,
    results,
    segments,
    upsampled,
)
from tinysegrank.experiment.progress import Progress
from tinysegrank.experiment.proposers import proposers_of
from tinysegrank.experiment.runner import Run, Stage, execute, open_run
from tinysegrank.experiment.settings import Settings

STAGES = (
    Stage("data", data.check_data, settings=lambda s: s.data, outside=data.listing),
    Stage("trunk", features.make_trunk, ("data",), lambda s: [s.trunk, s.seed]),
    Stage("features", features.compute_features, ("data", "trunk"), lambda s: s.training.feature_scale),
    Stage(features.CROPS, features.compute_crops, ("data", "trunk"), lambda s: [s.coarse.crops, s.coarse.mirrored]),
    Stage(
        "training",
        networks.train_networks,
        ("features",),
        lambda s: [s.training, s.folds, s.seed, s.ranking.loss],
        sorts=True,
    ),
    Stage(
        "coarse",
        networks.predict_coarse,
        ("training",),
        lambda s: {"mirrored": s.coarse.mirrored},
        also=lambda s: (features.CROPS,) if s.coarse.crops else (),
    ),
    Stage(
        classified.FOLDER,
        classified.classify,
        ("features",),
        lambda s: [s.folds, s.seed, s.classifier.C],
    ),
    Stage(regions.FOLDER, regions.compute_superpixels, ("data",), lambda s: s.superpixels),
    Stage(upsampled.FOLDER, upsampled.upsample, (regions.FOLDER, "coarse")),
    Stage(segments.FOLDER, segments.make_segments, ("data",), segments.depends_on),
    Stage(
        "proposing",
        candidates.fit_proposers,
        (regions.FOLDER, segments.FOLDER),
        lambda s: [replace(s.proposals, segnet=False), s.folds, s.seed],  # SegNet's own labelling comes after it
    ),
    Stage(
        "proposals",
        candidates.propose_all,
        ("proposing",),
        lambda s: s.proposals,
        candidates.listing,
        also=lambda s: ("coarse",) if s.proposals.segnet else (),
    ),
    Stage(
        "described",
        ranked.describe_proposals,
        ("coarse", classified.FOLDER, "proposals"),
        lambda s: [s.ranking.eps, s.ranking.background_weight, s.ranking.loss],
    ),
    Stage("ranker", ranked.train_ranker, ("described",), lambda s: [s.ranking, s.seed, s.report.classes]),
    Stage("picked", ranked.pick_proposals, ("described", "ranker", "proposals"), lambda s: s.report.classes),
    Stage("evaluation", results.evaluate, (upsampled.FOLDER, "picked")),
    Stage("report", results.report, ("evaluation", "coarse", "training"), lambda s: s.report),
)


def run_experiment(
    path: Path, settings: Settings, *, jobs: int, progress: Progress, update: bool = False, until: str = "report"
) -> Run:
    """Do what is missing or changed of an experiment in a run folder.

    Args:
        path: the run folder; made if it does not exist.
        settings: every number.
        jobs: worker processes; the results are the same for any number.
        progress: where to report.
        update: take new settings for a folder made with others, and make anew what depends on them.
        until: name of the last stage; only it and what it needs are done.

    Raises:
        DatasetError, WeightsError, ConfigError, BackendError: before any long work, naming the file, setting or stage.
        OutputError: the run folder cannot be written, or holds an input.
    """
    get_backend()  # one that cannot be used is said now, not when the first network is made
    stages = stages_until(until, settings)
    settings = _with_absolute_paths(settings)
    _keep_inputs_out(path, settings)
    data.check_settings(settings)
    for proposer in proposers_of(settings):
        proposer.check(settings)
    run = open_run(path, settings, jobs=jobs, progress=progress, update=update)
    execute(run, stages)
    return run


def _with_absolute_paths(settings: Settings) -> Settings:
    def absolute(path: str) -> str:
        return str(Path(path).resolve()) if path else ""

    changes = {
        "data": {"voc": str(Path(settings.data.voc).resolve())},
        "trunk": {"weights": absolute(settings.trunk.weights)},
        "proposals": {"folder": absolute(settings.proposals.folder)},
    }
    return from_dict(Settings, changes, base=settings)


def _keep_inputs_out(path: Path, settings: Settings) -> None:
    """See that no input is in the run folder, where a stage that is made anew deletes what was there."""
    for name in ("data.voc", "trunk.weights", "proposals.folder"):
        part, key = name.split(".")
        given = getattr(getattr(settings, part), key)
        if given and Path(given).is_relative_to(path.resolve()):
            raise OutputError(f"{path}: holds {name}={given}, which making a stage anew may delete; move it elsewhere")


def stages_until(name: str, settings: Settings) -> list[Stage]:
    """A stage and all that it needs under these settings, in order.

    Raises:
        ConfigError: there is none of that name.
    """
    by_name = {stage.name: stage for stage in STAGES}
    if name not in by_name:
        raise ConfigError(f'until="{name}": choose one of {", ".join(by_name)}')
    needed, open_names = set(), [name]
    while open_names:
        needed.add(now := open_names.pop())
        open_names += by_name[now].needed(settings)
    return [stage for stage in STAGES if stage.name in needed]
