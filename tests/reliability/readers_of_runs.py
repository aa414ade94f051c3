"""The readers of what a run writes: fitted models, trainings, and the records of its stages."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.reliability.mutations import in_json, in_lines, in_safetensors, noise, some_of
from tests.reliability.mutations_binary import in_npy, in_png, in_zip
from tests.reliability.readers import Example, Reader, whole
from tests.segnet.segnet_toys import OPTIONS, THIN, thin_model, toy_store
from tinysegrank.evidence.piece import RECORD, read_seeds, read_written
from tinysegrank.experiment import Silent, artifacts
from tinysegrank.experiment.images import names
from tinysegrank.experiment.proposers.crf import CrfProposer
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.stages import described, features, maps, picked, pooled, segments, superpixels, training
from tinysegrank.files import read_array, write_array, write_arrays, write_compressed
from tinysegrank.fitted import Fitted
from tinysegrank.proposals import Proposal, ProposalStore, SegmentScorer, SuperpixelClassifier
from tinysegrank.proposals.divmbest import PastedSegments
from tinysegrank.proposals.o2p.cpmc.description import SEGMENT_FEATURES
from tinysegrank.proposals.o2p.cpmc.ranker import SegmentRanker
from tinysegrank.proposals.o2p.second_order.maps import MapReduction
from tinysegrank.proposals.o2p.second_order.reduction import DescriptorReduction, Projection
from tinysegrank.ranking import FeatureTable, ImageClassifier, Ranker
from tinysegrank.segnet import PRESETS, load_segnet, save_segnet, train
from tinysegrank.stamps import STAMP, File, Key, Stamp

# Fitted models and trainings ------------------------------------------------------------------------------------------


def readers_of_runs(folder: Path, rng: np.random.Generator) -> dict[str, Reader]:
    """Make examples of what a run writes, and return the readers by name."""
    return {**_of_models(folder / "models", rng), **_of_a_run(folder / "run", rng)}


def _of_models(folder: Path, rng: np.random.Generator) -> dict[str, Reader]:
    folder.mkdir(parents=True)
    rows = rng.standard_normal((60, 6)).astype(np.float32)
    shares = rng.uniform(0, 1, (60, 3))
    cells = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 60)]
    segments_seen = rng.uniform(size=(20, len(SEGMENT_FEATURES)))
    fitted: list[Fitted] = [
        ImageClassifier.fit(rows, shares),
        Ranker(("a",), ("x", "y"), np.zeros(2), np.ones(2), np.ones(2)),
        SegmentScorer().fit(rows, shares.astype(np.float32)),
        SegmentRanker(waves=7).fit(segments_seen, rng.uniform(size=20), rng=rng),
        SuperpixelClassifier(hidden=4, epochs=1).fit(rows, cells, np.ones(60), rng=rng),
        MapReduction(np.zeros(4, np.float32), np.eye(4, 2, dtype=np.float32)),
        Projection(np.eye(5, 2, dtype=np.float32)),
        DescriptorReduction(np.eye(128, 2, dtype=np.float32), np.eye(58, 2, dtype=np.float32)),
    ]
    uses = {
        ImageClassifier: lambda m: m.scores(rows),
        SegmentScorer: lambda m: m.scores(rows),
        SegmentRanker: lambda m: m.predict(segments_seen),
        SuperpixelClassifier: lambda m: m.log_probabilities(rows),
        Projection: lambda m: m.apply(rows[:, :5]),
    }
    examples = []
    for model in fitted:
        model.save(folder / type(model).__name__)
        examples.append(whole(folder / type(model).__name__, _loaded(type(model), uses.get(type(model)))))
    PRESETS.update(THIN)
    save_segnet(folder / "segnet", thin_model())
    store = toy_store(folder / "store")
    options = replace(OPTIONS, steps=3, counts="running")
    train(thin_model(), store, np.arange(9), options, seed=1, checkpoint=folder / "checkpoint")
    longer = replace(options, steps=3)

    def resume(path: Path) -> None:
        train(thin_model(), store, np.arange(9), longer, seed=1, checkpoint=path)

    chunks = [whole(file, lambda path: toy_read(path.parent)) for file in store.files(0)]

    def toy_read(place: Path) -> None:
        held = replace_folder(store, place)
        for kind in held.kinds:
            held.gather(kind, np.arange(6))

    return {
        "fitted model": Reader(examples, some_of(noise, in_safetensors, in_safetensors)),
        "network": Reader([whole(folder / "segnet", load_segnet)], some_of(noise, in_safetensors, in_safetensors)),
        "checkpoint": Reader([whole(folder / "checkpoint", resume)], some_of(noise, in_safetensors, in_safetensors)),
        "feature chunk": Reader(chunks, some_of(noise, in_npy)),
    }


def replace_folder(store: Any, place: Path) -> Any:
    """Return a store like another one, in another folder."""
    return type(store)(place, images=store.images, mirrors=store.mirrors, chunk=store.chunk, targets=store.targets)


def _loaded(kind: type[Fitted], use: Callable[[Any], object] | None) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        model = kind.load(path)
        if use is not None:
            use(model)

    return read


# The files of a run ---------------------------------------------------------------------------------------------------


def _of_a_run(folder: Path, rng: np.random.Generator) -> dict[str, Reader]:
    run = Run(folder, Settings(), 1, Silent())
    table = FeatureTable.of_image("one", {"b": (("x", "y"), np.ones((3, 2)))}, np.ones(3))
    table.save(folder / "table")
    store = ProposalStore(folder / "store")
    pasted = PastedSegments(np.array([3]), np.array([0.5]), np.array([9]))
    store.write("one", [Proposal(rng.integers(0, 21, (9, 8)).astype(np.uint8), 0.5 - k, pasted) for k in range(2)])
    of_store = sorted((folder / "store" / "one").iterdir())
    stamp = Stamp(Key("a" * 64, "b" * 64), True, 1.5, {"x/y.npy": File(3, 4, "c" * 64)})
    write_array(folder / "coarse.npy", np.ones((4, 13, 13, 2), np.float32))
    write_compressed(
        folder / "one.npz",
        superpixels=np.arange(72, dtype=np.uint16).reshape(9, 8) % 9,
        members=np.packbits(np.eye(2, 9, dtype=bool), axis=1),
        scores=np.ones(2),
        features=np.ones((2, 4)),
        targets=np.ones((2, 3)),
    )
    write_arrays(
        folder / "one.safetensors", {"superpixels": np.ones((9, 4)), "image": np.ones(4), "features": np.ones(4)}
    )
    evidence: dict[str, Any] = {
        "name": "a",
        "title": "b",
        "claims": [{"paper": "p", "here": "h", "verdict": "agrees"}],
        "notes": ["n"],
        "table": {"title": "t", "columns": [["x", "d"]], "rows": [[1], [2]], "note": ""},
    }

    def as_json(name: str, value: Any, read: Callable[[Path], object]) -> Example:
        return Example(json.dumps(value).encode(), name, read)

    def of_run(read: Callable[[Run], object]) -> Callable[[Path], object]:
        return lambda path: read(replace(run, path=path.parents[1]))

    def of_image(read: Callable[[Any], object]) -> Callable[[Path], object]:
        return lambda path: read(SimpleNamespace(run=run, file=lambda *_: path))

    records = [
        as_json("data/train.json", {"names": ["a", "b"], "fingerprint": "c"}, of_run(lambda r: names(r, "train"))),
        as_json("described/columns.json", [["b", ["x", "y"]]], of_run(described.read_columns)),
        as_json("features/scale.json", {"feature_scale": 0.5}, of_run(features.read_scale)),
        as_json(
            "picked/picks.json",
            {"images": ["one"], "picks": {"svm": [2]}},
            of_run(lambda r: picked.picked_rows(r, table, "svm")),
        ),
        as_json("picked/oracle_curve.json", {"mean_image_iou": [0.5]}, of_run(picked.read_oracle_curve)),
        as_json(
            "proposing/crf/chosen.json",
            {"options": {"strength": 1, "lam": 0.2, "count": 3, "balance": 0.5}, "tried": []},
            lambda path: CrfProposer().chosen(replace(run, path=path.parents[2])),
        ),
    ]
    zipped = Example((folder / "one.npz").read_bytes(), "one.npz", of_image(_read_npz))
    tensors = Example((folder / "one.safetensors").read_bytes(), "one.safetensors", of_image(_read_safetensors))
    log = Example(
        b"step,loss\n20,0.5\n40,0.25\n",
        "training/all-ce/log.csv",
        lambda path: training.read_log(replace(run, path=path.parents[2]), training.Training(-1, "ce")),
    )
    stamped = json.dumps(stamp.to_json()).encode()
    return {
        "feature table": Reader(
            [whole(folder / "table", lambda p: FeatureTable.load(p, table.columns))],
            some_of(noise, in_safetensors, in_safetensors),
        ),
        "proposal store": Reader(
            [Example(path.read_bytes(), f"one/{path.name}", _read_store) for path in of_store],
            lambda content, draw: (in_png if content[:1] == b"\x89" else some_of(in_json, noise))(content, draw),
        ),
        "stamp": Reader(
            [Example(stamped, STAMP, lambda p: artifacts.inspect(p.parent, stamp.key))],
            some_of(noise, in_json),
        ),
        "evidence": Reader(
            [
                as_json(RECORD, evidence, lambda p: read_written(p.parent)),
                as_json("seeds.json", [0, 1], lambda p: read_seeds(p.parent)),
            ],
            some_of(noise, in_json, in_json),
        ),
        "record": Reader(records, some_of(noise, in_json, in_json)),
        "array": Reader(
            [Example((folder / "coarse.npy").read_bytes(), "coarse.npy", _read_npy)], some_of(noise, in_npy)
        ),
        "arrays of an image": Reader([zipped], some_of(noise, in_zip(some_of(in_npy, noise)))),
        "tensors of an image": Reader([tensors], some_of(noise, in_safetensors)),
        "log": Reader([log], some_of(noise, in_lines)),
    }


def _read_store(path: Path) -> None:
    store = ProposalStore(path.parents[1])
    store.read("one")
    store.read_segments("one")


def _read_npy(path: Path) -> None:
    read_array(path)
    read_array(path, mapped=True)


def _read_npz(image: Any) -> None:
    superpixels.read_superpixels(image)
    segments.read_segments(image)
    segments.read_rows(image)


def _read_safetensors(image: Any) -> None:
    maps.read_maps(image)
    pooled.read_pooled(image)
