"""Tables in their three forms, the tables of accuracy, and the paper's figures."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest
from rich.console import Console

from tinysegrank.errors import ShapeError
from tinysegrank.metrics import Confusion
from tinysegrank.reporting import (
    TABLE_1,
    TABLE_1_AVERAGE,
    TABLE_2,
    Column,
    Table,
    methods_table,
    paper_mean,
    per_class_table,
)

COMMON = (0, 8, 10, 12, 13, 15, 17)


def table():
    columns = (Column("class"), Column("IoU | %"), Column("pixels", "d"))
    rows = (("cat [bold]", 12.345, 7), ("dog|wolf", None, 12000), ("x", math.nan, None))
    return Table("Results", columns, rows, "A note.")


def test_markdown():
    assert table().to_markdown() == (
        "**Results**\n"
        "\n"
        "| class      | IoU \\| % | pixels |\n"
        "| ---------- | -------: | -----: |\n"
        "| cat [bold] |     12.3 |      7 |\n"
        "| dog\\|wolf  |        – |  12000 |\n"
        "| x          |        – |      – |\n"
        "\n"
        "A note.\n"
    )


def test_csv_keeps_every_digit_and_reads_back():
    precise = Table("t", (Column("a,b"), Column("c")), (('say "x"', 1 / 3), ("y", np.float64(0.1)), ("z", None)))
    assert list(csv.reader(io.StringIO(precise.to_csv()))) == [
        ["a,b", "c"],
        ['say "x"', repr(1 / 3)],
        ["y", "0.1"],
        ["z", ""],
    ]


def test_terminal_shows_text_as_it_is():
    written = io.StringIO()
    Console(file=written, width=80, color_system=None).print(table().to_rich())
    printed = written.getvalue()
    for text in ("Results", "cat [bold]", "12.3", "12000", "A note."):
        assert text in printed
    assert [column.justify for column in table().to_rich().columns] == ["left", "right", "right"]


def test_a_table_without_rows():
    empty = Table("t", (Column("a"),), ())
    assert empty.to_markdown() == "**t**\n\n| a   |\n| --- |\n" and empty.to_csv() == "a\n"


def test_a_row_of_another_length():
    with pytest.raises(ShapeError, match="row 1"):
        Table("t", (Column("a"), Column("b")), ((1, 2), (1,)))


def confusion(seed, classes=range(21)):
    """Labels of a truth that depends on the classes alone."""
    truth = np.resize(np.array(classes), (30, 30)).astype(np.uint8)
    noise = np.random.default_rng(seed)
    return Confusion().update(truth, np.where(noise.random((30, 30)) < 0.3, noise.integers(0, 21, (30, 30)), truth))


def test_paper_means_are_the_printed_averages():
    for method, average in TABLE_1_AVERAGE.items():
        assert len(TABLE_1[method]) == 21
        assert paper_mean(method) == pytest.approx(average, abs=0.0501)


def test_per_class_table():
    confusions = {"one": confusion(0), "two": confusion(1)}
    table = per_class_table(confusions, title="t", common=COMMON, paper=["O2P", "SegNets"])
    assert [column.name for column in table.columns][1:4] == ["one", "two", "O2P (paper, test)"]
    assert table.rows[15] == (
        "person",
        *(100 * counts.iou()[15] for counts in confusions.values()),
        52.3,
        59.1,
    )
    name, *means = table.rows[21]
    assert name == "mean of 21 classes"
    assert means == pytest.approx(
        [*(100 * np.mean(counts.iou()) for counts in confusions.values()), 46.46, 52.55], abs=0.05
    )
    name, *means = table.rows[22]
    assert name == "mean of 7 classes, common"
    expected = [
        np.mean([row[column] for row in table.rows[:21] if table.rows.index(row) in COMMON]) for column in (1, 2, 3, 4)
    ]
    assert means == pytest.approx(expected)


def test_means_beside_each_other_are_of_the_same_classes():
    """Where classes are absent from the truth, the paper's mean leaves them out as ours does."""
    table = per_class_table({"one": confusion(0, [0, 8, 15])}, title="t", common=COMMON, paper=["SegNets"])
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["mean of 3 classes"] == rows["mean of 3 classes, common"]
    ours, paper = rows["mean of 3 classes"]
    assert paper == pytest.approx((86.8 + 56.6 + 59.1) / 3)
    assert ours == pytest.approx(np.mean([rows[name][0] for name in ("background", "cat", "person")]))


def test_methods_table():
    confusions = {"naive upsampling": confusion(0), "mine": confusion(1)}
    table = methods_table(confusions, title="t", common=COMMON)
    assert [column.name for column in table.columns] == [
        "method",
        "mean of 21 classes",
        "mean of 7 classes, common",
        "paper (val)",
    ]
    for row, (name, counts) in zip(table.rows, confusions.items(), strict=True):
        iou = 100 * counts.iou()
        assert row[:1] == (name,) and row[1:3] == pytest.approx((iou.mean(), iou[list(COMMON)].mean()))
    assert [row[3] for row in table.rows] == [31.3, None]
    assert list(TABLE_2.values()) == [31.3, 31.9, 47.4, 48.5, 48.7, 53.1]
