"""What a finished run made, in the forms that other programs take: VOC's server, ONNX, safetensors, folders."""

from __future__ import annotations

from tinysegrank.exporting.network import export_onnx, export_safetensors
from tinysegrank.exporting.proposals import export_proposals
from tinysegrank.exporting.voc_results import export_voc

__all__ = ["export_onnx", "export_proposals", "export_safetensors", "export_voc"]
