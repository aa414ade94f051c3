"""The named sets of settings."""

from __future__ import annotations

from dataclasses import replace

from tinysegrank.config import look_up
from tinysegrank.experiment.proposal_settings import (
    CrfSettings,
    MapSettings,
    PasteSettings,
    ProposalSettings,
    SuperpixelSettings,
)
from tinysegrank.experiment.settings import (
    CoarseSettings,
    DataSettings,
    EvidenceSettings,
    RankingSettings,
    Settings,
    TrainingSettings,
    TrunkSettings,
)
from tinysegrank.proposals import SegmentOptions
from tinysegrank.ranking import UNGATED
from tinysegrank.segnet import TrainingOptions

HAND_MADE = CrfSettings(
    features="hand", mirrored=False, epochs=8, strengths=(20.0, 40.0, 80.0), lambdas=(0.1, 0.2, 0.4, 0.8)
)
"""The CRF as published: none of its inputs come from the network."""

RANKING = RankingSettings(blocks=("segnet", UNGATED, "rerank"))
"""Classification features not gated by the proposal, as the paper words them: the picks on held-out training images are
better, though such features are the same for all proposals of an image."""

QUICK = Settings(ranking=RANKING)
"""Ten proposals of the CRF, which reads the trunk's maps; takes minutes on photographs."""

PAPER = Settings(
    experiment="paper",
    folds=10,
    coarse=CoarseSettings(mirrored=False),
    superpixels=SuperpixelSettings(method="scikit-image"),  # distances in real numbers, as published
    proposals=ProposalSettings(engine="paste", count=30, crf=HAND_MADE),
    evidence=EvidenceSettings(start_steps=4000),
)
"""The paper's protocol: ten folds, and 30 proposals by CPMC and O2P."""

BEST = replace(
    PAPER,
    experiment="best",
    folds=5,
    coarse=CoarseSettings(),
    superpixels=SuperpixelSettings(),
    proposals=replace(
        PAPER.proposals,
        engine="both",
        crf=CrfSettings(),
        paste=PasteSettings(SegmentOptions(rank_channels=8), features="trunk"),
    ),
    ranking=RANKING,
)
"""The options that raised the score on held-out training images; see `tests/benchmarks/options.py`."""

DEMO = Settings(
    experiment="demo",
    data=DataSettings(train="train", val="val"),
    coarse=CoarseSettings(mirrored=False),
    trunk=TrunkSettings("tiny", pretrain_images=2400, pretrain_steps=750, pretrain_rate=0.01),
    training=TrainingSettings(
        start=TrainingOptions("ce", steps=400, rate=0.05, batch=32),
        ce=TrainingOptions("ce", steps=150, rate=0.01, batch=32),
        uoi=TrainingOptions("uoi", steps=150, rate=0.005, batch=32),
        iou=TrainingOptions("iou", steps=150, rate=0.05, batch=32),
        uoi_ce=TrainingOptions("uoi+ce", steps=150, rate=0.005, batch=32),
    ),
    superpixels=SuperpixelSettings(segments=150),
    maps=MapSettings(size=225),
    proposals=ProposalSettings(
        crf=CrfSettings("both", mirrored=False, epochs=8, strengths=(5.0, 20.0), lambdas=(0.2, 0.5), choice_images=30)
    ),
)
"""A small network pre-trained on toy images, so that no weights are needed; takes minutes on toy scenes."""

EXPERIMENTS = {"quick": QUICK, "paper": PAPER, "best": BEST, "demo": DEMO}


def named_settings(name: str) -> Settings:
    """Return the settings of an experiment: "quick", "paper", "best", or "demo" for the toy data.

    Raises:
        ConfigError: there are no settings of that name.
    """
    return look_up(EXPERIMENTS, name, "experiment")
