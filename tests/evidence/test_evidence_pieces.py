"""The pieces of evidence: their figures are those of the run's files."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tinysegrank.errors import ConfigError
from tinysegrank.evidence import PIECES
from tinysegrank.evidence.ablation import eq17_by_features
from tinysegrank.evidence.figure_2 import richest
from tinysegrank.evidence.losses import continue_training
from tinysegrank.evidence.measures import make_judge, read_described
from tinysegrank.evidence.piece import Request
from tinysegrank.evidence.single_images import (
    Images,
    helped_and_hurt,
    in_and_out,
    measure,
    smaller_object,
    too_much_object,
)
from tinysegrank.evidence.trainings import network_of_start
from tinysegrank.experiment import evaluate_folder
from tinysegrank.experiment.folder_lock import FolderLock
from tinysegrank.experiment.settings import EvidenceSettings
from tinysegrank.experiment.stages.coarse import read_coarse
from tinysegrank.experiment.stages.features import store
from tinysegrank.files import read_arrays, read_json
from tinysegrank.metrics import Confusion, image_iou
from tinysegrank.ranking import proposal_distance
from tinysegrank.reporting import TABLE_1, TABLE_2
from tinysegrank.segnet import load_segnet, predict_store
from tinysegrank.upsampling import naive
from tinysegrank.voc import CLASS_NAMES, VOCSegmentation, read_labels, tile_edges

pytestmark = pytest.mark.slow

NAMES = [piece.name for piece in PIECES]


def rows_of(evidence, name):
    with (evidence / name / "table.csv").open() as stream:
        heading, *rows = csv.reader(stream)
    return heading, {row[0]: dict(zip(heading, row, strict=True)) for row in rows}


@pytest.fixture(scope="module")
def split(tiny_run):
    return VOCSegmentation(tiny_run.settings.data.voc, "val")


def scored(tiny_run, split, place):
    return evaluate_folder(tiny_run.path / place, split)


def per_cent(confusion):
    return 100 * confusion.mean_iou().value


@pytest.mark.parametrize("name", NAMES)
def test_each_piece_has_its_files(evidence, name):
    with Image.open(evidence / name / "figure.png") as figure:
        assert min(figure.size) > 100
    text = (evidence / name / "claim.md").read_text()
    claims = read_json(evidence / name / "evidence.json")["claims"]
    assert claims and text.count("**The paper:**") == text.count("**This run:**") == text.count("**So:**") == len(
        claims
    )
    assert {claim["verdict"] for claim in claims} <= {"agrees", "differs", "too close to tell", "not compared"}
    assert "nan" not in text and "None" not in text
    assert (evidence / name / "table.md").read_text().startswith("**")


def test_table_1_is_what_the_picked_label_maps_score(tiny_run, evidence, split):
    _, rows = rows_of(evidence, "table-1")
    for column, place in (("SegNet+SVM", "svm"), ("1-best", "1-best"), ("oracle", "oracle")):
        confusion = scored(tiny_run, split, f"picked/{place}")
        for index, name in enumerate(CLASS_NAMES):
            shown, expected = rows[name][column], 100 * confusion.iou()[index]
            assert (shown == "" and np.isnan(expected)) or float(shown) == pytest.approx(expected)
        mean = next(row for name, row in rows.items() if name.startswith("mean of"))
        assert float(mean[column]) == pytest.approx(per_cent(confusion))
    assert float(rows["cow"]["DivMBest+ReRank (paper, test)"]) == TABLE_1["DivMBest+ReRank"][10] == 47.5


def test_table_2_is_what_the_label_maps_score(tiny_run, evidence, split):
    heading, rows = rows_of(evidence, "table-2")
    for name, place in (
        ("naive upsampling", "upsampled/naive-uoi+ce"),
        ("superpixel upsampling", "upsampled/superpixel-uoi+ce"),
        ("SegNet-CE", "picked/segnet-ce"),
        ("SegNet-UOI-CE", "picked/segnet-uoi+ce"),
        ("SegNet+SVM", "picked/svm"),
        ("1-best", "picked/1-best"),
    ):
        confusion = scored(tiny_run, split, place)
        assert float(rows[name][heading[1]]) == pytest.approx(per_cent(confusion))
    claim = read_json(evidence / "table-2" / "evidence.json")["claims"][0]
    better, worse = (per_cent(scored(tiny_run, split, f"upsampled/{kind}-uoi+ce")) for kind in ("superpixel", "naive"))
    assert f"{better:.1f}, naive upsampling {worse:.1f}: {better - worse:+.1f} points" in claim["here"]


def test_the_ablation_has_all_subsets_and_the_runs_own_ranker_among_them(tiny_run, evidence, split):
    heading, rows = rows_of(evidence, "ablation")
    columns = {"(1) SegNet": 86, "(2) classification": 100, "(3) DivMBest+ReRank": 1107, "(1) + (2)": 186}
    columns |= {"(1) + (3)": 1193, "(2) + (3)": 1207, "(1) + (2) + (3)": 1293, "(2) not gated": 100}
    for name, count in columns.items():
        assert int(rows[name]["columns"]) == count
    place = next(column for column in heading if column.startswith("val,"))
    assert float(rows["(1) + (2) + (3)"][place]) == pytest.approx(per_cent(scored(tiny_run, split, "picked/svm")))
    assert float(rows["Eq. 17, no SVM"][place]) == pytest.approx(
        per_cent(scored(tiny_run, split, "picked/segnet-uoi+ce"))
    )
    # features of the image alone cancel, and the first proposal stays
    assert float(rows["(2) not gated"][place]) == pytest.approx(per_cent(scored(tiny_run, split, "picked/1-best")))
    assert [rows[name]["paper (val)"] for name in ("(1) SegNet", "(1) + (3)", "(1) + (2)")] == ["49.0", "52.0", ""]


def test_eq_17_is_the_same_by_the_features_of_a_table(tiny_run, evidence, split):
    """By the features of val, where the run scored the proposals themselves; so the training images' are judged."""
    held, ranking = read_described(tiny_run, "val"), tiny_run.settings.ranking
    by_features = eq17_by_features(held.table, ranking.background_weight)
    for image in range(len(split)):
        rows = held.table.groups == image
        gaps = (by_features - held.distances[ranking.loss])[rows]
        np.testing.assert_allclose(gaps, gaps[0], atol=1e-3)
    _, rows = rows_of(evidence, "ablation")
    train = read_described(tiny_run, "train")
    scores = eq17_by_features(train.table, ranking.background_weight)
    picks = [np.flatnonzero(train.table.groups == i)[np.argmin(scores[train.table.groups == i])] for i in range(10)]
    expected = per_cent(Confusion.of(train.confusions[picks]))
    assert float(rows["Eq. 17, no SVM"]["held-out training images"]) == pytest.approx(expected)


