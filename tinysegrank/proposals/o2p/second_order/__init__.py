"""Second-order pooling: segments described by the mean outer product of the local descriptors in them."""

from __future__ import annotations

from tinysegrank.proposals.o2p.second_order.describe import describe_segments
from tinysegrank.proposals.o2p.second_order.local import SecondOrderOptions, local_descriptors
from tinysegrank.proposals.o2p.second_order.maps import MapReduction, describe_by_maps, map_columns, second_order_maps
from tinysegrank.proposals.o2p.second_order.reduction import DescriptorReduction, Projection

__all__ = [
    "DescriptorReduction",
    "MapReduction",
    "Projection",
    "SecondOrderOptions",
    "describe_by_maps",
    "describe_segments",
    "local_descriptors",
    "map_columns",
    "second_order_maps",
]
