"""Semantic segmentation by ranking graphical-model proposals with a small ConvNet, from scratch on NumPy.

After Cogswell, Lin, Purushwalkam and Batra, "Combining the Best of Graphical Models and ConvNets for Semantic
Segmentation". Each subpackage is imported by name, `from tinysegrank import nn`, so that importing the package alone
stays fast.
"""

from __future__ import annotations

__version__ = "0.1.0"
