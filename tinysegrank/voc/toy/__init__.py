"""A toy PASCAL VOC: drawn scenes with all 20 classes, for demonstrations, tutorials and tests without a download."""

from tinysegrank.voc.toy.make import ToyVOC, make_toy_voc, toy_classification
from tinysegrank.voc.toy.scene import draw_object, draw_scene

__all__ = ["ToyVOC", "draw_object", "draw_scene", "make_toy_voc", "toy_classification"]