def test_the_oracle_of_section_3_is_among_ten(tiny_run, evidence, split):
    claim = read_json(evidence / "table-2" / "evidence.json")["claims"][-1]
    assert claim["here"].startswith(f"the oracle among 4 {per_cent(scored(tiny_run, split, 'picked/oracle')):.1f}")


def test_figure_2_begins_perfect(evidence):
    _, rows = rows_of(evidence, "figure-2")
    assert list(rows["0.0"].values())[1:3] == ["1.0", "1.0"]
    iou = [float(row["IOU"]) for row in rows.values()]
    assert iou == sorted(iou, reverse=True)


def test_the_richest_label_map_has_the_most_classes_of_some_size():
    class Maps:
        maps = (np.repeat(range(4), 25), np.r_[np.zeros(990), [1, 2, 3, 4, 5, *[6] * 5]], np.repeat([0, 255], 50))

        def __len__(self):
            return len(self.maps)

        def labels(self, i):
            return self.maps[i].astype(np.uint8)[None]

    assert richest(Maps()) == 0


def test_the_judge_agrees_with_the_label_maps(tiny_run, split):
    judge, ranking = make_judge(tiny_run, picks=True), tiny_run.settings.ranking
    for loss in ("start", "uoi", "uoi+ce"):
        coarse = read_coarse(tiny_run, f"val-{loss}")
        np.testing.assert_array_equal(judge.naive(coarse), scored(tiny_run, split, f"upsampled/naive-{loss}").matrix)
        picks = judge.eq17(coarse, ranking.eps, ranking.background_weight)
        np.testing.assert_array_equal(picks, scored(tiny_run, split, f"picked/segnet-{loss}").matrix)


def test_figure_6_starts_and_ends_at_the_runs_own_networks(tiny_run, evidence, split):
    """With the run's seed it is the run's own training, to the bit."""
    for loss in ("ce", "uoi", "uoi+ce"):
        steps = sorted((evidence / "figure-6" / "trainings" / f"{loss}-seed-0").glob("step-*.safetensors"))
        assert [int(file.stem.split("-")[1]) for file in steps] == [0, 1, 2, 3, 4]
        for file, own in ((steps[0], "start"), (steps[-1], loss)):
            judged = read_arrays(file)
            for kind, place in (("naive", f"upsampled/naive-{own}"), ("picks", f"picked/segnet-{own}")):
                np.testing.assert_array_equal(judged[kind], scored(tiny_run, split, place).matrix)
    _, rows = rows_of(evidence, "figure-6")
    ends = [f"figure-6/trainings/uoi-seed-{seed}/step-0000004.safetensors" for seed in (0, 3)]
    values = [per_cent(Confusion.of(read_arrays(evidence / end)["picks"])) for end in ends]
    assert float(rows["4"]["UOI"]) == pytest.approx(np.mean(values))
    assert float(rows["4"]["UOI, largest"]) == pytest.approx(max(values))


