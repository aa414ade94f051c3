"""The named settings: each says what it is, survives its file, and differs from the paper's where it says so."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest

from tinysegrank.config import from_dict, to_toml
from tinysegrank.errors import ConfigError
from tinysegrank.experiment import EXPERIMENTS, Settings, named_settings
from tinysegrank.experiment.settings import NAMES
from tinysegrank.ranking import UNGATED


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_settings_survive_their_file(name):
    settings = named_settings(name)
    assert settings.experiment == name
    assert from_dict(Settings, tomllib.loads(to_toml(settings))) == settings


def test_every_name_has_its_settings():
    assert tuple(EXPERIMENTS) == NAMES


def test_the_papers_protocol():
    paper = named_settings("paper")
    assert (paper.folds, paper.proposals.engine, paper.proposals.count) == (10, "paste", 30)
    assert paper.evidence.start_steps == 4000
    assert (paper.proposals.crf.features, paper.proposals.crf.mirrored) == ("hand", False)
    assert (paper.ranking.eps, paper.ranking.background_weight) == (1e-3, 0.02)


def test_the_best_is_the_papers_but_for_folds_mirror_images_superpixels_proposals_and_a_block():
    paper, best = named_settings("paper"), named_settings("best")
    assert best.proposals.engine == "both"
    assert best.proposals.crf == named_settings("quick").proposals.crf
    assert (paper.proposals.paste.features, best.proposals.paste.features) == ("hand", "trunk")
    proposals = replace(best.proposals, engine="paste", crf=paper.proposals.crf, paste=paper.proposals.paste)
    as_paper = replace(best, experiment="paper", folds=paper.folds, superpixels=paper.superpixels, proposals=proposals)
    assert replace(as_paper, coarse=paper.coarse, ranking=paper.ranking) == paper
    assert (
        best.ranking == replace(paper.ranking, blocks=("segnet", UNGATED, "rerank")) == named_settings("quick").ranking
    )
    assert (paper.coarse.mirrored, best.coarse.mirrored, named_settings("quick").coarse.mirrored) == (False, True, True)
    assert (paper.proposals.paste.segments.rank_channels, best.proposals.paste.segments.rank_channels) == (0, 8)
    assert best.superpixels == named_settings("quick").superpixels


def test_an_unknown_name():
    with pytest.raises(ConfigError, match='"fast": choose one of quick, paper, best, demo'):
        named_settings("fast")
