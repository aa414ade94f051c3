"""A way of proposing from outside the package, named in the settings as one of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tinysegrank.errors import ConfigError
from tinysegrank.experiment import Settings, Silent, named_settings, run_experiment, stages_until
from tinysegrank.experiment.photograph import Photograph
from tinysegrank.experiment.proposal_settings import ProposalSettings
from tinysegrank.experiment.proposers import ENGINES
from tinysegrank.experiment.stages import proposals
from tinysegrank.experiment.stages.proposals import store
from tinysegrank.files import read_json, write_json
from tinysegrank.proposals import Proposal
from tinysegrank.voc import VOCSegmentation, make_toy_voc


class Constant:
    """Proposes a map of one class each, the classes most frequent in the training images first."""

    name = "constant"
    reads_segments = False

    def map_views(self, settings):
        return ()

    def check(self, settings):
        if settings.proposals.count > 20:
            raise ConfigError("proposals.count: constant maps are 20 at most")

    def fit(self, run):
        from tinysegrank.experiment.images import images_of

        pixels = sum(np.bincount(image.labels().ravel(), minlength=256) for image in images_of(run, "train"))
        write_json(run.folder("proposing") / self.name / "classes.json", np.argsort(-pixels[1:21]).tolist())

    def propose(self, photograph, fold):
        run, size, none = photograph.run, photograph.image.shape[:2], np.zeros(0, np.int64)
        classes = read_json(run.folder("proposing") / self.name / "classes.json")[: run.settings.proposals.count]
        return [Proposal(np.full(size, k + 1, np.uint8), -float(i), none) for i, k in enumerate(classes)]


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    monkeypatch.setitem(ENGINES, "constant", (Constant(),))
    make_toy_voc(tmp_path / "toy", train=4, val=2, seed=1, size=(40, 60))
    demo = named_settings("demo")
    return replace(
        demo,
        data=replace(demo.data, voc=str(tmp_path / "toy")),
        proposals=ProposalSettings(engine="constant", count=3),
        ranking=replace(demo.ranking, splits=2),
    )


@pytest.mark.slow
def test_it_proposes_for_a_run_and_for_a_photograph(tmp_path, settings):
    stages = [stage.name for stage in stages_until("proposals", settings)]
    assert stages == ["data", "superpixels", "proposing", "proposals"]
    run = run_experiment(tmp_path / "run", settings, jobs=1, progress=Silent(), until="proposals")
    train, val = (VOCSegmentation(tmp_path / "toy", which) for which in ("train", "val"))
    pixels = np.bincount(np.concatenate([train.labels(i).ravel() for i in range(len(train))]), minlength=256)
    labels, scores = store(run, "val").read(val.names[1])
    assert [np.unique(one).tolist() for one in labels] == [[k + 1] for k in np.argsort(-pixels[1:21])[:3]]
    assert scores.tolist() == [0, -1, -2]
    found = proposals.propose(Photograph(run, val.image(1)))
    np.testing.assert_array_equal([proposal.labels for proposal in found], labels)


def test_it_refuses_what_it_cannot_do_before_any_work(tmp_path, settings):
    settings = replace(settings, proposals=replace(settings.proposals, count=21))
    with pytest.raises(ConfigError, match="constant maps are 20 at most"):
        run_experiment(tmp_path / "run", settings, jobs=1, progress=Silent(), until="proposals")
    assert not (tmp_path / "run").exists()


def test_names_that_nothing_has():
    with pytest.raises(ConfigError, match='engine="constant": choose one of crf, paste, both, folder'):
        ProposalSettings(engine="constant")
