"""Tables and figures of results, beside the paper's."""

from __future__ import annotations

from tinysegrank.reporting.accuracy import methods_table, per_class_table
from tinysegrank.reporting.curves import curves, loss_curves
from tinysegrank.reporting.panels import PanelRow, qualitative_panels
from tinysegrank.reporting.paper import TABLE_1, TABLE_1_AVERAGE, TABLE_2, paper_mean
from tinysegrank.reporting.tables import Cell, Column, Table

__all__ = [
    "TABLE_1",
    "TABLE_1_AVERAGE",
    "TABLE_2",
    "Cell",
    "Column",
    "PanelRow",
    "Table",
    "curves",
    "loss_curves",
    "methods_table",
    "paper_mean",
    "per_class_table",
    "qualitative_panels",
]
