"""Every number of the experiment, and the named sets of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from tinysegrank.errors import ConfigError
from tinysegrank.proposals import CRITERIA, SegmentOptions
from tinysegrank.proposals.o2p.pasting import LAMBDAS, THRESHOLDS
from tinysegrank.ranking import BLOCKS, PAPER_BLOCKS, RANKERS
from tinysegrank.segnet import TrainingOptions
from tinysegrank.superpixels import METHODS

LOSSES = ("ce", "uoi", "iou", "uoi+ce")
"""The losses that continue from the cross-entropy start, "ce" being the control."""
QUALITIES = ("image", "corpus")


@dataclass(frozen=True)
class DataSettings:
    """Which images: the VOC root, its splits, and how many of each (0 is all)."""

    voc: str = ""
    train: str = "train_aug"
    val: str = "val"
    limit: int = 0

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise ConfigError(f"limit={self.limit}: give a number of images, or 0 for all")


@dataclass(frozen=True)
class TrunkSettings:
    """conv1 to conv5: a preset with a weight file, or pre-trained here on toy images of single objects."""

    preset: str = "alexnet"
    weights: str = ""
    pretrain_images: int = 0
    pretrain_steps: int = 0
    pretrain_rate: float = 0.01
    chunk: int = 16


@dataclass(frozen=True)
class TrainingSettings:
    """The paper's schedule: cross-entropy first, then each loss from there.

    `feature_scale` 0 measures it: one over the root mean square of conv5's features of the training images.
    """

    feature_scale: float = 0.0
    start: TrainingOptions = field(default_factory=TrainingOptions)
    ce: TrainingOptions = field(default_factory=lambda: TrainingOptions("ce", steps=600, rate=0.005))
    uoi: TrainingOptions = field(default_factory=lambda: TrainingOptions("uoi", steps=600, rate=0.002))
    iou: TrainingOptions = field(default_factory=lambda: TrainingOptions("iou", steps=600, rate=0.02))
    uoi_ce: TrainingOptions = field(default_factory=lambda: TrainingOptions("uoi+ce", steps=600, rate=0.002))

    def continued(self, loss: str) -> TrainingOptions:
        """The options of the training that continues with a loss."""
        options: TrainingOptions = getattr(self, loss.replace("+", "_"))
        return options


@dataclass(frozen=True)
class CoarseSettings:
    """SegNet's coarse maps, which are of the whole image in the paper.

    `mirrored` averages each with that of the mirror image; `crops`, with those of four corner crops, whose side is
    this share of the image's (0: none), mirrored likewise.
    """

    mirrored: bool = False
    crops: float = field(default=0.0, repr=False)  # digests of trainings that are there have this text without it

    def __post_init__(self) -> None:
        if self.crops and not 0.5 <= self.crops < 1:
            raise ConfigError(
                f"coarse.crops={self.crops}: give the side of a crop as a share of the image's, from 0.5 to below 1; "
                f"or 0 for no crops"
            )


@dataclass(frozen=True)
class SuperpixelSettings:
    """SLIC superpixels: the coarse labels are painted on them, and they are the nodes of the CRF."""

    segments: int = 300
    compactness: float = 20.0
    method: str = "integer"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f'superpixels.method="{self.method}": choose one of {", ".join(METHODS)}')


@dataclass(frozen=True)
class CrfSettings:
    """The CRF on superpixels: see `ProposalOptions`; the strengths and lambdas are tried on `choice_images` images."""

    balance: float = 0.3
    strengths: tuple[float, ...] = (20.0, 40.0, 80.0)
    lambdas: tuple[float, ...] = (0.1, 0.2, 0.4, 0.8)
    choice_images: int = 60

    def __post_init__(self) -> None:
        _need_choice(self.choice_images, strengths=self.strengths, lambdas=self.lambdas)


@dataclass(frozen=True)
class PasteSettings:
    """CPMC segments, second-order pooling and pasting.

    `fit_images` training images fit the segments' ranker and projections; thresholds, then lambdas, are tried on
    `choice_images` images.
    """

    segments: SegmentOptions = field(default_factory=SegmentOptions)
    fit_images: int = 150
    thresholds: tuple[float, ...] = THRESHOLDS
    lambdas: tuple[float, ...] = LAMBDAS
    choice_images: int = 200

    def __post_init__(self) -> None:
        _need_choice(self.choice_images, thresholds=self.thresholds, lambdas=self.lambdas)
        if self.fit_images < 1:
            raise ConfigError(f"fit_images={self.fit_images}: give at least 1")


@dataclass(frozen=True)
class ProposalSettings:
    """Module 1: what proposes ("crf", "paste", "both" in turn, or "folder", where others' proposals lie), and M.

    With `segnet`, the superpixel labelling of SegNet's coarse map is one more proposal, the last. `choice_by` says what
    the constants are chosen by on training images: the oracle's mean "image" IoU or its "corpus" IoU, see
    `proposals.choose`.
    """

    engine: str = "crf"
    count: int = 10
    folder: str = ""
    segnet: bool = False
    choice_by: str = "image"
    crf: CrfSettings = field(default_factory=CrfSettings)
    paste: PasteSettings = field(default_factory=PasteSettings)

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigError(f"count={self.count}: give at least 1 proposal an image")
        if self.choice_by not in CRITERIA:
            raise ConfigError(f'proposals.choice_by="{self.choice_by}": choose one of {", ".join(CRITERIA)}')


def _need_choice(images: int, **grids: tuple[float, ...]) -> None:
    if images < 1:
        raise ConfigError(f"choice_images={images}: give at least 1")
    if empty := [name for name, grid in grids.items() if not grid]:
        raise ConfigError(f"{empty[0]}: give at least one value to try")


@dataclass(frozen=True)
class ClassifierSettings:
    """The image classifiers, whose scores are a block of the features: C of their linear SVMs."""

    C: float = 1.0


@dataclass(frozen=True)
class RankingSettings:
    """Module 2: Eq. 17's constants; what ranks, by which blocks of features, and the values of C to choose from.

    `ranker` is a ranking SVM on pairs of the oracle and each other proposal ("oracle-pairs") or of any two
    ("all-pairs"), or the structural SVM ("structural"). With no C given, those of the ranker's own grid are tried.
    `balance` gives the blocks of features equal weight, see `ranking.balancing_weights`. `quality` is what a proposal
    is worth to the ranker: its own accuracy, as in the paper ("image"), or what it brings to the corpus IoU of the
    1-best proposals ("corpus"), see `ranking.corpus_gains`.
    """

    eps: float = 1e-3
    background_weight: float = 0.02
    loss: str = "uoi+ce"
    blocks: tuple[str, ...] = PAPER_BLOCKS
    ranker: str = "oracle-pairs"
    balance: bool = True
    quality: str = "image"
    C: tuple[float, ...] = ()
    splits: int = 5


@dataclass(frozen=True)
class ReportSettings:
    """Classes whose mean is reported (empty: those in the split's truth), and how many images are shown."""

    classes: tuple[int, ...] = ()
    panels: int = 8


@dataclass(frozen=True)
class EvidenceSettings:
    """The paper's evidence, made of a finished run.

    `start_steps` are those of the start that Figure 6 goes on from, 4,000 in the paper; 0: the run's own start.
    """

    start_steps: int = 0

    def __post_init__(self) -> None:
        if self.start_steps < 0:
            raise ConfigError(f"start_steps={self.start_steps}: give a number of steps, or 0 for the run's own start")


@dataclass(frozen=True)
class Settings:
    """The whole experiment."""

    experiment: str = "quick"
    seed: int = 0
    folds: int = 2
    data: DataSettings = field(default_factory=DataSettings)
    trunk: TrunkSettings = field(default_factory=TrunkSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    coarse: CoarseSettings = field(default_factory=CoarseSettings)
    superpixels: SuperpixelSettings = field(default_factory=SuperpixelSettings)
    proposals: ProposalSettings = field(default_factory=ProposalSettings)
    classifier: ClassifierSettings = field(default_factory=ClassifierSettings)
    ranking: RankingSettings = field(default_factory=RankingSettings)
    report: ReportSettings = field(default_factory=ReportSettings)
    evidence: EvidenceSettings = field(default_factory=EvidenceSettings)

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ConfigError(f"folds={self.folds}: at least 2, so that the ranker learns from out-of-fold outputs")
        if not self.ranking.blocks or not set(self.ranking.blocks) <= set(BLOCKS):
            raise ConfigError(f"ranking.blocks={list(self.ranking.blocks)}: choose some of {', '.join(BLOCKS)}")
        if self.ranking.ranker not in RANKERS:
            raise ConfigError(f'ranking.ranker="{self.ranking.ranker}": choose one of {", ".join(RANKERS)}')
        if self.ranking.quality not in QUALITIES:
            raise ConfigError(f'ranking.quality="{self.ranking.quality}": choose one of {", ".join(QUALITIES)}')
        if self.ranking.loss not in LOSSES:
            raise ConfigError(f'ranking.loss="{self.ranking.loss}": choose one of {", ".join(LOSSES)}')
