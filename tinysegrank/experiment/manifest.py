"""RUN/manifest.json: seed, digest of the settings, and of each stage its key and what software and machine made it.

It follows from run.toml and the stamps, so it can be made anew, and it tells when one of those was damaged.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tinysegrank.errors import CheckpointError
from tinysegrank.experiment.folder_lock import FolderLock
from tinysegrank.experiment.runner import SETTINGS_FILE, Run
from tinysegrank.files import read_json, write_json
from tinysegrank.stamps import file_digest

MANIFEST_FILE = "manifest.json"


def manifest_of(run: Run) -> dict[str, Any]:
    """Return what the manifest of a run should hold now."""
    makers: list[dict[str, str]] = []
    stages = {}
    for folder in sorted(path.parent for path in run.path.glob("*/stamp.json")):
        stamp = run.stamp(folder.name)
        if stamp.complete and stamp.made_by:  # earlier versions didn't note it
            if stamp.made_by not in makers:
                makers.append(dict(stamp.made_by))
            stages[folder.name] = {**stamp.key._asdict(), "made_by": makers.index(dict(stamp.made_by))}
    settings = file_digest(run.path / SETTINGS_FILE)
    return {"seed": run.settings.seed, "settings": settings, "made_by": makers, "stages": stages}


def read_manifest(path: Path) -> dict[str, Any]:
    """Return what the manifest of a run folder holds; {} if it is missing or damaged."""
    try:
        found = read_json(path / MANIFEST_FILE)
    except CheckpointError:
        return {}
    return found if isinstance(found, dict) else {}


def write_manifest(run: Run, lock: FolderLock) -> None:
    """Write the manifest under the run folder's lock, unless it is as it should be or no stage needs one."""
    wanted, found = manifest_of(run), read_manifest(run.path)
    if found != wanted and (found or wanted["stages"]):
        lock.hold()
        write_json(run.path / MANIFEST_FILE, wanted)


def contradictions(run: Run) -> Iterable[str]:
    """Yield what of run.toml, the manifest and the finished stages doesn't go with the others."""
    wanted, found = manifest_of(run), read_manifest(run.path)
    if not wanted["stages"] or wanted == found:
        return
    if not found:
        yield f"{MANIFEST_FILE}: is missing or damaged"
    elif found.get("settings") != wanted["settings"]:
        yield f"{SETTINGS_FILE}: is not as {MANIFEST_FILE} says"
    else:
        yield f"{MANIFEST_FILE}: is not of these stages"
