"""The subcommands. Slow imports are made inside the functions that need them, so that --help answers at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from tinysegrank.cli.group import CORES, Dask, Force, Jobs, Json, KeepStale, Skip, Update, app, workers
from tinysegrank.inputs import (
    SETTINGS_FILE,
    check_data,
    check_label_maps,
    check_run,
    check_weight_file,
    find_photographs,
)

Out = Annotated[Path, typer.Option("--out", help="Run folder; created if missing, resumed if it exists.")]
Voc = Annotated[Path, typer.Option("--voc", help="Folder that contains JPEGImages/: VOCdevkit/VOC2012, or yours.")]
Classes = Annotated[
    str, typer.Option("--classes", help="Also report the mean over these classes: comma-separated names or numbers.")
]
ClassesFile = Annotated[
    Path | None,
    typer.Option(
        "--classes-file",
        help="Names and colours of the classes, one per line; default: classes.txt in the --voc folder, or VOC's.",
    ),
]


@app.command()
def demo(
    out: Out = Path("runs/demo"),
    images: Annotated[int, typer.Option("--images", min=20, help="Number of toy images to train on.")] = 240,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Random seed for the whole run.")] = 0,
    jobs: Jobs = CORES,
    dask: Dask = None,
    update: Update = False,
    keep_stale: KeepStale = False,
) -> None:
    """Run the whole experiment on generated toy images; takes a few minutes on two cores."""
    from tinysegrank.backend import check_backends
    from tinysegrank.cli.show import console, show_results, shown
    from tinysegrank.config import from_dict
    from tinysegrank.experiment import Settings, named_settings, run_experiment
    from tinysegrank.experiment.folder_lock import FolderLock
    from tinysegrank.experiment.run_folder import check_run_folder
    from tinysegrank.voc import make_toy_voc

    check_backends()  # fails before the scenes are drawn
    check_run_folder(out)
    here, progress = Path(os.path.abspath(out)), shown(console)  # noqa: PTH100  # resolves "." and ".." too
    voc = here.with_name(f"{here.name}-toyvoc") / f"seed-{seed}-{images}"
    settings = from_dict(Settings, {"seed": seed, "data": {"voc": str(voc)}}, base=named_settings("demo"))
    with workers(dask), FolderLock(out) as lock:
        if not (out / SETTINGS_FILE).is_file():
            lock.hold()  # so that a second command doesn't draw the scenes too
        val = max(images // 3, 20)
        with progress.stage("toy scenes"), progress.count("scenes", images + val) as advance:
            make_toy_voc(voc, train=images, val=val, seed=seed, jobs=jobs, advance=advance)
        done = run_experiment(
            out, settings, jobs=jobs, progress=progress, update=update, keep_stale=keep_stale, lock=lock
        )
    show_results(done)


@app.command()
def run(
    voc: Voc,
    out: Out,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", help="Weights of an AlexNet or CaffeNet: .caffemodel, .pth, .safetensors or .npz."),
    ] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", help="Network architecture: alexnet, caffenet, torchvision or tiny.")
    ] = None,
    experiment: Annotated[
        str,
        typer.Option(
            "--experiment",
            help="Settings to start from: quick (2 folds, CRF), paper (10 folds, O2P), best or demo (no weights).",
        ),
    ] = "quick",
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file of settings, which override the other options.")
    ] = None,
    settings_given: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override one setting, such as training.start.steps=2000; repeatable."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", help="Use at most this many images of each split, the first ones; 0 for all.")
    ] = 0,
    classes: Classes = "",
    classes_file: ClassesFile = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Run only this stage and those it depends on; all by default.")
    ] = None,
    jobs: Jobs = CORES,
    dask: Dask = None,
    update: Update = False,
    keep_stale: KeepStale = False,
) -> None:
    """Run the paper's experiment on PASCAL VOC or images of your own; the same command resumes an interrupted run."""
    if config is None and not settings_given:  # which may name others; fails before the slow imports
        check_data(voc)
        if weights is not None:
            check_weight_file(weights)
    from tinysegrank.cli.show import console, show_results, shown
    from tinysegrank.config import from_dict, merge, parse_assignments, read_toml
    from tinysegrank.experiment import STAGES, Settings, named_settings, run_experiment
    from tinysegrank.experiment.settings import with_classes
    from tinysegrank.voc import parse_classes, read_classes

    changes = merge(read_toml(config) if config is not None else {}, parse_assignments(settings_given or []))
    base = named_settings(str(changes.get("experiment", experiment)))
    given: dict[str, Any] = {"data": {"voc": str(voc), "limit": limit}, "trunk": {"weights": str(weights or "")}}
    if preset is not None:
        given["trunk"]["preset"] = preset
    if classes_file is not None:
        given["data"]["classes"] = list(read_classes(classes_file).lines())
    settings = with_classes(from_dict(Settings, merge(given, changes), base=base))
    if classes:
        reported = {"report": {"classes": list(parse_classes(classes, settings.classes))}}
        settings = from_dict(Settings, merge(reported, {"report": changes.get("report", {})}), base=settings)
    with workers(dask):
        done = run_experiment(
            out, settings, jobs=jobs, progress=shown(console), update=update, until=until, keep_stale=keep_stale
        )
    if until in (None, STAGES[-1].name):
        show_results(done)


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="Photographs to label: files, folders or patterns.")],
    run: Annotated[Path, typer.Option("--run", help="Folder of a finished run.", callback=check_run)],
    out: Annotated[Path, typer.Option("--out", help="Output folder.")] = Path("predicted"),
    proposals: Annotated[
        bool, typer.Option("--proposals", help="Also write all proposals, ranked, and their scores.")
    ] = False,
    force: Force = False,
    skip: Skip = False,
    as_json: Json = False,
) -> None:
    """Label photographs with a finished run: write NAME.labels.png, a palette PNG, and NAME.overlay.png for each."""
    images = find_photographs(images)  # fails before the slow imports
    from tinysegrank.cli.show import beside, console, print_json, shown
    from tinysegrank.experiment import label_photographs

    progress, found = shown(beside if as_json else console), []
    for one in label_photographs(images, run, out, progress=progress, replace=force, skip=skip, proposals=proposals):
        shares, files = one.result.shares, {"labels": str(one.labels), "overlay": str(one.overlay)}
        if not as_json:
            seen = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
            typer.echo(f"{one.photograph}: {seen}; {' '.join(files.values())}")
        scores = one.result.scores.tolist()
        ranked = [{"file": str(file), "score": score} for file, score in zip(one.proposals, scores, strict=False)]
        found.append({"photograph": str(one.photograph), "shares": shares, **files, "proposals": ranked})
    if as_json:
        print_json(found)


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(help="Folder of label PNGs: NAME.png, values from 0, for each image.")],
    voc: Voc,
    split: Annotated[str, typer.Option("--split", help="Split whose images to score.")] = "val",
    classes: Classes = "",
    classes_file: ClassesFile = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write the table to this CSV file.")] = None,
    as_json: Json = False,
    jobs: Jobs = CORES,
) -> None:
    """Score a folder of label PNGs by corpus IoU, VOC's measure."""
    check_data(voc)  # these fail before the slow imports
    check_label_maps(folder)
    from tinysegrank import reporting
    from tinysegrank.cli.show import beside, console, print_json, shown
    from tinysegrank.experiment import evaluate_folder
    from tinysegrank.files import write_text
    from tinysegrank.outputs import check_file
    from tinysegrank.voc import VOCSegmentation, classes_of, parse_classes, read_classes

    known = classes_of(voc) if classes_file is None else read_classes(classes_file)
    common = parse_classes(classes, known) if classes else ()
    if csv is not None:
        check_file(csv, option="--csv", begins=b"class,")  # the table's first heading
    images, progress = VOCSegmentation(voc, split, classes=known), shown(beside if as_json else console)
    with progress.count("label maps", len(images)) as advance:
        confusion = evaluate_folder(folder, images, jobs=jobs, advance=advance)
    title = f"{folder} on {split}"
    table = reporting.per_class_table({folder.name: confusion}, title=title, common=common, classes=known)
    if csv is not None:
        write_text(csv, table.to_csv())
    if as_json:
        print_json(
            {
                "folder": str(folder),
                "split": split,
                "iou": dict(zip(known.names, confusion.iou().tolist(), strict=True)),
                "mean_iou": confusion.mean_iou().value,
                "classes_in_mean": confusion.mean_iou().classes,
                "devkit_mean_iou": confusion.mean_iou(absent="strict").value,
                "common_classes": [known.names[k] for k in common],
                "common_mean_iou": confusion.mean_iou(classes=common).value,
            }
        )
        return
    console.print(table.to_rich())


@app.command()
def toyvoc(
    folder: Annotated[Path, typer.Argument(help="Folder to create, which will contain JPEGImages/ and the rest.")],
    train: Annotated[int, typer.Option("--train", min=1, help="Number of training images.")] = 240,
    val: Annotated[int, typer.Option("--val", min=1, help="Number of validation images.")] = 80,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Random seed for the images.")] = 0,
    jobs: Jobs = CORES,
) -> None:
    """Draw a toy data set with VOC's 20 classes, in the devkit's layout."""
    from tinysegrank.cli.show import console, shown
    from tinysegrank.voc import make_toy_voc

    with shown(console).count("scenes", train + val) as advance:
        make_toy_voc(folder, train=train, val=val, seed=seed, jobs=jobs, advance=advance)
    typer.echo(f"{folder}: {train} training and {val} validation scenes")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Show versions, array backends, devices, BLAS, threads, and the data and weights found."""
    from rich.text import Text

    from tinysegrank.cli.doctor import findings
    from tinysegrank.cli.show import console, print_json

    if as_json:
        print_json({name.strip(): value for name, value in findings()})
        return
    for name, value in findings():
        console.print(Text.assemble((f"{name:<12} ", "bold"), value), soft_wrap=True)
