"""The paper's experiment: its stages, each of which writes one folder of a run, and the use of a finished run."""

from __future__ import annotations

from tinysegrank.experiment.apply import label_photographs
from tinysegrank.experiment.label_folders import evaluate_folder
from tinysegrank.experiment.presets import EXPERIMENTS, named_settings
from tinysegrank.experiment.progress import Progress, Shown, Silent
from tinysegrank.experiment.protocol import STAGES, run_experiment, stages_until
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.segmenter import Segmentation, Segmenter
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.stages.evaluation import read_counts
from tinysegrank.experiment.stages.report import orderings, tables

__all__ = [
    "EXPERIMENTS",
    "STAGES",
    "Progress",
    "Run",
    "Segmentation",
    "Segmenter",
    "Settings",
    "Shown",
    "Silent",
    "evaluate_folder",
    "label_photographs",
    "named_settings",
    "orderings",
    "read_counts",
    "run_experiment",
    "stages_until",
    "tables",
]
