"""The subcommands. Heavy imports are made where they are used, so that --help answers at once."""

from __future__ import annotations

import io
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from tinysegrank import __version__
from tinysegrank.errors import TinySegRankError

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

Out = Annotated[Path, typer.Option("--out", help="Run folder; made if it does not exist, gone on with if it does.")]
Jobs = Annotated[int, typer.Option("--jobs", min=1, help="Worker processes; the results are the same for any number.")]
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS",
        help="Work on the Dask cluster of this scheduler, such as tcp://host:8786, in place of --jobs processes.",
    ),
]
Classes = Annotated[
    str, typer.Option("--classes", help="Classes whose mean is reported, by name or number with commas between.")
]
Update = Annotated[bool, typer.Option("--update", help="Take new settings for a run and redo what depends on them.")]
KeepStale = Annotated[
    bool, typer.Option("--keep-stale", help="Keep results made by other code than there is now; the report says so.")
]


class _Commands(typer.core.TyperGroup):
    """Shows what stops a command as one line, and prints on any terminal."""

    def main(self, *args: Any, **options: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
                stream.reconfigure(errors="replace")  # what the terminal cannot show never stops a command
        try:
            return super().main(*args, **options)
        except TinySegRankError as error:
            message = f"{error}"
        except MemoryError as error:
            message = f"there is not enough memory ({error}); take fewer --jobs: what is done is kept"
        except OSError as error:  # not a pipe that nobody reads any more: there typer ends quietly
            place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
            message = f"{place}{error.strerror or error}; mend this and repeat the command: what is done is kept"
        typer.secho(f"error: {message}", fg="red", err=True)
        sys.exit(1)

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()  # here, where an error is still shown
            return result
        except KeyboardInterrupt:
            again = "with --force" if ctx.invoked_subcommand == "predict" else "to resume"
            typer.secho(f"interrupted; what is done is kept: repeat the command {again}", err=True)
            raise typer.Exit(130) from None


app = typer.Typer(
    name="tinysegrank",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Semantic segmentation by ranking graphical-model proposals with a small ConvNet, from scratch on NumPy.",
)


def workers(dask: str | None) -> AbstractContextManager[Any]:
    """The cluster that --dask names, if it does."""
    if dask is None:
        return nullcontext()
    from tinysegrank.cluster import cluster

    return cluster(dask)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"tinysegrank {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[  # handled by its callback
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Semantic segmentation by ranking graphical-model proposals with a small ConvNet."""


@app.command()
def demo(
    out: Out = Path("runs/demo"),
    images: Annotated[int, typer.Option("--images", min=20, help="Toy images to train on.")] = 240,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of everything random.")] = 0,
    jobs: Jobs = CORES,
    dask: Dask = None,
    update: Update = False,
    keep_stale: KeepStale = False,
) -> None:
    """Run the whole experiment on toy scenes that it draws itself; a few minutes on two cores."""
    from tinysegrank.backend import get_backend
    from tinysegrank.cli.show import console, show_results
    from tinysegrank.config import from_dict
    from tinysegrank.experiment import Settings, Shown, named_settings, run_experiment
    from tinysegrank.experiment.runner import check_run_folder
    from tinysegrank.voc import make_toy_voc

    get_backend()  # before the scenes are drawn
    check_run_folder(out)
    here, progress = Path(os.path.abspath(out)), Shown(console)  # noqa: PTH100  # of "." and ".." too
    voc = here.with_name(f"{here.name}-toyvoc") / f"seed-{seed}-{images}"
    settings = from_dict(Settings, {"seed": seed, "data": {"voc": str(voc)}}, base=named_settings("demo"))
    with workers(dask):
        with progress.stage("toy scenes"):
            make_toy_voc(voc, train=images, val=max(images // 3, 20), seed=seed, jobs=jobs)
        done = run_experiment(out, settings, jobs=jobs, progress=progress, update=update, keep_stale=keep_stale)
    show_results(done)


@app.command()
def run(
    voc: Annotated[Path, typer.Option("--voc", help="The folder that holds JPEGImages/ (VOCdevkit/VOC2012).")],
    out: Out,
    weights: Annotated[Path | None, typer.Option("--weights", help="AlexNet or CaffeNet .caffemodel.")] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="alexnet, caffenet or tiny.")] = None,
    experiment: Annotated[
        str,
        typer.Option(
            "--experiment", help="Settings to start from: quick (2 folds, CRF), paper (10 folds, O2P) or best."
        ),
    ] = "quick",
    folds: Annotated[int | None, typer.Option("--folds", help="Folds of the training images; at least 2.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="TOML file of settings laid over these.")] = None,
    settings_given: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, such as training.start.steps=2000; repeatable.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Only the first so many images of each split.")] = None,
    classes: Classes = "",
    until: Annotated[str, typer.Option("--until", help="Do only this stage and what it needs.")] = "report",
    jobs: Jobs = CORES,
    dask: Dask = None,
    update: Update = False,
    keep_stale: KeepStale = False,
) -> None:
    """Run the paper's experiment on PASCAL VOC; interrupted, the same command goes on where it stopped."""
    from tinysegrank.cli.show import console, show_results
    from tinysegrank.config import from_dict, merge, parse_assignments, read_toml
    from tinysegrank.experiment import Settings, Shown, named_settings, run_experiment
    from tinysegrank.voc import parse_classes

    changes = merge(read_toml(config) if config is not None else {}, parse_assignments(settings_given or []))
    base = named_settings(str(changes.get("experiment", experiment)))
    given: dict[str, Any] = {"data": {"voc": str(voc)}, "trunk": {}}
    if weights is not None:
        given["trunk"]["weights"] = str(weights)
    if preset is not None:
        given["trunk"]["preset"] = preset
    if limit is not None:
        given["data"]["limit"] = limit
    if folds is not None:
        given["folds"] = folds
    if classes:
        given["report"] = {"classes": list(parse_classes(classes))}
    settings = from_dict(Settings, merge(given, changes), base=base)
    with workers(dask):
        done = run_experiment(
            out, settings, jobs=jobs, progress=Shown(console), update=update, until=until, keep_stale=keep_stale
        )
    if until == "report":
        show_results(done)


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="Photographs.")],
    run: Annotated[Path, typer.Option("--run", help="Folder of a finished run.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the label maps and overlays.")] = Path("predicted"),
    force: Annotated[bool, typer.Option("--force", help="Replace those that are there.")] = False,
) -> None:
    """Label photographs with a finished run: NAME.labels.png, a palette PNG, and NAME.overlay.png of each."""
    from tinysegrank.cli.show import console
    from tinysegrank.experiment import Shown, label_photographs

    for files in label_photographs(images, run, out, progress=Shown(console), replace=force):
        typer.echo(f"{files.labels}  {files.overlay}")


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(help="Folder with NAME.png, 0..20, for each image of the split.")],
    voc: Annotated[Path, typer.Option("--voc", help="The folder that holds JPEGImages/ (VOCdevkit/VOC2012).")],
    split: Annotated[str, typer.Option("--split", help="Name of the split.")] = "val",
    classes: Classes = "",
    strict: Annotated[bool, typer.Option("--strict", help="Also the devkit's own mean over all 21 classes.")] = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the table there too.")] = None,
    jobs: Jobs = CORES,
    dask: Dask = None,
) -> None:
    """Score a folder of label PNGs by VOC's corpus IoU."""
    from tinysegrank import reporting
    from tinysegrank.cli.show import console
    from tinysegrank.experiment import evaluate_folder
    from tinysegrank.files import write_text
    from tinysegrank.outputs import check_file
    from tinysegrank.voc import VOCSegmentation, parse_classes

    common = parse_classes(classes) if classes else ()
    if csv is not None:
        check_file(csv, option="--csv", begins=b"class,")  # the table's first heading
    with workers(dask):
        confusion = evaluate_folder(folder, VOCSegmentation(voc, split), jobs=jobs)
    table = reporting.per_class_table({folder.name: confusion}, title=f"{folder} on {split}", common=common)
    if csv is not None:
        write_text(csv, table.to_csv())
    console.print(table.to_rich())
    if strict:
        mean = confusion.mean_iou(absent="strict").value
        console.print(f"devkit mean over all classes, NaN if one is nowhere: {100 * mean:.2f}")


@app.command()
def toyvoc(
    folder: Annotated[Path, typer.Argument(help="Folder to make; it will hold JPEGImages/ and the rest.")],
    train: Annotated[int, typer.Option("--train", min=1, help="Training scenes.")] = 240,
    val: Annotated[int, typer.Option("--val", min=1, help="Validation scenes.")] = 80,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the scenes.")] = 0,
    jobs: Jobs = CORES,
    dask: Dask = None,
) -> None:
    """Draw a toy VOC: scenes with all 20 classes, in the devkit's layout."""
    from tinysegrank.voc import make_toy_voc

    with workers(dask):
        make_toy_voc(folder, train=train, val=val, seed=seed, jobs=jobs)
    typer.echo(f"{folder}: {train} training and {val} validation scenes")


@app.command()
def doctor() -> None:
    """Show versions, backend, device, BLAS, threads, and the data and weights found."""
    from rich.text import Text

    from tinysegrank.cli.doctor import findings
    from tinysegrank.cli.show import console

    for name, value in findings():
        console.print(Text.assemble((f"{name:<12} ", "bold"), value), soft_wrap=True)
