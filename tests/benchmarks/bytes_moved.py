r"""What a run moves between machines: the size of its tasks and results, stage by stage.

    dask scheduler --host 127.0.0.1 &
    dask worker tcp://127.0.0.1:8786 --nthreads 1 --nworkers 2 &
    python tests/benchmarks/bytes_moved.py VOCdevkit/VOC2012 --weights FILE --limit 16 --out runs/bytes \
        --dask tcp://127.0.0.1:8786

runs the experiment on a Dask cluster, with few training steps and no choice of constants, and pickles every task and
result as they are sent. The last column is all that goes over the loopback meanwhile: tasks and results twice (to the
scheduler, and on), Dask's own talk, and whatever else the machine sends itself; `unshare --net` makes a loopback of
one's own.
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from tinysegrank import parallel
from tinysegrank.cluster import cluster
from tinysegrank.code_digest import surroundings
from tinysegrank.experiment import STAGES, Silent, named_settings, run_experiment
from tinysegrank.experiment.settings import Settings, TrainingSettings
from tinysegrank.files import write_text
from tinysegrank.reporting import Column, Table
from tinysegrank.voc import VOCSegmentation


@dataclass
class Moved:
    """Of one stage."""

    tasks: int = 0
    sent: int = 0
    returned: int = 0
    loopback: int = 0


class Stages(Silent):
    """Knows the stage that is at work, and the bytes that pass the loopback during it."""

    def __init__(self) -> None:
        self.moved: dict[str, Moved] = {}
        self.now = ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.now, self.moved[name] = name, Moved()
        before = loopback()
        yield
        self.moved[name].loopback = loopback() - before
        print(name, self.moved[name], flush=True)


def loopback() -> int:
    return psutil.net_io_counters(pernic=True)["lo"].bytes_sent


def shortened(settings: Settings) -> Settings:
    """Few training steps, and nothing to choose from."""
    training, proposals = settings.training, settings.proposals
    names = ("start", "ce", "uoi", "iou", "uoi_ce")
    short = {name: replace(getattr(training, name), steps=10, batch=16) for name in names}
    crf = replace(proposals.crf, strengths=(40.0,), lambdas=(0.4,))
    schedule = TrainingSettings(training.feature_scale, **short)
    return replace(settings, training=schedule, proposals=replace(proposals, crf=crf))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voc", type=Path)
    parser.add_argument("--dask", required=True)
    parser.add_argument("--weights", default="")
    parser.add_argument("--preset", default="alexnet")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--engine", default="crf")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    settings = shortened(named_settings("quick"))
    settings = replace(
        settings,
        data=replace(settings.data, voc=str(asked.voc), limit=asked.limit),
        trunk=replace(settings.trunk, weights=asked.weights, preset=asked.preset),
        proposals=replace(settings.proposals, engine=asked.engine),
    )
    images = sum(len(VOCSegmentation(asked.voc, which, limit=asked.limit or None)) for which in ("train_aug", "val"))
    stages = Stages()
    with cluster(asked.dask):
        compute = parallel.cluster_map

        def counted(client, function, items):
            moved = stages.moved[stages.now]
            items = list(items)
            moved.tasks += len(items)
            moved.sent += sum(len(pickle.dumps((surroundings(), function, item), protocol=5)) for item in items)
            for result in compute(client, function, items):
                moved.returned += len(pickle.dumps(result, protocol=5))
                yield result

        parallel.cluster_map = counted
        run_experiment(asked.out, settings, jobs=1, progress=stages, until="evaluation")

    columns = ("stage", "tasks", "bytes a task", "bytes a result", "bytes an image", "loopback, bytes an image")
    rows = [
        (
            name,
            moved.tasks,
            moved.sent / max(moved.tasks, 1),
            moved.returned / max(moved.tasks, 1),
            (moved.sent + moved.returned) / images,
            moved.loopback / images,
        )
        for name in (stage.name for stage in STAGES)
        if (moved := stages.moved.get(name)) is not None and moved.tasks
    ]
    rows.append(("all", None, None, None, sum(row[4] for row in rows), sum(row[5] for row in rows)))
    table = Table(
        f"Bytes moved: {images} images, training and val",
        (Column(columns[0]), *(Column(name, ",.0f") for name in columns[1:])),
        tuple(rows),
    )
    write_text(asked.out.with_name(f"{asked.out.name}_bytes.md"), table.to_markdown())
    print(table.to_markdown())


if __name__ == "__main__":
    main()