def test_figure_6_trains_a_longer_start_once(tmp_path, tiny_run):
    steps = tiny_run.settings.training.start.steps + 3
    settings = replace(tiny_run.settings, evidence=EvidenceSettings(steps))
    request = Request(replace(tiny_run, settings=settings), tmp_path, (0,), FolderLock(tmp_path))
    start = network_of_start(request)
    network = start.read_bytes()
    last = read_arrays(sorted(start.parent.glob("step-*.safetensors"))[-1])
    assert last["steps"] == steps
    coarse = predict_store(load_segnet(start), store(request.run, "val"))
    np.testing.assert_array_equal(last["naive"], make_judge(request.run, picks=True).naive(coarse))
    written = start.stat().st_mtime_ns
    assert network_of_start(request).read_bytes() == network
    found = continue_training(request)
    assert start.stat().st_mtime_ns == written  # and not trained again
    assert found.measured["steps"] == steps and f"{steps:,} steps" in found.notes[0]


def test_the_start_of_figure_6_has_steps_or_none():
    with pytest.raises(ConfigError, match="start_steps=-1"):
        EvidenceSettings(-1)


def test_from_scratch_begins_with_one_head_and_cross_entropy_is_the_runs_start(tiny_run, evidence, split):
    trainings = evidence / "from-scratch" / "trainings"
    begins = [
        read_arrays(trainings / f"{loss}-seed-0" / "step-0000000.safetensors")["naive"] for loss in ("iou", "uoi")
    ]
    np.testing.assert_array_equal(*begins)
    end = read_arrays(trainings / "ce-seed-0" / "step-0000004.safetensors")["naive"]
    np.testing.assert_array_equal(end, scored(tiny_run, split, "upsampled/naive-start").matrix)
    maps = [read_labels(tiny_run.path / "upsampled" / "naive-start" / f"{name}.png") for name in split.names]
    truths = [split.labels(i) for i in range(len(split))]
    labelled = np.concatenate([m[t != 255] for m, t in zip(maps, truths, strict=True)])
    _, rows = rows_of(evidence, "from-scratch")
    other = read_arrays(trainings / "ce-seed-3" / "step-0000004.safetensors")["naive"]
    shares = [(labelled == 0).mean(), other[:, 0].sum() / other.sum()]
    assert float(rows["4"]["CE: background"]) == pytest.approx(100 * np.mean(shares))


def test_the_background_term_agrees_with_the_runs_picks(tiny_run, evidence, split):
    _, rows = rows_of(evidence, "background-term")
    own = per_cent(scored(tiny_run, split, "picked/segnet-uoi+ce"))
    assert float(rows["0.02"]["IoU, eps 0.001"]) == pytest.approx(own)
    judge, coarse = make_judge(tiny_run, picks=True), read_coarse(tiny_run, "val-uoi+ce")
    heavy = judge.divergences(coarse, 1e-3) + 1e9 * judge.backgrounds()
    for image, name in enumerate(split.names):  # so heavy a term leaves nothing else to choose by
        paths = sorted((tiny_run.path / "proposals" / "val" / name).glob("*.png"))
        shares = [background_share(read_labels(path)) for path in paths]
        picked = np.argmin(heavy[4 * image : 4 * image + 4])
        assert shares[picked] == pytest.approx(min(shares))


def background_share(labels):
    """The mean over the cells of the share of background."""
    rows, columns = (tile_edges(n, 13) for n in labels.shape)
    cells = [labels[rows[r] : rows[r + 1], columns[c] : columns[c + 1]] for r in range(13) for c in range(13)]
    return float(np.mean([(cell == 0).mean() for cell in cells]))


def test_images_are_measured_as_their_label_maps_are(tiny_run, split):
    images = measure(tiny_run)
    for kind, place in (("naive", "upsampled/naive-uoi+ce"), ("SVM", "picked/svm"), ("oracle", "picked/oracle")):
        for i, name in enumerate(split.names):
            truth, labels = split.labels(i), read_labels(tiny_run.path / place / f"{name}.png")
            assert images.iou[kind][i] == pytest.approx(image_iou(truth, labels))
            assert images.objects[kind][i] == pytest.approx((labels[truth != 255] != 0).mean())
            assert images.objects["truth"][i] == pytest.approx((truth[truth != 255] != 0).mean())


@pytest.fixture(params=["of the run", "drawn"])
def images(request, tiny_run, rng):
    if request.param == "of the run":
        return measure(tiny_run)
    kinds = ("naive", "superpixel", "1-best", "Eq. 17", "SVM", "oracle")
    iou, objects = ({kind: rng.random(60) for kind in (*kinds, "truth")} for _ in range(2))
    return Images(iou, objects)


