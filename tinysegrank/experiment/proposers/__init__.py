"""The ways of proposing that a run can use: each fits models on training images and makes an image's proposals."""

from __future__ import annotations

from tinysegrank.experiment.proposal_settings import ENGINES
from tinysegrank.experiment.proposers.crf import CrfProposer
from tinysegrank.experiment.proposers.folder import FolderProposer
from tinysegrank.experiment.proposers.paste import PasteProposer
from tinysegrank.experiment.proposers.protocol import Proposer
from tinysegrank.experiment.settings import Settings

__all__ = ["ENGINES", "Proposer", "proposers_of"]

ENGINES |= {
    "crf": (CrfProposer(),),
    "paste": (PasteProposer(),),
    "both": (CrfProposer(), PasteProposer()),
    "folder": (FolderProposer(),),
}
"""The values of `proposals.engine`. Add one of your own as `ENGINES["mine"] = (Mine(),)`."""


def proposers_of(settings: Settings) -> tuple[Proposer, ...]:
    """Return the proposers that the settings name; their proposals are interleaved in this order."""
    return ENGINES[settings.proposals.engine]  # a stage that imports ENGINES doesn't depend on the proposers' code
