"""What module 1 costs an image, on one core, after fitting: each step's time, and the peak of memory.

    python tests/benchmarks/module_one.py runs/voc

takes a run whose stages "segments" and "proposing" are done, and proposes for some of its val images as the run itself
does for photographs. Seconds are those that the processor spent, so that other programs matter little; each step's
are without those of the steps called from it.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np

from tinysegrank.experiment import Silent
from tinysegrank.experiment.images import open_split
from tinysegrank.experiment.photograph import Photograph
from tinysegrank.experiment.proposers import proposers_of
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.parallel import one_blas_thread
from tinysegrank.reporting import Column, Table

CPMC, FILTERS, SECOND_ORDER, PIPELINE, PHOTOGRAPH = (
    f"tinysegrank.{name}"
    for name in (
        "proposals.o2p.cpmc.pipeline",
        "proposals.o2p.cpmc.filters",
        "proposals.o2p.second_order",
        "experiment.proposers.crf",
        "experiment.photograph",
    )
)
OF_MAPS = [f"{PHOTOGRAPH}:map_features", "tinysegrank.segnet:TrunkMaps.__call__"]
STEPS = {
    "paste": {
        "CPMC: edges, superpixels": [f"{CPMC}:{f}" for f in ("edge_map", "oversegment", "find_boundaries")],
        "CPMC: seeds, gains": [
            f"{CPMC}:{f}" for f in ("grid_seeds", "frame_hypotheses", "uniform_gains", "colour_gains")
        ],
        "CPMC: cuts": [f"{CPMC}:parametric_cuts"],
        "CPMC: parts, filters": [
            *(f"{FILTERS}:{f}" for f in ("cut_ratios", "low_cut_ratios", "drop_duplicates", "best_of_clusters")),
            *(f"{CPMC}:{f}" for f in ("connected_parts", "segment_overlaps", "candidates")),
        ],
        "CPMC: features, ranking": [
            *(f"{CPMC}:{f}" for f in ("segment_features", "SegmentRanker.predict")),
            f"{FILTERS}:diverse_order",
        ],
        "maps of the trunk": [f"{PHOTOGRAPH}:superpixels_of", *OF_MAPS],
        "describing: by maps": ["tinysegrank.experiment.stages.pooled:describe_by_maps"],
        "describing: SIFT": [f"{SECOND_ORDER}.local:dense_sift"],
        "describing: binary patterns": [f"{SECOND_ORDER}.local:dense_lbp"],
        "describing: colours, layout": [f"{SECOND_ORDER}.describe:local_descriptors"],
        "describing: reduction": [f"{SECOND_ORDER}.describe:DescriptorReduction.apply"],
        "describing: sums over superpixels": [f"{SECOND_ORDER}.pooling:superpixel_sums"],
        "describing: means of segments": [
            "tinysegrank.experiment.stages.segments:describe_segments",
            f"{SECOND_ORDER}.pooling:placed_averages",
        ],
        "logarithms": [f"{SECOND_ORDER}.pooling:log_matrices"],
        "triangles, lengths, powers": [f"{SECOND_ORDER}.pooling:{f}" for f in ("upper_triangles", "normalise_blocks")],
        "projection": [f"{SECOND_ORDER}:Projection.apply"],
        "scores": ["tinysegrank.proposals:SegmentScorer.scores"],
        "pasting, DivMBest": ["tinysegrank.experiment.proposers.divmbest:divmbest"],
    },
    "crf": {
        "superpixels": [f"{PHOTOGRAPH}:superpixels_of", f"{PIPELINE}:region_graph"],
        "maps of the trunk": OF_MAPS,
        "features": [f"{PIPELINE}:classifier_inputs"],
        "unaries": ["tinysegrank.proposals:SuperpixelClassifier.log_probabilities"],
        "expansion": ["tinysegrank.proposals.crf.crf:expansion"],
        "penalties, painting": ["tinysegrank.experiment.proposers.divmbest:divmbest"],
    },
}


class Clock:
    """Seconds of each step of the image at hand, without those of the steps inside it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._running: list[str] = []
        self._since = 0.0

    def _turn(self) -> None:
        now = time.process_time()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now

    def call(self, step: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        self._turn()
        self._running.append(step)
        try:
            return function(*arguments, **options)
        finally:
            self._turn()
            self._running.pop()

    def watch(self, step: str, place: str) -> None:
        """Have a function of a module, or a method of a class there, timed from now on."""
        module, _, name = place.partition(":")
        *inside, last = name.split(".")
        owner = resolve_name(":".join([module, *inside]))
        function = getattr(owner, last)

        def timed(*arguments: Any, **options: Any) -> Any:
            return self.call(step, function, *arguments, **options)

        setattr(owner, last, timed)


def measure(clock: Clock, propose: Callable[[Photograph], Any], images: list[Photograph]) -> list[dict[str, float]]:
    """Seconds of each step, an entry an image; the first image is worked on twice, as numba compiles at first."""
    answers = []
    for image in [images[0], *images]:
        clock.seconds.clear()
        one_blas_thread(clock.call, "the rest", propose, Photograph(image.run, image.image))
        answers.append(dict(clock.seconds))
    return answers[1:]


def table(title: str, answers: list[dict[str, float]], note: str) -> Table:
    totals = np.array([sum(answer.values()) for answer in answers])
    steps = dict.fromkeys(step for answer in answers for step in answer)
    rows: list[tuple[str, float, float, float]] = []
    for step in sorted(steps, key=lambda step: -sum(answer.get(step, 0.0) for answer in answers)):
        of_step = np.array([answer.get(step, 0.0) for answer in answers])
        rows.append((step, float(np.median(of_step)) * 1e3, 100 * of_step.sum() / totals.sum(), of_step.max() * 1e3))
    rows.append(("all", float(np.median(totals)) * 1e3, 100.0, totals.max() * 1e3))
    columns = Column("step"), Column("ms, median"), Column("share, %"), Column("ms, slowest image")
    return Table(title, columns, tuple(rows), note)


def memory() -> str:
    return f"peak of memory so far {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--images", type=int, default=20, help="val images, evenly spread")
    asked = parser.parse_args()
    run = read_run(asked.run, jobs=1, progress=Silent())
    split = open_split(run.settings, "val")
    chosen = np.unique(np.linspace(0, len(split) - 1, min(asked.images, len(split))).astype(int))
    images = [Photograph(run, split.image(int(i))) for i in chosen]
    print(f"{len(images)} images; {memory()}\n")

    clock, everything = Clock(), []
    for proposer in proposers_of(run.settings):
        propose = partial(proposer.propose, fold=-1)
        for step, places in STEPS[proposer.name].items():
            for place in places:
                clock.watch(step, place)
        everything.append(measure(clock, propose, images))
        print(table(proposer.name, everything[-1], memory()).to_markdown(), flush=True)
    total = sum(np.array([sum(answer.values()) for answer in answers]) for answers in everything)
    print(f"module 1: median {np.median(total):.2f} s an image, slowest {np.max(total):.2f} s\n")


if __name__ == "__main__":
    main()