def test_images_shown_follow_the_captions(images):
    many = len(images.iou["SVM"]) > 50
    for shown in (too_much_object(images), smaller_object(images), helped_and_hurt(images)):
        assert len(set(shown.tolist())) == len(shown) <= 4
        assert len(shown) == 4 or not many
    for i in too_much_object(images):
        assert images.iou["Eq. 17"][i] < images.iou["1-best"][i]
        assert images.objects["naive"][i] > images.objects["truth"][i]
    gains = images.gain("Eq. 17", "1-best")[smaller_object(images)]
    assert (gains > 0).all() and (np.diff(gains) <= 0).all()
    assert (images.objects["Eq. 17"] < images.objects["1-best"])[smaller_object(images)].all()


def test_maps_in_and_out_of_their_class_by_pixels(tiny_run, split):
    coarse = np.asarray(read_coarse(tiny_run, "val-uoi+ce"))
    inside, outside = in_and_out(coarse, make_judge(tiny_run, picks=False).cell_counts())
    pixels = []
    for i in range(len(split)):
        truth = split.labels(i)
        numbered = np.zeros((13, 13, 169))
        numbered[np.repeat(range(13), 13), np.tile(range(13), 13), range(169)] = 1
        cell = naive(numbered, truth.shape)
        pixels.append((truth[truth != 255], coarse[i].reshape(169, 21)[cell[truth != 255]]))
    truth, maps = (np.concatenate(part) for part in zip(*pixels, strict=True))
    for k in (0, *np.unique(truth)[1:3]):
        assert inside[k] == pytest.approx(maps[truth == k, k].mean(), rel=1e-5)
        assert outside[k] == pytest.approx(maps[truth != k, k].mean(), rel=1e-5)


def test_seeds_keep_the_runs_own_and_differ_in_the_others(tiny_run, evidence, split):
    heading, rows = rows_of(evidence, "seeds")
    for name, place in (("SegNet-UOI", "picked/segnet-uoi"), ("SegNet+SVM", "picked/svm")):
        own = per_cent(scored(tiny_run, split, place))
        other = per_cent(evaluate_folder(evidence / "seeds" / "seed-3" / place, split))
        assert float(rows[name]["seed 0"]) == pytest.approx(own)
        assert float(rows[name]["seed 3"]) == pytest.approx(other)
        assert float(rows[name][heading[1]]) == pytest.approx((own + other) / 2)
        assert float(rows[name]["paper (val)"]) == TABLE_2[name]
    mine, theirs = (
        (path / "training" / "all-start" / "log.csv").read_text()
        for path in (tiny_run.path, evidence / "seeds" / "seed-3")
    )
    assert mine != theirs
    assert not (evidence / "seeds" / "seed-3" / "proposals").exists()


def test_the_ablation_over_seeds_is_that_of_each_seeds_own_proposals_and_rankers(tiny_run, evidence, split):
    """Its own seed's column is the ablation; the other's is what its label maps score, Eq. 17 by the definition."""
    _, rows = rows_of(evidence, "ablation-seeds")
    heading, ablation = rows_of(evidence, "ablation")
    place = next(column for column in heading if column.startswith("val,"))
    for name, row in ablation.items():
        assert float(rows[name]["seed 0"]) == pytest.approx(float(row[place]), abs=1e-6)
    other = evidence / "seeds" / "seed-3"
    for name, system in (("(1) + (2) + (3)", "svm"), ("Eq. 17, no SVM", "segnet-uoi+ce")):
        expected = per_cent(evaluate_folder(other / "picked" / system, split))
        assert float(rows[name]["seed 3"]) == pytest.approx(expected)
    coarse, val = np.load(other / "coarse" / "val-uoi+ce.npy"), read_described(tiny_run, "val")
    soft = np.load(evidence / "judge" / "proposals" / "soft.npy")
    confusions = []
    for image, own in enumerate(coarse):
        of_image = np.flatnonzero(val.table.groups == image)
        scores = proposal_distance(own, soft[of_image], background_weight=0.0)
        confusions.append(val.confusions[of_image[np.argmin(scores)]])
    assert float(rows["Eq. 17 without its background term"]["seed 3"]) == pytest.approx(
        per_cent(Confusion.of(np.stack(confusions)))
    )
    first = per_cent(scored(tiny_run, split, "picked/1-best"))
    assert [float(rows["1-best, no ranking"][f"seed {seed}"]) for seed in (0, 3)] == pytest.approx([first, first])
    claims = read_json(evidence / "ablation-seeds" / "evidence.json")["claims"]
    assert len(claims) == 10 and all(" by seed)" in claim["here"] for claim in claims)
