"""Tables of corpus IoU per class and per method, beside the paper's figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinysegrank.errors import ShapeError
from tinysegrank.metrics import Confusion
from tinysegrank.reporting.paper import TABLE_1, TABLE_2, paper_mean
from tinysegrank.reporting.tables import Cell, Column, Table
from tinysegrank.voc import VOC, Classes

_NOTE = "Corpus IoU in per cent; means leave out classes absent from the truth."


def per_class_table(
    confusions: Mapping[str, Confusion],
    *,
    title: str = "IoU of each class",
    common: Sequence[int] = (),
    paper: Sequence[str] = (),
    classes: Classes = VOC,
) -> Table:
    """Tabulate the corpus IoU of methods: one row per class, one column per method, and the mean in the last row.

    Args:
        confusions: confusion matrix of each method by its name, all over the same images.
        title: title of the table.
        common: classes to show a second mean over, for data in which the others are rare.
        paper: methods of the paper's Table 1 to add as columns; their means are over the same classes as ours. They are
            left out where the classes are not VOC's.
        classes: the classes.

    Raises:
        ShapeError: there is no method, a number of classes differs, the truths differ, or a method is not in Table 1.
    """
    _check(confusions, classes)
    if not set(paper) <= TABLE_1.keys():
        raise ShapeError(f"paper: {list(paper)}; choose from {list(TABLE_1)}")
    paper = paper if classes == VOC else ()
    ious = [100 * confusion.iou() for confusion in confusions.values()]
    rows: list[tuple[Cell, ...]] = [
        (name, *(float(iou[index]) for iou in ious), *(TABLE_1[method][index] for method in paper))
        for index, name in enumerate(classes.names)
    ]
    for some, suffix in ((range(len(classes)), ""), *(((common, ", common"),) if common else ())):
        means = [confusion.mean_iou(absent="skip", classes=some) for confusion in confusions.values()]
        present = _present(confusions, some)  # the paper's means are of the same classes
        published = (paper_mean(method, present) for method in paper)
        rows.append((_mean_name(len(present)) + suffix, *(100 * mean.value for mean in means), *published))
    columns = (Column("class"), *map(Column, confusions), *(Column(f"{name} (paper, test)") for name in paper))
    return Table(title, columns, tuple(rows), _NOTE)


def methods_table(
    confusions: Mapping[str, Confusion],
    *,
    title: str = "Mean IoU of each method",
    common: Sequence[int] = (),
    classes: Classes = VOC,
) -> Table:
    """Tabulate the mean IoU of each method; for VOC's classes beside the paper's for the same method, or a dash.

    Args:
        confusions: confusion matrix of each method by its name, all over the same images.
        title: title of the table.
        common: classes to show a second mean over, in an extra column.
        classes: the classes.

    Raises:
        ShapeError: there is no method, a number of classes differs, or the truths differ.
    """
    _check(confusions, classes)
    paper = (Column("paper (val)"),) if classes == VOC else ()
    rows: list[tuple[Cell, ...]] = []
    for name, confusion in confusions.items():
        means = [confusion.mean_iou(absent="skip")]
        if common:
            means.append(confusion.mean_iou(absent="skip", classes=common))
        rows.append((name, *(100 * mean.value for mean in means), *(TABLE_2.get(name) for _ in paper)))
    headings = [_mean_name(len(_present(confusions, range(len(classes)))))]
    if common:
        headings.append(_mean_name(len(_present(confusions, common))) + ", common")
    return Table(title, (Column("method"), *map(Column, headings), *paper), tuple(rows), _NOTE)


def _present(confusions: Mapping[str, Confusion], classes: Sequence[int]) -> list[int]:
    """Return those of the classes that occur in the truth, which is the same for all methods."""
    truth = next(iter(confusions.values())).matrix.sum(axis=1)
    return [index for index in classes if truth[index]]


def _mean_name(classes: int) -> str:
    return f"mean of {classes}" + (" class" if classes == 1 else " classes")


def _check(confusions: Mapping[str, Confusion], classes: Classes) -> None:
    if not confusions:
        raise ShapeError("confusions: there are none; give the counts of at least one method")
    first = next(iter(confusions.values()))
    for name, confusion in confusions.items():
        if confusion.num_classes != len(classes):
            raise ShapeError(f"{name}: {confusion.num_classes} classes; give the counts of all {len(classes)}")
        if (confusion.matrix.sum(axis=1) != first.matrix.sum(axis=1)).any():
            raise ShapeError(f"{name}: its truth differs from the first method's; measure all on the same images")
