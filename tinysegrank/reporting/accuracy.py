"""Tables of corpus IoU per class and per method, beside the paper's figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinysegrank.metrics import Confusion
from tinysegrank.reporting.paper import TABLE_1, TABLE_2, paper_mean
from tinysegrank.reporting.tables import Cell, Column, Table
from tinysegrank.voc import VOC, Classes

_NOTE = "Corpus IoU in per cent; means leave out classes absent from the truth."


def per_class_table(
    confusions: Mapping[str, Confusion],
    *,
    title: str,
    common: Sequence[int] = (),
    paper: Sequence[str] = (),
    classes: Classes = VOC,
) -> Table:
    """Tabulate the corpus IoU of methods, in per cent: one row per class, then the mean; one column per method.

    Args:
        confusions: confusion matrix of each method by its name, all over the same images.
        common: classes to show a second mean over, for data in which the others are rare.
        paper: methods of the paper's Table 1 to add as columns if the classes are VOC's; their means are over the same
            classes as ours.
    """
    paper = paper if classes == VOC else ()
    ious = [100 * confusion.iou() for confusion in confusions.values()]
    rows: list[tuple[Cell, ...]] = [
        (name, *(float(iou[index]) for iou in ious), *(TABLE_1[method][index] for method in paper))
        for index, name in enumerate(classes.names)
    ]
    for heading, present, means in _means(confusions, common):
        rows.append((heading, *means, *(paper_mean(method, present) for method in paper)))  # of the same classes
    columns = (Column("class"), *map(Column, confusions), *(Column(f"{name} (paper, test)") for name in paper))
    return Table(title, columns, tuple(rows), _NOTE)


def methods_table(
    confusions: Mapping[str, Confusion], *, title: str, common: Sequence[int] = (), classes: Classes = VOC
) -> Table:
    """Tabulate the mean corpus IoU of each method, in per cent, one row each; for VOC's classes beside the paper's.

    For the arguments see `per_class_table`; a second mean has a column of its own.
    """
    paper = (Column("paper (val)"),) if classes == VOC else ()
    headings, _, means = zip(*_means(confusions, common), strict=True)
    rows = [
        (name, *of_method, *(TABLE_2.get(name) for _ in paper))
        for name, *of_method in zip(confusions, *means, strict=True)
    ]
    return Table(title, (Column("method"), *map(Column, headings), *paper), tuple(rows), _NOTE)


def _means(confusions: Mapping[str, Confusion], common: Sequence[int]) -> list[tuple[str, list[int], list[float]]]:
    """Return (heading, classes in the truth, mean of each method) for all classes, then for `common` if any."""
    truth = next(iter(confusions.values())).matrix.sum(axis=1)  # the same for all methods
    found = []
    for some, suffix in ((range(len(truth)), ""), *(((common, ", common"),) if common else ())):
        present = [index for index in some if truth[index]]
        heading = f"mean of {len(present)} class{'es' * (len(present) != 1)}{suffix}"
        means = [100 * of.mean_iou(absent="skip", classes=some).value for of in confusions.values()]
        found.append((heading, present, means))
    return found
