"""PASCAL VOC: classes and palette, images and label maps, preprocessing, soft targets, folds, and a toy VOC."""

from tinysegrank.voc.classes import (
    BACKGROUND,
    CLASS_NAMES,
    NUM_CLASSES,
    VOC,
    VOID,
    Classes,
    palette,
    parse_classes,
    read_classes,
)
from tinysegrank.voc.dataset import Sample, VOCSegmentation
from tinysegrank.voc.images import read_image
from tinysegrank.voc.labels import check_labels, label_colours, overlay, write_labels
from tinysegrank.voc.masks import classes_of, read_labels
from tinysegrank.voc.objects import Objects, find_objects
from tinysegrank.voc.preprocess import CAFFE, TORCHVISION, Preprocessing
from tinysegrank.voc.split import assign_folds
from tinysegrank.voc.targets import soft_targets, soft_targets_many, tile_edges, tile_index
from tinysegrank.voc.toy import ToyVOC, make_toy_voc, toy_classification

__all__ = [
    "BACKGROUND",
    "CAFFE",
    "CLASS_NAMES",
    "NUM_CLASSES",
    "TORCHVISION",
    "VOC",
    "VOID",
    "Classes",
    "Objects",
    "Preprocessing",
    "Sample",
    "ToyVOC",
    "VOCSegmentation",
    "assign_folds",
    "check_labels",
    "classes_of",
    "find_objects",
    "label_colours",
    "make_toy_voc",
    "overlay",
    "palette",
    "parse_classes",
    "read_classes",
    "read_image",
    "read_labels",
    "soft_targets",
    "soft_targets_many",
    "tile_edges",
    "tile_index",
    "toy_classification",
    "write_labels",
]
