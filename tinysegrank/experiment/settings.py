"""The settings of an experiment; those of module 1 are in `proposal_settings`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache

from tinysegrank.config import Options, option
from tinysegrank.errors import ConfigError
from tinysegrank.experiment.proposal_settings import MapSettings, ProposalSettings, SuperpixelSettings
from tinysegrank.ranking import BLOCKS, PAPER_BLOCKS, RANKERS
from tinysegrank.segnet import PRESETS, TrainingOptions
from tinysegrank.voc import VOC, VOID, Classes, classes_of

LOSSES = ("ce", "uoi", "iou", "uoi+ce")
"""The losses that continue from the cross-entropy start, "ce" being the control."""
NAMES = ("quick", "paper", "best", "demo")


@dataclass(frozen=True)
class DataSettings(Options):
    """The images to use: the folder of the data set, its splits, and at most how many images of each (0: all).

    `classes` holds the lines of a file of classes, see `read_classes`. If it is empty, a run reads `classes.txt` in the
    data set's folder, or uses VOC's classes if there is no such file.
    """

    voc: str = ""
    train: str = "train_aug"
    val: str = "val"
    limit: int = option(0, at_least=0, note="0 takes all images")
    classes: tuple[str, ...] = option((), may_be_empty=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _parsed(self.classes)


@dataclass(frozen=True)
class TrunkSettings(Options):
    """conv1 to conv5 of a preset: from a weight file, or pre-trained here on toy images of single objects.

    `chunk` is the number of images whose features are computed at once.
    """

    preset: str = option("alexnet", choices=PRESETS)
    weights: str = ""
    pretrain_images: int = option(0, at_least=0)
    pretrain_steps: int = option(0, at_least=0)
    pretrain_rate: float = option(0.01, more_than=0)
    chunk: int = option(16, at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pretrain_steps and not self.pretrain_images and not self.weights:
            raise ConfigError(f"pretrain_images=0: give at least 1 for {self.pretrain_steps} steps")


@dataclass(frozen=True)
class TrainingSettings(Options):
    """The paper's schedule: cross-entropy first, then each loss from there.

    conv5's features are multiplied by `feature_scale`; 0 takes one over their root mean square on training images.
    """

    feature_scale: float = option(0.0, at_least=0)
    start: TrainingOptions = field(default_factory=TrainingOptions)
    ce: TrainingOptions = field(default_factory=lambda: TrainingOptions("ce", steps=600, rate=0.005))
    uoi: TrainingOptions = field(default_factory=lambda: TrainingOptions("uoi", steps=600, rate=0.002))
    iou: TrainingOptions = field(default_factory=lambda: TrainingOptions("iou", steps=600, rate=0.02))
    uoi_ce: TrainingOptions = field(default_factory=lambda: TrainingOptions("uoi+ce", steps=600, rate=0.002))

    def of(self, loss: str) -> TrainingOptions:
        """Return the options of the start, for "start", or of the training that continues with a loss of LOSSES."""
        options: TrainingOptions = getattr(self, loss.replace("+", "_"))
        return options


@dataclass(frozen=True)
class CoarseSettings(Options):
    """SegNet's coarse maps: with `mirrored`, the mean of an image's and its mirror image's, unlike in the paper."""

    mirrored: bool = True


@dataclass(frozen=True)
class ClassifierSettings(Options):
    """The image classifiers, whose scores give a block of features; `C` is that of their linear SVMs."""

    C: float = option(1.0, more_than=0)


@dataclass(frozen=True)
class RankingSettings(Options):
    """Module 2: the constants of Eq. 17, the ranker, its blocks of features, and the values of C to choose from.

    `loss` is that of the network whose coarse maps rank the proposals. `ranker` is a ranking SVM on pairs of an image's
    best proposal and each other one ("oracle-pairs"), or of any two ("all-pairs"). C is chosen from `C`, or the
    ranker's own grid if it is empty, by cross-validation over `splits` parts of the training images.
    """

    eps: float = option(1e-3, more_than=0, less_than=1)
    background_weight: float = option(0.02, at_least=0)
    loss: str = option("uoi+ce", choices=LOSSES)
    blocks: tuple[str, ...] = option(PAPER_BLOCKS, choices=BLOCKS)
    ranker: str = option("oracle-pairs", choices=RANKERS)
    C: tuple[float, ...] = option((), more_than=0, may_be_empty=True)
    splits: int = option(5, at_least=2)


@dataclass(frozen=True)
class ReportSettings(Options):
    """The classes whose mean IoU is reported (empty: all in the truth of val), and the number of images drawn."""

    classes: tuple[int, ...] = option((), at_least=0, at_most=VOID - 1, may_be_empty=True)
    panels: int = option(8, at_least=0)


@dataclass(frozen=True)
class PhotographSettings(Options):
    """Photographs that a finished run labels.

    A photograph with a side above `longest_side` is reduced to that size before it is labelled; 0 reduces none. VOC's
    images have at most 500 pixels a side. If a run's own images are larger, give their size.
    """

    longest_side: int = option(500, at_least=0, note="0 takes photographs as they are")


@dataclass(frozen=True)
class EvidenceSettings(Options):
    """The paper's evidence, made from a finished run.

    `start_steps` is the number of cross-entropy steps before Figure 6's trainings: 4,000 in the paper; 0 takes the
    run's own start.
    """

    start_steps: int = option(0, at_least=0, note="0 takes the run's own start")


@dataclass(frozen=True)
class Settings(Options):
    """All settings of an experiment."""

    experiment: str = option("quick", choices=NAMES)
    seed: int = option(0, at_least=0)
    backend: str = "numpy on cpu"  # recorded, not chosen: see `tinysegrank.backend`
    folds: int = option(2, at_least=2, note="the ranker learns from out-of-fold outputs")
    data: DataSettings = field(default_factory=DataSettings)
    trunk: TrunkSettings = field(default_factory=TrunkSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    coarse: CoarseSettings = field(default_factory=CoarseSettings)
    superpixels: SuperpixelSettings = field(default_factory=SuperpixelSettings)
    maps: MapSettings = field(default_factory=MapSettings)
    proposals: ProposalSettings = field(default_factory=ProposalSettings)
    classifier: ClassifierSettings = field(default_factory=ClassifierSettings)
    ranking: RankingSettings = field(default_factory=RankingSettings)
    report: ReportSettings = field(default_factory=ReportSettings)
    photographs: PhotographSettings = field(default_factory=PhotographSettings)
    evidence: EvidenceSettings = field(default_factory=EvidenceSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if max(self.report.classes, default=0) >= len(self.classes):
            raise ConfigError(
                f"report.classes={list(self.report.classes)}: give classes of the data, 0 to {len(self.classes) - 1}"
            )

    @property
    def classes(self) -> Classes:
        """Classes of the data: those in `data.classes`, or else VOC's."""
        return _parsed(self.data.classes)


@cache
def _parsed(lines: tuple[str, ...]) -> Classes:
    return Classes.parse(lines) if lines else VOC


def with_classes(settings: Settings) -> Settings:
    """Return the settings with the classes in the data set's `classes.txt`, if it has one and `data.classes` is empty.

    Raises:
        ConfigError: the file cannot be read, or a line of it cannot be used.
    """
    classes = settings.classes if settings.data.classes else classes_of(settings.data.voc)
    lines = () if classes == VOC and not settings.data.classes else classes.lines()
    return replace(settings, data=replace(settings.data, classes=lines))
