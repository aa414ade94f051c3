"""The subcommand that downloads published data and weights."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from tinysegrank.cli.group import app
from tinysegrank.errors import ConfigError, DatasetError


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="voc2012, sbd, alexnet, caffenet or torchvision-alexnet.")],
    to: Annotated[Path, typer.Option("--to", help="Folder to write to; for sbd, the one given for voc2012.")],
    archive: Annotated[
        Path | None,
        typer.Option("--archive", help="Take voc2012 or sbd from this archive on disk instead of downloading it."),
    ] = None,
    mirror: Annotated[
        str,
        typer.Option("--mirror", metavar="URL", help="Download from this folder, which has files of the same names."),
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace existing files that differ.")] = False,
) -> None:
    """Download PASCAL VOC 2012, Berkeley's annotations (SBD) or ImageNet weights; repeat the command to resume."""
    from tinysegrank.cli.show import console, shown
    from tinysegrank.config import look_up
    from tinysegrank.fetching import SOURCES, add_sbd, check_archive, download, unpack_voc, voc_root
    from tinysegrank.voc.split import read_split, split_file

    source, progress = look_up(SOURCES, name, "fetch"), shown(console)
    if source.preset and archive is not None:
        raise ConfigError(f"archive={archive}: {name} is a single file; give it to `run --weights`")
    if name == "sbd":
        if not (voc_root(to) / "JPEGImages").is_dir():
            first = _command("fetch", "voc2012", "--to", to)
            raise DatasetError(f"{to}: has no VOC 2012, whose photographs SBD needs; run `{first}` first")
        read_split(split_file(voc_root(to), "val"))  # before a long download
    if archive is None:
        archive = download(source, to, progress=progress, mirror=mirror, replace=force)
    elif not archive.is_dir():
        with progress.count(f"checksum of {archive.name}", 1):
            found = check_archive(source, archive)
        progress.say(found)
    if source.preset:
        typer.echo(f"{archive}: give it to `{_command('run', '--weights', archive, '--preset', source.preset)}`")
    elif name == "sbd":
        typer.echo(add_sbd(archive, voc_root(to), progress=progress, replace=force))
    else:
        root = unpack_voc(archive, to, progress=progress, replace=force)
        typer.echo(f"{root}: give it to `{_command('run', '--voc', root)}`")


def _command(*words: object) -> str:
    return shlex.join(["tinysegrank", *map(str, words)])
