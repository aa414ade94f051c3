"""Proposals made elsewhere, by any method: a folder of palette PNGs for each image, which the run ranks."""

from __future__ import annotations

import numpy as np

from tinysegrank.errors import ConfigError, DatasetError
from tinysegrank.experiment.images import SPLITS, open_split
from tinysegrank.experiment.photograph import Photograph, PhotographOfRun
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.proposals import Proposal, ProposalStore
from tinysegrank.voc.images import opened


class FolderProposer:
    """Reads the proposals FOLDER/NAME/00.png, 01.png, ..., best first, of images of the run; see `ProposalStore`.

    A training image's proposals should come from models that were not fitted on it. Otherwise the ranker learns from
    better proposals than it will get later.
    """

    name = "folder"
    reads_segments = False

    def map_views(self, settings: Settings) -> tuple[bool, ...]:  # noqa: ARG002
        """Return (): the proposer reads none of the trunk's maps."""
        return ()

    def check(self, settings: Settings) -> None:
        """Check that every image has proposals, the first of the image's size, and that scores and segments are valid.

        Raises:
            DatasetError: a file is missing or wrong; the first one is named.
            ConfigError: no folder is given.
        """
        if not settings.proposals.folder:
            raise ConfigError('proposals.folder: give the folder of the proposals, or another engine than "folder"')
        store = ProposalStore(settings.proposals.folder, settings.classes)
        for which in SPLITS:
            split = open_split(settings, which)
            for index, name in enumerate(split.names):
                first = store.paths(name)[0]
                with opened(first) as proposal, opened(split.image_path(index)) as image:
                    if proposal.size != image.size:
                        raise DatasetError(
                            "{}: {} x {} labels for an image of {} x {}; propose for the image as it is stored, "
                            "without turning or scaling it".format(first, *proposal.size, *image.size)
                        )
                store.read_scores(name)
                store.read_segments(name)

    def fit(self, run: Run) -> None:
        """Do nothing: there is nothing to fit."""

    def propose(self, photograph: Photograph, fold: int) -> list[Proposal]:  # noqa: ARG002
        """Read the first M proposals of an image of the run.

        Raises:
            DatasetError: see `ProposalStore.read` and `ProposalStore.read_segments`.
            ConfigError: the photograph is not an image of the run.
        """
        if not isinstance(photograph, PhotographOfRun):
            raise ConfigError(
                f"{photograph.run.path}: its proposals were made elsewhere, so it cannot label photographs"
            )
        asked, name = photograph.run.settings.proposals, photograph.source.name
        store = ProposalStore(asked.folder, photograph.run.settings.classes)
        labels, scores = store.read(name)
        found = zip(labels, scores, store.read_segments(name), strict=True)
        nodes = np.zeros(0, np.int64)
        proposals = [Proposal(one, float(score), nodes, segments) for one, score, segments in found]
        return proposals[: asked.count]
