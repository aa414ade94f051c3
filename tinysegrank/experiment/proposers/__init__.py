"""The ways of proposing that a run can use: each fits its models on training images and proposes for one image."""

from __future__ import annotations

from tinysegrank.experiment.proposers.crf import CrfProposer
from tinysegrank.experiment.proposers.folder import FolderProposer
from tinysegrank.experiment.proposers.paste import PasteProposer
from tinysegrank.experiment.proposers.protocol import Proposer
from tinysegrank.experiment.settings import Settings

__all__ = ["Proposer", "proposers_of"]

_KNOWN: dict[str, tuple[Proposer, ...]] = {
    "crf": (CrfProposer(),),
    "paste": (PasteProposer(),),
    "both": (PasteProposer(), CrfProposer()),
    "folder": (FolderProposer(),),
}


def proposers_of(settings: Settings) -> tuple[Proposer, ...]:
    """The proposers that the settings name; of several, the one whose first proposal is to stay first comes first."""
    return _KNOWN[settings.proposals.engine]
