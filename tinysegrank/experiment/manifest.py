"""RUN/manifest.json: the seed, a digest of run.toml, and for each stage its key and the software that made it.

The manifest follows from run.toml and the stamps, so it can be written anew; one that contradicts them shows damage.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinysegrank.errors import CheckpointError
from tinysegrank.experiment.folder_lock import FolderLock
from tinysegrank.experiment.runner import Run
from tinysegrank.files import read_json, write_json
from tinysegrank.inputs import MANIFEST_FILE, SETTINGS_FILE
from tinysegrank.stamps import STAMP, Key, digest, file_digest


def manifest_of(run: Run) -> dict[str, Any]:
    """Return the manifest that fits a run's present settings file and finished stages."""
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
    """Read the manifest of a run folder, without its digest; return {} if it is missing or damaged."""
    try:
        found = read_json(path / MANIFEST_FILE)
    except CheckpointError:
        return {}
    if not isinstance(found, dict):
        return {}
    written = found.pop("sha256", None)  # earlier versions had none
    return found if written in (None, digest(found)) else {}


def write_manifest(run: Run, lock: FolderLock) -> None:
    """Write the manifest and a digest of it, unless it is up to date; take the lock of the run folder before."""
    wanted = manifest_of(run)
    if read_manifest(run.path) != wanted:
        lock.hold()
        write_json(run.path / MANIFEST_FILE, {**wanted, "sha256": digest(wanted)})


def contradictions(run: Run) -> dict[str, str]:
    """Compare the manifest of a finished run with its stages; return messages by the path of the file at fault."""
    wanted, found = manifest_of(run), read_manifest(run.path)
    if not wanted["stages"] or wanted == found:
        return {}
    if not found:
        return {MANIFEST_FILE: "is missing or damaged"}
    if is_foreign(run) or not (others := [name for name, other in _others(wanted, found).items() if other]):
        return {MANIFEST_FILE: "is not of these stages"}
    return {f"{name}/{STAMP}": f"is not that of the stage that {MANIFEST_FILE} notes" for name in others}


def is_foreign(run: Run) -> bool:
    """Return whether the manifest is another run's: more than half of the stages in both have different keys."""
    others = _others(manifest_of(run), read_manifest(run.path)).values()
    return 2 * sum(others) > len(others)


def _others(wanted: dict[str, Any], found: dict[str, Any]) -> dict[str, bool]:
    """Return, for each stage that is in both manifests, whether its keys differ."""
    noted = found.get("stages", {})
    pairs = {name: (stage, noted[name]) for name, stage in wanted["stages"].items() if name in noted}
    return {name: any(one[part] != other[part] for part in Key._fields) for name, (one, other) in pairs.items()}
