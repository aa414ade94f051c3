"""The subcommands that hand a run's results to other programs; advice goes to the standard error."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinysegrank.cli.group import Finished, Force, Skip, app

if TYPE_CHECKING:
    from tinysegrank.experiment import Run

export = typer.Typer(no_args_is_help=True, help="Write a run's results for other programs.")
app.add_typer(export, name="export")

Folder = Annotated[Path, typer.Option("--out", help="Output folder; made if missing.")]
File = Annotated[Path, typer.Option("--out", help="Output file.")]
Split = Annotated[
    str,
    typer.Option("--split", help="Split of the run's data, such as test, which needs no masks; val by default."),
]


@export.command()
def labels(
    run: Finished, out: Folder = Path("labels"), split: Split = "", force: Force = False, skip: Skip = False
) -> None:
    """Write the label map of every image of a split as NAME.png, a palette PNG in the colours of the run's classes."""
    from tinysegrank.experiment.stages import evaluation
    from tinysegrank.exporting import export_labels
    from tinysegrank.voc.classes import CLASSES_FILE

    opened = _opened(run)
    typer.echo(export_labels(opened, out, split=split, replace=force, skip=skip))
    data = opened.settings.data
    if split in ("", data.val) and opened.stamp(evaluation.STAGE.name).complete:  # otherwise there may be no masks
        command = ["tinysegrank", "evaluate", str(out), "--voc", data.voc, "--split", data.val]
        command += ["--classes-file", str(out / CLASSES_FILE)] if data.classes else []
        typer.echo(f"next: {shlex.join(command)}", err=True)


@export.command()
def voc(
    run: Finished, out: Folder = Path("voc-results"), split: Split = "", force: Force = False, skip: Skip = False
) -> None:
    """Write label maps as VOC's server takes them: results/VOC2012/Segmentation/comp6_SPLIT_cls/, and a .tar.gz."""
    from tinysegrank.exporting import export_voc

    typer.echo(export_voc(_opened(run), out, split=split, replace=force, skip=skip))
    typer.echo("next, for VOC's test images: upload it at http://host.robots.ox.ac.uk:8080", err=True)


@export.command()
def onnx(run: Finished, out: File = Path("segnet.onnx"), force: Force = False) -> None:
    """Write the trained network as ONNX, with its preprocessing: pixels in, coarse class distributions out."""
    from tinysegrank.exporting import export_onnx

    about = export_onnx(_opened(run), out, replace=force)
    typer.echo(out)
    for name, text in about.items():
        typer.echo(f"{name}: {text}", err=True)


@export.command()
def safetensors(run: Finished, out: File = Path("segnet.safetensors"), force: Force = False) -> None:
    """Write the trained network as safetensors; the header says in JSON how to rebuild it."""
    from tinysegrank.exporting import export_safetensors

    export_safetensors(_opened(run), out, replace=force)
    typer.echo(out)
    typer.echo(f"next, in Python: tinysegrank.segnet.load_segnet({str(out)!r})", err=True)


@export.command()
def proposals(
    run: Finished,
    out: Folder = Path("proposals"),
    split: Annotated[str, typer.Option("--split", help="val or train.")] = "val",
    force: Force = False,
    skip: Skip = False,
) -> None:
    """Write the proposals as NAME/00.png, 01.png, ..., and a CSV table with the scores, ranks and IoU of each."""
    from tinysegrank.exporting import export_proposals

    typer.echo(export_proposals(_opened(run), out, split=split, replace=force, skip=skip))


def _opened(path: Path) -> Run:
    from tinysegrank.cli.show import beside, shown
    from tinysegrank.experiment.run_folder import read_run

    return read_run(path, jobs=1, progress=shown(beside))
