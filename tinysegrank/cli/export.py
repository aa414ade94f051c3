"""The subcommands that hand a run's results to other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysegrank.cli.group import app

export = typer.Typer(no_args_is_help=True, help="Write a run's results for other programs.")
app.add_typer(export, name="export")

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")]
Folder = Annotated[Path, typer.Option("--out", help="Output folder; made if missing.")]
File = Annotated[Path, typer.Option("--out", help="Output file.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite existing output files.")]
Loss = Annotated[
    str, typer.Option("--loss", help="Take the network of this training (ce, uoi, ...), not the one that ranks.")
]


@export.command()
def voc(
    run: RunFolder,
    out: Folder = Path("voc-results"),
    split: Annotated[
        str,
        typer.Option("--split", help="Split of the run's data, such as test, which needs no masks; val by default."),
    ] = "",
    force: Force = False,
) -> None:
    """Write label maps as VOC's server takes them: results/VOC2012/Segmentation/comp6_SPLIT_cls/, and a .tar.gz."""
    from tinysegrank.cli.show import beside, shown
    from tinysegrank.experiment.run_folder import read_run
    from tinysegrank.exporting import export_voc

    typer.echo(export_voc(read_run(run, jobs=1, progress=shown(beside)), out, split=split, replace=force))


@export.command()
def onnx(run: RunFolder, out: File = Path("segnet.onnx"), loss: Loss = "", force: Force = False) -> None:
    """Write the trained network as ONNX, with its preprocessing: pixels in, coarse class distributions out."""
    from tinysegrank.experiment import Silent
    from tinysegrank.experiment.run_folder import read_run
    from tinysegrank.exporting import export_onnx

    export_onnx(read_run(run, jobs=1, progress=Silent()), out, loss=loss, replace=force)
    typer.echo(out)


@export.command()
def safetensors(run: RunFolder, out: File = Path("segnet.safetensors"), loss: Loss = "", force: Force = False) -> None:
    """Write the trained network as safetensors; the header says in JSON how to rebuild it."""
    from tinysegrank.experiment import Silent
    from tinysegrank.experiment.run_folder import read_run
    from tinysegrank.exporting import export_safetensors

    export_safetensors(read_run(run, jobs=1, progress=Silent()), out, loss=loss, replace=force)
    typer.echo(out)


@export.command()
def proposals(
    run: RunFolder,
    out: Folder = Path("proposals"),
    split: Annotated[str, typer.Option("--split", help="val or train.")] = "val",
    force: Force = False,
) -> None:
    """Write the proposals as NAME/00.png, 01.png, ..., and a CSV table with the scores, ranks and IoU of each."""
    from tinysegrank.cli.show import beside, shown
    from tinysegrank.experiment.run_folder import read_run
    from tinysegrank.exporting import export_proposals

    typer.echo(export_proposals(read_run(run, jobs=1, progress=shown(beside)), out, split=split, replace=force))
