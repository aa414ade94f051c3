"""Tables and figures of results, beside the paper's."""

from __future__ import annotations

from tinysegrank.reporting.accuracy import methods_table, per_class_table
from tinysegrank.reporting.bars import bars
from tinysegrank.reporting.browser import SIDE, Browser, packed
from tinysegrank.reporting.document import Claim, Document, Picture, Section
from tinysegrank.reporting.heat_maps import heat_maps
from tinysegrank.reporting.panels import PanelRow, name_regions, qualitative_panels
from tinysegrank.reporting.paper import TABLE_1, TABLE_1_AVERAGE, TABLE_2, paper_mean
from tinysegrank.reporting.plots import Curve, Plot, loss_curves, plots
from tinysegrank.reporting.tables import Cell, Column, Table

__all__ = [
    "SIDE",
    "TABLE_1",
    "TABLE_1_AVERAGE",
    "TABLE_2",
    "Browser",
    "Cell",
    "Claim",
    "Column",
    "Curve",
    "Document",
    "PanelRow",
    "Picture",
    "Plot",
    "Section",
    "Table",
    "bars",
    "heat_maps",
    "loss_curves",
    "methods_table",
    "name_regions",
    "packed",
    "paper_mean",
    "per_class_table",
    "plots",
    "qualitative_panels",
]
