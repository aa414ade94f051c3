"""Exports of a finished run: label maps, VOC's server, ONNX, safetensors, folders of proposals, an HTML report."""

from __future__ import annotations

from tinysegrank.exporting.html_report import write_html_report
from tinysegrank.exporting.label_maps import export_labels, export_voc
from tinysegrank.exporting.network import export_onnx, export_safetensors
from tinysegrank.exporting.proposals import export_proposals

__all__ = ["export_labels", "export_onnx", "export_proposals", "export_safetensors", "export_voc", "write_html_report"]
