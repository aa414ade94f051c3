"""Which pieces of evidence are made, kept and made anew; what is missing, stale or wrong is told."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from tinysegrank.errors import CheckpointError, ConfigError
from tinysegrank.evidence import PIECES, collect_evidence, evidence_state, figure_6, from_scratch, trainings
from tinysegrank.evidence.claims import Statement, check_claims, verdict_of_order
from tinysegrank.evidence.piece import Finding, Piece, Request
from tinysegrank.experiment import Silent, artifacts
from tinysegrank.experiment.folder_lock import FolderLock
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.experiment.settings import EvidenceSettings
from tinysegrank.experiment.stages.described import read_columns, write_columns
from tinysegrank.files import read_json, write_json
from tinysegrank.reporting import Column, Table

pytestmark = pytest.mark.slow

NAMES = [piece.name for piece in PIECES]


def test_an_interrupted_training_ends_the_same(tmp_path, tiny_run, evidence, monkeypatch):
    path = tmp_path / "run"
    shutil.copytree(tiny_run.path, path, ignore=shutil.ignore_patterns("evidence"))
    judge, calls = trainings._judge, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) in (2, 5):
            raise KeyboardInterrupt
        judge(*arguments)

    monkeypatch.setattr(trainings, "_judge", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            collect_evidence(path, ("from-scratch",), seeds=(0,), jobs=1, progress=Silent())
    assert evidence_state(read_run(path, jobs=1, progress=Silent()))[NAMES.index("from-scratch")][1] == "can be made"
    collect_evidence(path, ("from-scratch",), seeds=(0,), jobs=1, progress=Silent())
    for file in sorted((path / "evidence" / "from-scratch" / "trainings").rglob("*.safetensors")):
        assert file.read_bytes() == (evidence / file.relative_to(path / "evidence")).read_bytes()


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


def test_a_training_that_diverges_is_reported(tmp_path, tiny_run):
    path, training = tmp_path / "run", tiny_run.settings.training
    shutil.copytree(tiny_run.path, path, ignore=shutil.ignore_patterns("evidence"))
    run = replace(read_run(path, jobs=1, progress=Silent()))
    wild = replace(training, uoi=replace(training.uoi, rate=1e20))
    run = replace(run, settings=replace(run.settings, training=wild))
    for train in (from_scratch.train_from_scratch, figure_6.continue_training):
        with np.errstate(all="ignore"):
            found = train(Request(run, tmp_path / train.__name__, (0,), FolderLock(path)))
        assert any(note.startswith("UOI, seed 0: ") for note in found.notes)
        ends = dict(zip((column.name for column in found.table.columns), found.table.rows[-1], strict=True))
        values = {heading: value for heading, value in ends.items() if heading != "steps"}
        assert {heading for heading, value in values.items() if np.isnan(value)} == {
            heading for heading in values if heading.split(":")[0] == "UOI"
        }
        unknown = [claim for claim in found.claims if "not known, because a training diverged" in claim.here]
        assert unknown and {claim.verdict for claim in unknown} == {"too close to tell"}
        found.draw(tmp_path / "figure.png")


def test_what_a_training_of_its_own_depends_on_makes_a_piece_stale(tmp_path, tiny_run, evidence):
    path = tmp_path / "run"
    shutil.copytree(tiny_run.path, path)
    run = read_run(path, jobs=1, progress=Silent())

    def stale(**changes):
        changed = replace(run, settings=replace(run.settings, **changes))
        return {piece.name for piece, state in evidence_state(changed) if state == "made from earlier results"}

    assert stale() == set()
    training = run.settings.training
    assert stale(training=replace(training, iou=replace(training.iou, rate=0.5))) == {"from-scratch"}
    assert stale(evidence=EvidenceSettings(7)) == {"figure-6"}


def test_what_is_made_is_kept_until_the_run_changes(tmp_path, tiny_run, evidence):
    path, names = tmp_path / "run", ("table-1", "figure-2")
    shutil.copytree(tiny_run.path, path)
    progress = Noting()
    collect_evidence(path, names, jobs=1, progress=progress)
    assert (progress.kept_names, progress.made) == (list(names), [])
    stamp = path / "evaluation" / "stamp.json"
    held = read_json(stamp)
    held["files"]["confusions.npz"][2] = "0" * 64  # as after another evaluation
    write_json(stamp, held)
    states = dict(
        zip(NAMES, (state for _, state in evidence_state(read_run(path, jobs=1, progress=Silent()))), strict=True)
    )
    assert (states["table-1"], states["figure-2"]) == ("made from earlier results", "made")
    progress = Noting()
    collect_evidence(path, names, jobs=1, progress=progress)
    assert (progress.kept_names, progress.made) == (["figure-2"], ["table-1"])
    progress = Noting()
    collect_evidence(path, names, jobs=1, progress=progress, redo=True)
    assert progress.made == list(names)


def test_a_run_that_is_not_far_enough(tmp_path, tiny_run):
    path = tmp_path / "run"
    shutil.copytree(tiny_run.path, path, ignore=shutil.ignore_patterns("evidence", "picked", "evaluation", "report"))
    with pytest.raises(CheckpointError, match=r"table-1 needs the stage evaluation, .*figure-2"):
        collect_evidence(path, ("figure-2", "table-1"), jobs=1, progress=Silent())
    assert not (path / "evidence").exists()
    for stage in ("coarse", "training", "described"):
        shutil.rmtree(path / stage)
    progress = Noting()
    made = collect_evidence(path, ("all",), seeds=(0,), jobs=1, progress=progress)
    assert [one.name for one in made] == ["figure-2", "from-scratch"]
    assert any(line.startswith("ablation left out: it needs the stage described") for line in progress.said)


def test_proposals_without_the_rerank_block(tmp_path, tiny_run):
    path = tmp_path / "run"
    shutil.copytree(tiny_run.path, path, ignore=shutil.ignore_patterns("evidence"))
    run, columns = replace(tiny_run, path=path), {"segnet": read_columns(tiny_run)["segnet"]}
    (path / "described" / "columns.json").unlink()
    artifacts.make(path / "described", run.stamp("described").key, lambda: write_columns(run, columns))
    with pytest.raises(CheckpointError, match='rerank-alone needs a block "rerank"'):
        collect_evidence(path, ("rerank-alone",), jobs=1, progress=Silent())
    (made,) = collect_evidence(path, ("ablation",), jobs=1, progress=Silent())
    assert [row[0] for row in made.table.rows] == ["Eq. 17, no SVM", "(1) SegNet"]


@pytest.mark.parametrize(
    ("names", "seeds", "error", "message"),
    [
        (("table-3",), (0,), ConfigError, 'evidence "table-3": choose one of table-1, '),
        (("table-1",), (), ConfigError, "at least one"),
        (("table-1",), (1, 1), ConfigError, "each once"),
    ],
)
def test_bad_requests(tiny_run, names, seeds, error, message):
    with pytest.raises(error, match=message):
        collect_evidence(tiny_run.path, names, seeds=seeds, jobs=1, progress=Silent())


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(CheckpointError, match="is not a run folder"):
        collect_evidence(tmp_path, ("table-1",), jobs=1, progress=Silent())


@pytest.fixture
def copied(tmp_path, tiny_run, evidence):
    """A copy of the run with all its evidence."""
    shutil.copytree(tiny_run.path, tmp_path / "run")
    return tmp_path / "run"


def states(path):
    return {piece.name: state for piece, state in evidence_state(read_run(path, jobs=1, progress=Silent()))}


def made_again(path, *names, **options):
    progress = Noting()
    collect_evidence(path, names, seeds=(0, 3), jobs=1, progress=progress, **options)
    return progress.made


def times(folder):
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*.safetensors")}


def test_pieces_of_other_code_are_made_anew(copied):
    stamp = copied / "evidence" / "table-2" / "stamp.json"
    record = read_json(stamp)
    record["key"][1] = "0" * 64
    write_json(stamp, record)
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
    progress = Noting()
    collect_evidence(copied, ("figure-6",), seeds=(0,), jobs=1, progress=progress)
    assert progress.made == ["figure-6"] and states(copied)["figure-6"] == "made"
    assert times(piece / "trainings" / "ce-seed-0") == before


def test_redo_keeps_trainings_and_rankers(copied):
    before = times(copied / "evidence")
    assert made_again(copied, "from-scratch", "ablation", "seeds", redo=True) == ["ablation", "from-scratch", "seeds"]
    assert times(copied / "evidence") == before


def test_a_run_that_another_process_works_on(copied):
    with FolderLock(copied) as lock:
        lock.hold()
        assert made_again(copied, "table-1") == []  # what is made is only read
        with pytest.raises(ConfigError, match="is at work on this run"):
            made_again(copied, "table-1", redo=True)


def count_images(request):
    """A piece of evidence as a stranger writes one."""
    count = len(request.run.stamp("proposals").files)
    statement = Statement("there are over 2", "there are {count}", verdict_of_order, ("least", "count"))
    claims = check_claims([statement], {"count": count, "least": 2})
    table = Table("Files", (Column("files", "d"),), ((count,),))
    return Finding(claims, table, lambda path: path.write_bytes(b"drawn"))


def test_a_piece_from_outside_the_package(tmp_path, tiny_run, monkeypatch):
    shutil.copytree(tiny_run.path, tmp_path / "run", ignore=shutil.ignore_patterns("evidence"))
    monkeypatch.setattr(
        "tinysegrank.evidence.collect.PIECES", [*PIECES, Piece("mine", "Mine", count_images, ("data",))]
    )
    (made,) = collect_evidence(tmp_path / "run", ("mine",), jobs=1, progress=Silent())
    assert made.claims[0].verdict == "agrees" and made.table.rows[0][0] > 2
    assert states(tmp_path / "run")["mine"] == "made"
