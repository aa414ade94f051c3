"""SegNet: the network, its weights, features, training and prediction."""

from __future__ import annotations

from tinysegrank.segnet.caffemodel import read_caffemodel
from tinysegrank.segnet.checkpoint import load_segnet, save_segnet
from tinysegrank.segnet.features import FeatureStore, chunk_arrays
from tinysegrank.segnet.full_batch import full_batch_gradients
from tinysegrank.segnet.maps import MAP_LAYERS, TrunkMaps, map_channels
from tinysegrank.segnet.network import TRUNK, SegNet
from tinysegrank.segnet.predict import mean_of_views, predict, predict_features, predict_store
from tinysegrank.segnet.presets import PRESETS, Preset
from tinysegrank.segnet.pretraining import pretrain_trunk
from tinysegrank.segnet.training import TrainingOptions, train
from tinysegrank.segnet.training_loop import Record
from tinysegrank.segnet.weight_files import WeightFile, presets_of, read_weights

__all__ = [
    "MAP_LAYERS",
    "PRESETS",
    "TRUNK",
    "FeatureStore",
    "Preset",
    "Record",
    "SegNet",
    "TrainingOptions",
    "TrunkMaps",
    "WeightFile",
    "chunk_arrays",
    "full_batch_gradients",
    "load_segnet",
    "map_channels",
    "mean_of_views",
    "predict",
    "predict_features",
    "predict_store",
    "presets_of",
    "pretrain_trunk",
    "read_caffemodel",
    "read_weights",
    "save_segnet",
    "train",
]
