"""Which pieces of evidence are made, kept and made anew; what is missing, stale or wrong is told."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from tinysegrank.errors import CheckpointError, ConfigError
from tinysegrank.evidence import PIECES, Finding, Piece, Request, Statement, collect_evidence, evidence_state, trainings
from tinysegrank.evidence.claims import check_claims, verdict_of_fact
from tinysegrank.evidence.losses import continue_training, train_from_scratch
from tinysegrank.experiment import Silent
from tinysegrank.experiment.folder_lock import FolderLock
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.experiment.settings import EvidenceSettings
from tinysegrank.experiment.stages import data
from tinysegrank.files import read_compressed, write_compressed, write_json
from tinysegrank.reporting import Column, Table
from tinysegrank.stamps import File, Stamp, file_digest, read_stamp

pytestmark = pytest.mark.slow


class Noting(Silent):
    """Notes what is made, kept and said."""

    def __init__(self):
        self.made, self.kept_names, self.said = [], [], []

    def stage(self, name):
        self.made.append(name)
        return super().stage(name)

    def kept(self, name):
        self.kept_names.append(name)

    def say(self, text):
        self.said.append(text)


@pytest.fixture
def copied(tmp_path, tiny_run, evidence):
    """A copy of the run with all its evidence."""
    return shutil.copytree(tiny_run.path, tmp_path / "run")


@pytest.fixture
def bare(tmp_path, tiny_run):
    """A copy of the run without evidence."""
    return shutil.copytree(tiny_run.path, tmp_path / "run", ignore=shutil.ignore_patterns("evidence"))


def write_stamp(folder, stamp: Stamp):
    write_json(folder / "stamp.json", stamp.to_json())


def opened(path):
    return read_run(path, jobs=1, progress=Silent())


def states(path):
    return {piece.name: state for piece, state in evidence_state(opened(path))}


def collect(path, *names, seeds=(0, 3), **options):
    """What was made, with what was made, kept and said."""
    progress = Noting()
    return collect_evidence(path, names, seeds=seeds, jobs=1, progress=progress, **options), progress


def made_again(path, *names, **options):
    return collect(path, *names, **options)[1].made


def times(folder):
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*.safetensors")}


def test_an_interrupted_training_ends_the_same(bare, evidence, monkeypatch):
    judge, calls = trainings._judge, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) in (2, 5):
            raise KeyboardInterrupt
        judge(*arguments)

    monkeypatch.setattr(trainings, "_judge", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            collect(bare, "from-scratch", seeds=(0,))
    assert states(bare)["from-scratch"] == "can be made"
    collect(bare, "from-scratch", seeds=(0,))
    for file in sorted((bare / "evidence" / "from-scratch" / "trainings").rglob("*.safetensors")):
        assert file.read_bytes() == (evidence / file.relative_to(bare / "evidence")).read_bytes()


@pytest.mark.parametrize("train", [train_from_scratch, continue_training])
def test_a_training_that_diverges_is_reported(tmp_path, bare, train):
    run = opened(bare)
    training = replace(run.settings.training, uoi=replace(run.settings.training.uoi, rate=1e20))
    run = replace(run, settings=replace(run.settings, training=training))
    with np.errstate(all="ignore"):
        found = train(Request(run, tmp_path / "piece", (0,), FolderLock(bare)))
    assert any(note.startswith("UOI, seed 0: ") for note in found.notes)
    ends = dict(zip((column.name for column in found.table.columns), found.table.rows[-1], strict=True))
    del ends["steps"]
    assert {name for name, end in ends.items() if np.isnan(end)} == {n for n in ends if n.split(":")[0] == "UOI"}
    claims = check_claims(found.statements, found.measured)
    unknown = [claim for claim in claims if "not known, because a training diverged" in claim.here]
    assert unknown and {claim.verdict for claim in unknown} == {"too close to tell"}
    found.draw(tmp_path / "figure.png")


def test_what_a_training_of_its_own_depends_on_makes_a_piece_stale(copied):
    run = opened(copied)

    def stale(**changes):
        changed = replace(run, settings=replace(run.settings, **changes))
        return {piece.name for piece, state in evidence_state(changed) if state == "made from earlier results"}

    assert stale() == set()
    training = run.settings.training
    assert stale(training=replace(training, iou=replace(training.iou, rate=0.5))) == {"from-scratch"}
    assert stale(evidence=EvidenceSettings(7)) == {"figure-6"}


def test_what_is_made_is_kept_until_the_run_changes(copied):
    _, progress = collect(copied, "table-1", "figure-2")
    assert (progress.kept_names, progress.made) == (["table-1", "figure-2"], [])
    file = copied / "evaluation" / "confusions.npz"
    with read_compressed(file) as held:
        counts = dict(held)
    write_compressed(file, **counts, another=np.zeros(1))  # as after another evaluation
    evaluation = read_stamp(copied / "evaluation")
    now = File(file.stat().st_size, file.stat().st_mtime_ns, file_digest(file))
    write_stamp(copied / "evaluation", replace(evaluation, files={file.name: now}))
    assert (states(copied)["table-1"], states(copied)["figure-2"]) == ("made from earlier results", "made")
    _, progress = collect(copied, "table-1", "figure-2")
    assert (progress.kept_names, progress.made) == (["figure-2"], ["table-1"])


def test_a_run_that_is_not_far_enough(bare):
    for stage in ("picked", "evaluation", "report"):
        shutil.rmtree(bare / stage)
    with pytest.raises(CheckpointError, match=r"table-1 needs the stage evaluation, .*figure-2"):
        collect(bare, "figure-2", "table-1")
    assert not (bare / "evidence").exists()
    for stage in ("coarse", "training", "described"):
        shutil.rmtree(bare / stage)
    made, progress = collect(bare, "all", seeds=(0,))
    assert [one.name for one in made] == ["figure-2", "from-scratch"]
    assert any(line.startswith("ablation left out: it needs the stage described") for line in progress.said)


def test_other_seeds_need_the_stages_that_their_runs_read(copied):
    shutil.rmtree(copied / "features")
    assert states(copied)["seeds"] == "made from earlier results" and states(copied)["table-2"] == "made"
    with pytest.raises(CheckpointError, match="ablation-seeds needs the stage features, not finished"):
        collect(copied, "ablation-seeds")


@pytest.mark.parametrize(
    ("name", "seeds", "message"),
    [
        ("table-3", (0,), 'evidence "table-3": choose one of table-1, '),
        ("table-1", (), "at least one"),
        ("table-1", (1, 1), "each once"),
    ],
)
def test_bad_requests(tiny_run, name, seeds, message):
    with pytest.raises(ConfigError, match=message):
        collect(tiny_run.path, name, seeds=seeds)


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(CheckpointError, match="is not a run folder"):
        collect(tmp_path, "table-1")


def test_pieces_of_other_code_are_made_anew(copied):
    folder = copied / "evidence" / "table-2"
    stamp = read_stamp(folder)
    write_stamp(folder, replace(stamp, key=stamp.key._replace(code="0" * 64)))
    assert {name for name, state in states(copied).items() if state == "made by other code"} == {"table-2"}
    assert made_again(copied, "table-1", "table-2") == ["table-2"]
    assert set(states(copied).values()) == {"made"}


@pytest.mark.parametrize("file", ["evidence.json", "table.csv", "trainings/ce-seed-0/step-0000002.safetensors"])
def test_damaged_pieces_are_made_anew_with_the_trainings_that_are_whole(copied, file):
    piece = copied / "evidence" / "from-scratch"
    content, before = (piece / file).read_bytes(), times(piece / "trainings" / "uoi-seed-3")
    (piece / file).unlink()
    assert states(copied)["from-scratch"] == "made, but files are missing or changed"
    assert made_again(copied, "from-scratch") == ["from-scratch"]
    assert (piece / file).read_bytes() == content
    assert times(piece / "trainings" / "uoi-seed-3") == before


def test_other_seeds_make_a_piece_anew_with_the_trainings_that_are_there(copied):
    piece = copied / "evidence" / "figure-6"
    before = times(piece / "trainings" / "ce-seed-0")
    assert made_again(copied, "figure-6", seeds=(0,)) == ["figure-6"]
    assert states(copied)["figure-6"] == "made"
    assert times(piece / "trainings" / "ce-seed-0") == before


def test_a_run_that_another_process_works_on(copied):
    with FolderLock(copied) as lock:
        lock.hold()
        assert made_again(copied, "table-1") == []  # what is made is only read
        shutil.rmtree(copied / "evidence" / "table-1")
        with pytest.raises(ConfigError, match="is at work on this run"):
            made_again(copied, "table-1")


def count_images(request):
    """A piece of evidence as a stranger writes one."""
    count = len(request.run.stamp("proposals").files)
    statement = Statement("there are over 2", "there are {count}", verdict_of_fact, ("enough",))
    table = Table("Files", (Column("files", "d"),), ((count,),))
    measured = {"count": count, "enough": count > 2}
    return Finding([statement], measured, table, lambda path: path.write_bytes(b"drawn"))


def test_a_piece_from_outside_the_package(bare, monkeypatch):
    pieces = [*PIECES, Piece("mine", "Mine", count_images, (data.STAGE,))]
    monkeypatch.setattr("tinysegrank.evidence.collect.PIECES", pieces)
    ((made,), _) = collect(bare, "mine")
    assert made.claims[0].verdict == "agrees" and made.table.rows[0][0] > 2
    assert states(bare)["mine"] == "made"
