"""The ways of proposing inside a run: pasting, both engines in turn, and proposals made elsewhere."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinysegrank.errors import ConfigError, DatasetError
from tinysegrank.experiment import Run, Silent, images, named_settings, run_experiment
from tinysegrank.experiment.photograph import Photograph
from tinysegrank.experiment.proposal_settings import ENGINES, CrfSettings, PasteSettings, ProposalSettings
from tinysegrank.experiment.proposers import proposers_of
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.stages import maps, pooled, proposals
from tinysegrank.experiment.stages.pooled import read_pooled
from tinysegrank.experiment.stages.proposals import store
from tinysegrank.experiment.stages.segments import load_describe, read_rows, read_segments
from tinysegrank.experiment.stages.superpixels import superpixels_of
from tinysegrank.files import read_json
from tinysegrank.metrics import image_iou
from tinysegrank.proposals import (
    CpmcOptions,
    MapMeans,
    MapPoolingOptions,
    PasteEngine,
    SecondOrderOptions,
    SegmentOptions,
    Segments,
    SegmentScorer,
    map_features,
    training_rows,
)
from tinysegrank.voc import VOID, VOCSegmentation, find_objects, make_toy_voc, read_labels, write_labels

pytestmark = pytest.mark.slow

COUNT = 4


def settings_for(voc: Path, engine: str, **changes: object) -> Settings:
    demo = named_settings("demo")
    segments = SegmentOptions(
        CpmcOptions(superpixels=150, grid=3, steps=8, count=30),
        SecondOrderOptions(sift_cells=(4,), lbp_cells=(4,), step=8),
        sift=12,
        lbp=8,
        length=24,
    )
    proposals = ProposalSettings(
        engine=engine,
        count=COUNT,
        crf=CrfSettings("hand", strengths=(4.0,), lambdas=(0.3,), choice_images=4),
        paste=PasteSettings(segments, fit_images=6, thresholds=(0.0, 0.1), lambdas=(0.04, 0.1), choice_images=5),
    )
    return replace(
        demo,
        data=replace(demo.data, voc=str(voc)),
        superpixels=replace(demo.superpixels, segments=60),
        proposals=replace(proposals, **changes),
    )


def propose(path: Path, settings: Settings, *, jobs: int = 1) -> Run:
    return run_experiment(path, settings, jobs=jobs, progress=Silent(), until="proposals")


def member(run: Run, which: str, index: int) -> images.ImageOfRun:
    return images.images_of(run, which, [index])[0]


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("toy")
    make_toy_voc(root, train=12, val=4, seed=2)
    return root


@pytest.fixture(scope="module")
def pasted(tmp_path_factory, toy) -> Run:
    return propose(tmp_path_factory.mktemp("paste") / "run", settings_for(toy, "paste"))


def test_every_image_has_its_proposals(pasted, toy):
    for which in ("train", "val"):
        split = VOCSegmentation(toy, which)
        for index, name in enumerate(split.names):
            labels, scores = store(pasted, which).read(name)
            assert labels.shape == (COUNT, *split.image(index).shape[:2])
            assert scores[0] == scores.max()
            segments, features = read_segments(member(pasted, which, index))
            assert features.shape == (len(segments), 24)
    chosen = read_json(pasted.folder("proposing") / "paste" / "chosen.json")
    assert chosen["options"]["threshold"] in (0.0, 0.1)
    assert chosen["options"]["lam"] in (0.04, 0.1)


def test_the_rows_to_learn_from_are_the_segments_and_more(pasted, toy):
    image = member(pasted, "train", 0)
    features, targets = read_rows(image)
    segments, described = read_segments(image)
    assert len(features) == len(targets) > len(described)
    np.testing.assert_array_equal(features[: len(described)], described)
    assert targets.max() > 0.5
    sample = VOCSegmentation(toy, "train")[0]
    rows = training_rows(segments, find_objects(sample.labels), sample.labels != VOID, num_classes=21)
    true = rows.members[rows.objects]
    assert len(features) == len(rows.members) + len(true)
    np.testing.assert_array_equal(targets[-len(true) :], rows.targets[rows.objects])
    flipped = Segments(np.fliplr(segments.superpixels), true, np.zeros(len(true)))
    np.testing.assert_array_equal(features[-len(true) :], load_describe(pasted)(np.fliplr(sample.image), flipped))


def test_constants_are_chosen_by_the_mean_image_iou(tmp_path, toy):
    settings = settings_for(toy, "paste")
    paste = replace(settings.proposals.paste, choice_images=24)
    run = propose(tmp_path / "run", replace(settings, proposals=replace(settings.proposals, paste=paste)))
    folder = run.folder("proposing") / "paste"
    scorer, split = SegmentScorer.load(folder / "without-fold-0.safetensors"), VOCSegmentation(toy, "train")
    held_out = np.flatnonzero(images.folds(run) == 0)
    truths = [split[int(i)].labels for i in held_out]
    described = [read_segments(image) for image in images.images_of(run, "train", held_out)]
    for threshold, found in read_json(folder / "chosen.json")["tried"]["thresholds"].items():
        engines = [PasteEngine(scorer.scores(of), segments, threshold=float(threshold)) for segments, of in described]
        firsts = [engine.solve(engine.initial()).labels for engine in engines]
        assert found == pytest.approx(np.mean([image_iou(t, y) for t, y in zip(truths, firsts, strict=True)]))


def test_two_processes_give_the_same_bits(tmp_path, pasted, toy):
    other = propose(tmp_path / "run", settings_for(toy, "paste"), jobs=2)

    def files(run: Run) -> dict[str, bytes]:
        paths = sorted(path for path in run.path.rglob("*") if path.suffix in (".png", ".safetensors"))
        return {str(path.relative_to(run.path)): path.read_bytes() for path in paths}

    assert files(other) == files(pasted)


@pytest.mark.parametrize("method", ["integer", "scikit-image"])
def test_both_engines_take_turns_and_a_photograph_gets_what_the_run_made(tmp_path, pasted, toy, method):
    superpixels = replace(settings_for(toy, "both").superpixels, method=method)
    run = propose(tmp_path / "run", replace(settings_for(toy, "both"), superpixels=superpixels))
    crf = propose(tmp_path / "crf", replace(settings_for(toy, "crf"), superpixels=superpixels))
    split = VOCSegmentation(toy, "val")
    for index, name in enumerate(split.names):
        labels, _ = store(run, "val").read(name)
        of_photograph = proposals.propose(Photograph(run, split.image(index)))
        np.testing.assert_array_equal(np.stack([proposal.labels for proposal in of_photograph]), labels)
        np.testing.assert_array_equal(labels[1::2], store(pasted, "val").read(name)[0][:2])
        np.testing.assert_array_equal(labels[::2], store(crf, "val").read(name)[0][:2])
    assert not any(crf.folder("segments").rglob("*.npz"))


@pytest.mark.parametrize("features", ["trunk", "both"])
def test_the_trunks_maps_describe_the_segments_that_are_there(tmp_path, pasted, toy, features):
    path = shutil.copytree(pasted.path, tmp_path / "run")
    settings = settings_for(toy, "paste")
    pooling = MapPoolingOptions(channels=6, length=20)
    paste = replace(settings.proposals.paste, features=features, maps=pooling)
    settings = replace(
        settings,
        trunk=replace(settings.trunk, pretrain_images=24, pretrain_steps=3),
        proposals=replace(settings.proposals, paste=paste),
    )
    run = run_experiment(path, settings, jobs=1, progress=Silent(), until="proposals", update=True)
    if features == "both":
        assert run.stamp("segments") == pasted.stamp("segments")  # no segment is made again
    else:  # hand-made descriptions, which nothing reads, are not made
        assert read_segments(member(run, "train", 3))[1] is None
        assert not run.path_of("segments/projection.safetensors").exists()

    make_maps, image = maps.load_maps(run), member(run, "train", 3)
    describe = pooled.load_describe(run)
    sample, segments = VOCSegmentation(toy, "train")[3], read_segments(image)[0]
    rows = training_rows(segments, find_objects(sample.labels), sample.labels != VOID, num_classes=21)
    true, superpixels = rows.members[rows.objects], superpixels_of(sample.image, settings)
    parts = []
    for members, view in ((rows.members, np.array), (true, np.fliplr)):
        means = map_features(make_maps(view(sample.image)), view(superpixels)).superpixels
        of_view = Segments(view(segments.superpixels), members, np.zeros(len(members)))
        parts.append(describe(of_view, MapMeans(view(superpixels), means, (64, 64, 64))))
    np.testing.assert_array_equal(read_pooled(image), np.concatenate(parts))
    assert read_pooled(image).shape == (len(read_rows(image)[1]), 40)

    scorer = SegmentScorer.load(run.folder("proposing") / "paste" / "all.safetensors")
    assert scorer.weights_.shape[1] == {"trunk": 40, "both": 24 + 40}[features]
    split = VOCSegmentation(toy, "val")
    for index in (0, 2):
        labels, _ = store(run, "val").read(split.names[index])
        found = proposals.propose(Photograph(run, split.image(index)))
        np.testing.assert_array_equal(np.stack([proposal.labels for proposal in found]), labels)


def test_proposals_made_elsewhere(tmp_path, pasted, toy):
    elsewhere = tmp_path / "elsewhere"
    for which in ("train", "val"):
        shutil.copytree(store(pasted, which).root, elsewhere, dirs_exist_ok=True)
    for path in elsewhere.rglob("scores.json"):
        path.unlink()  # others may have none
    settings = settings_for(toy, "folder", folder=str(elsewhere), count=3)
    run = propose(tmp_path / "run", settings)
    name = VOCSegmentation(toy, "val").names[2]
    labels, scores = store(run, "val").read(name)
    np.testing.assert_array_equal(labels, store(pasted, "val").read(name)[0][:3])
    assert np.isnan(scores).all()
    theirs = store(pasted, "val").read_segments(name)[:3]
    for ours, expected in zip(store(run, "val").read_segments(name), theirs, strict=True):
        np.testing.assert_array_equal(ours.scores, expected.scores)
    with pytest.raises(ConfigError, match="made elsewhere"):
        proposals.propose(Photograph(run, VOCSegmentation(toy, "val").image(2)))

    shutil.rmtree(elsewhere / name)
    with pytest.raises(DatasetError, match=name):
        run_experiment(tmp_path / "other", settings, jobs=1, progress=Silent())
    assert not (tmp_path / "other").exists()


def test_proposals_of_another_size_are_refused_before_anything_is_made(tmp_path, pasted, toy):
    elsewhere, split = tmp_path / "elsewhere", VOCSegmentation(toy, "train")
    for which in ("train", "val"):
        shutil.copytree(store(pasted, which).root, elsewhere, dirs_exist_ok=True)
    for path in (elsewhere / split.names[3]).glob("*.png"):
        write_labels(path, read_labels(path)[:, 1:])
    height, width, _ = split.image(3).shape
    sizes = f"{width - 1} x {height} labels for an image of {width} x {height}"
    with pytest.raises(DatasetError, match=f"{split.names[3]}/00.png: {sizes}"):
        run_experiment(tmp_path / "run", settings_for(toy, "folder", folder=str(elsewhere)), jobs=1, progress=Silent())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damaged", ["scores.json", "segments.json"])
def test_damaged_scores_are_refused_before_anything_is_made(tmp_path, pasted, toy, damaged):
    elsewhere, split = tmp_path / "elsewhere", VOCSegmentation(toy, "val")
    for which in ("train", "val"):
        shutil.copytree(store(pasted, which).root, elsewhere, dirs_exist_ok=True)
    path = elsewhere / split.names[1] / damaged
    path.write_bytes(path.read_bytes()[:9])
    with pytest.raises(DatasetError, match=f"{split.names[1]}/{damaged}"):
        run_experiment(tmp_path / "run", settings_for(toy, "folder", folder=str(elsewhere)), jobs=1, progress=Silent())
    assert not (tmp_path / "run").exists()


def test_every_engine_has_its_proposers(toy):
    for engine in ENGINES:
        assert proposers_of(settings_for(toy, engine))


def test_no_folder(tmp_path, toy):
    with pytest.raises(ConfigError, match=r"proposals\.folder"):
        run_experiment(tmp_path / "run", settings_for(toy, "folder"), jobs=1, progress=Silent())
