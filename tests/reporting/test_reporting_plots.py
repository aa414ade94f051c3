"""Plots with bands, bars and heat maps: pixels where they can be told, the same file each time."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from PIL import Image

from tinysegrank.reporting import Curve, Plot, bars, heat_maps, loss_curves, plots
from tinysegrank.reporting.plots import line_styles, running_mean


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def colours_in(path):
    return set(map(tuple, pixels(path).reshape(-1, 3).tolist()))


def plot(**options):
    x = np.arange(5)
    return Plot({"CE": Curve(x, x + 1.0, x + 0.5, x + 2.0), "UOI": Curve(x, x + 3.0)}, "step", "IoU", **options)


def test_a_loss_has_the_same_line_in_every_figure():
    alone, among = line_styles(["UOI"]), line_styles(["CE", "a", "UOI"])
    assert alone["UOI"] == among["UOI"] != among["CE"] != among["a"]


def test_line_styles_are_told_apart_without_their_colours():
    styles = line_styles([*"abcdefghij", "a"])
    assert len(styles) == 10 and len({(dash, marker) for _, dash, marker in styles.values()}) == 10
    losses = line_styles(["CE", "IOU", "UOI", "0.7 UOI + 0.3 CE"]).values()
    assert len({dash for _, dash, _ in losses}) == len({marker for _, _, marker in losses}) == 4


def test_plots_stand_side_by_side_and_a_name_keeps_its_colour(tmp_path):
    plots(tmp_path / "one.png", [plot()])
    alone = Plot({"UOI": Curve(np.arange(5), np.arange(5))}, "step", "IoU")
    plots(tmp_path / "two.png", [plot(), alone])
    one, two = pixels(tmp_path / "one.png"), pixels(tmp_path / "two.png")
    assert two.shape == (one.shape[0], 2 * one.shape[1], 3)
    right = set(map(tuple, two[:, one.shape[1] :].reshape(-1, 3).tolist()))
    assert (0x00, 0x72, 0xB2) in right and (0x00, 0x9E, 0x73) not in right  # UOI's, not CE's


def test_a_band_is_drawn_where_there_is_one(tmp_path):
    without = Plot({"CE": Curve(np.arange(5), np.arange(5))}, "step", "IoU")
    plots(tmp_path / "without.png", [without])
    plots(tmp_path / "with.png", [plot()])
    pale = 255 * 0.82 + 0.18 * np.array([0x00, 0x9E, 0x73])  # of CE
    share = [(np.abs(pixels(tmp_path / name) - pale) <= 2).all(axis=2).mean() for name in ("without.png", "with.png")]
    assert share[0] < 0.001 and share[1] > 0.02


def test_the_mean_of_series_ends_where_one_is_not_finite():
    series = np.array([[1.0, 2.0, 3.0], [2.0, 6.0, np.nan], [3.0, 1.0, np.inf]])
    curve = Curve.of_mean(np.array([0, 10, 20]), series)
    for of, expected in ((curve.x, [0, 10]), (curve.y, [2, 3]), (curve.low, [1, 1]), (curve.high, [3, 6])):
        np.testing.assert_allclose(of, expected)


@pytest.mark.parametrize(("curves", "beside"), [(6, False), (7, True)])
def test_the_legend_of_many_curves_stands_beside_them(tmp_path, curves, beside):
    x = np.arange(9)
    plots(tmp_path / "a.png", [Plot({str(n): Curve(x, x + 10.0 * n) for n in range(curves)}, "step", "IoU")])
    red = (pixels(tmp_path / "a.png") == (0xD5, 0x5E, 0x00)).all(axis=2)  # the second curve's, which rises
    lengths = red.sum(axis=1)
    sample = lengths > 20  # rows of the legend's stroke, which is level
    assert sample.any()
    curve_ends = np.flatnonzero(red[~sample].any(axis=0)).max()
    assert (np.flatnonzero(red[sample].any(axis=0)).max() > curve_ends) == beside


def test_losses_are_smoothed_over_a_fiftieth_of_the_longest_run(tmp_path):
    noise, steps = np.random.default_rng(0).random(200), np.arange(200)
    loss_curves(tmp_path / "a.png", {"CE": (steps, noise), "UOI": (steps[:9], noise[:9])})
    pale = 255 * 0.8 + 0.2 * np.array([0x00, 0x9E, 0x73])  # of CE
    assert (np.abs(pixels(tmp_path / "a.png") - pale) <= 2).all(axis=2).mean() > 0.001  # the raw curve
    curves = {"CE": Curve(steps, noise), "UOI": Curve(steps[:9], noise[:9])}
    plots(tmp_path / "b.png", [Plot(curves, "step", "loss of the minibatch", "Training", smoothing=4)])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("width", [1, 2, 3, 8, 20])
def test_each_point_of_a_running_mean_is_of_as_many_values(width):
    values, steps = np.random.default_rng(0).random(20), np.arange(10, 210, 10)
    smooth = running_mean(Curve(steps, values), width)
    windows = [range(first, first + width) for first in range(20 - width + 1)]
    np.testing.assert_allclose(smooth.y, [np.mean([values[i] for i in window]) for window in windows], rtol=1e-12)
    assert smooth.x.tolist() == [steps[window[(width - 1) // 2]] for window in windows]


def test_a_curve_shorter_than_the_window_is_one_mean():
    smooth = running_mean(Curve(np.arange(3), np.array([1.0, 2.0, 6.0])), 50)
    assert smooth.y.tolist() == [3] and smooth.x.tolist() == [1]


def test_bars_are_as_long_as_their_values(tmp_path):
    bars(tmp_path / "a.png", ["cat", "do$g"], {"ours": [10, 40], "paper": [None, 20]}, label="per cent")
    picture = pixels(tmp_path / "a.png")
    ours = (picture == (0x00, 0x72, 0xB2)).all(axis=2)
    lengths = [rows.sum(axis=1).max() for rows in np.array_split(ours[: int(0.8 * len(ours))], 2)]
    assert lengths[1] == pytest.approx(4 * lengths[0], rel=0.06)
    paper = (picture == (0xD5, 0x5E, 0x00)).all(axis=2)[: int(0.8 * len(ours))]
    assert paper.sum(axis=1).max() == pytest.approx(lengths[1] / 2, rel=0.06)


def test_heat_maps_show_probabilities_by_their_colour(tmp_path):
    maps = np.zeros((13, 13, 21))
    maps[..., 3] = 1
    maps[:5, :, 3], maps[:5, :, 7] = 0.5, 0.5
    image, labels = np.full((40, 60, 3), 128, np.uint8), np.zeros((40, 60), np.uint8)
    heat_maps(tmp_path / "a.png", image, maps, labels={"truth": labels}, title="$x")
    seen = colours_in(tmp_path / "a.png")
    for value in (0.0, 0.5, 1.0):
        assert tuple(map(int, matplotlib.colormaps["inferno"](value, bytes=True)[:3])) in seen


def test_same_input_same_file(tmp_path):
    for name in ("a", "b"):
        plots(tmp_path / f"plots-{name}.png", [plot(title="$t", logarithmic="y")])
        bars(tmp_path / f"bars-{name}.png", ["x"], {"y": [1.0]}, label="z", ranges={"y": [(0.5, 1.5)]})
        heat_maps(tmp_path / f"heat-{name}.png", np.zeros((20, 20, 3), np.uint8), np.full((2, 2, 21), 1 / 21))
    for figure in ("plots", "bars", "heat"):
        assert (tmp_path / f"{figure}-a.png").read_bytes() == (tmp_path / f"{figure}-b.png").read_bytes()
