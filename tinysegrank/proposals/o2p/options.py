"""Options for making the segments of an image, and for describing them."""

from __future__ import annotations

from dataclasses import dataclass, field

from tinysegrank.config import Options, option
from tinysegrank.proposals.o2p.cpmc import CpmcOptions
from tinysegrank.proposals.o2p.second_order import SecondOrderOptions
from tinysegrank.proposals.o2p.second_order.lbp import LBP_LENGTH
from tinysegrank.proposals.o2p.second_order.sift import SIFT_LENGTH


@dataclass(frozen=True)
class SegmentOptions(Options):
    """Options for making segments and describing them by hand-made descriptors.

    cpmc: options for making the segments.
    pooling: options for describing them.
    sift, lbp: numbers of dimensions to which SIFT's 128 and the 58 binary patterns are reduced before pooling; see
        tutorials/results.md for the effect on the proposals.
    length: number of dimensions to which a description is reduced.
    rank_channels: number of dimensions to which the trunk's maps are reduced, to rank segments by them as well as by
        the 25 hand-made features.
    seed: random seed for making segments; the same for every image.
    """

    cpmc: CpmcOptions = field(default_factory=CpmcOptions)
    pooling: SecondOrderOptions = field(default_factory=SecondOrderOptions)
    sift: int = option(96, at_least=1, at_most=SIFT_LENGTH)
    lbp: int = option(58, at_least=1, at_most=LBP_LENGTH)
    length: int = option(512, at_least=1)
    rank_channels: int = option(0, at_least=0, note="0 ranks by hand-made features alone")
    seed: int = option(0, at_least=0)


@dataclass(frozen=True)
class MapPoolingOptions(Options):
    """Options for describing segments by the trunk's maps, see `describe_by_maps`.

    channels: number of dimensions to which the maps' channels are reduced before second-order pooling.
    length: number of dimensions to which each of the two descriptions is reduced.
    """

    channels: int = option(48, at_least=1)
    length: int = option(512, at_least=1)
