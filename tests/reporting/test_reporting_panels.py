"""Panels: the pixels where they can be told, and the same file each time."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from tests.reporting.test_reporting_plots import colours_in
from tinysegrank.reporting import PanelRow, name_regions, panels, qualitative_panels
from tinysegrank.reporting.panels import stretch
from tinysegrank.upsampling import naive
from tinysegrank.voc import palette


def row(name="2007_000001", height=60, width=80, label=8):
    image = np.full((height, width, 3), 128, np.uint8)
    truth = np.full((height, width), label, np.uint8)
    truth[:5] = 255
    return PanelRow(name, image, {"truth": truth, "coarse $x$": np.full((13, 13), 15, np.uint8)}, {"truth": "IoU 0.5"})


def test_panels_show_images_and_labels_and_the_legend(tmp_path):
    qualitative_panels(tmp_path / "a.png", [row(), row("other", 90, 60, label=3)], opacity=1.0)
    colours = colours_in(tmp_path / "a.png")
    for label in (8, 15, 3, 255):
        assert tuple(palette()[label].tolist()) in colours
    assert (128, 128, 128) in colours  # the image itself
    assert tuple(palette()[19].tolist()) not in colours


def test_legend_colours_are_opaque_where_labels_are_not(tmp_path):
    qualitative_panels(tmp_path / "a.png", [row()], opacity=0.5)
    cat = palette()[8].astype(int)
    assert {tuple(cat.tolist()), tuple(((cat + 128) / 2).round().astype(int).tolist())} <= colours_in(
        tmp_path / "a.png"
    )


def test_same_input_same_file(tmp_path):
    for name in ("a", "b"):
        qualitative_panels(tmp_path / f"panels-{name}.png", [row()])
    assert (tmp_path / "panels-a.png").read_bytes() == (tmp_path / "panels-b.png").read_bytes()


def test_background_alone_has_no_legend(tmp_path):
    image = np.zeros((20, 20, 3), np.uint8)
    qualitative_panels(tmp_path / "a.png", [PanelRow("x", image, {"truth": np.zeros((20, 20), int)})])
    assert (tmp_path / "a.png").stat().st_size > 0


def test_coarse_maps_are_drawn_as_naive_upsampling_draws_them():
    coarse = np.random.default_rng(0).random((13, 13, 21))
    image = np.zeros((100, 77, 3), np.uint8)
    np.testing.assert_array_equal(stretch(coarse.argmax(axis=2), image), naive(coarse, (100, 77)))


def names_on(labels):
    axes = Figure(figsize=(1.5, 1.5)).subplots()
    axes.imshow(labels)
    name_regions(axes, labels)
    return {text.get_text(): text for text in axes.texts}


def test_each_class_is_named_once_inside_its_largest_region():
    labels = np.zeros((40, 60), np.uint8)
    labels[2:8, 2:8], labels[20:38, 2:22] = 8, 8  # two cats
    labels[5:15, 30:58], labels[5:15, 40:44] = 12, 255  # a dog, cut in two by void
    labels[39, 59] = 3  # a bird of one pixel
    named = names_on(labels)
    assert named.keys() == {"cat", "dog"}
    (u, v), (x, y) = named["cat"].get_position(), named["dog"].get_position()
    assert 2 <= u < 22 and 20 <= v < 38 and 44 <= x < 58 and 5 <= y < 15
    assert min(u - 2, 21 - u, v - 20, 37 - v) >= 8  # in its middle
    assert [named[k].get_horizontalalignment() for k in ("cat", "dog")] == ["left", "right"]  # not beyond the sides


def test_a_name_does_not_cover_that_of_a_larger_region():
    labels = np.zeros((100, 100), np.uint8)
    labels[40:52, 40:60], labels[52:56, 40:70], labels[80:90, 40:60] = 8, 12, 15
    assert names_on(labels).keys() == {"cat", "person"}
    labels[52:56, 40:70], labels[10:14, 40:70] = 0, 12
    assert names_on(labels).keys() == {"cat", "dog", "person"}


def test_panels_name_the_regions(tmp_path, monkeypatch):
    named = []
    monkeypatch.setattr(
        panels, "name_regions", lambda axes, labels, *, classes: named.append(np.unique(labels).tolist())
    )
    qualitative_panels(tmp_path / "a.png", [row()])
    assert named == [[8, 255], [15]]  # each label map, but not the image
