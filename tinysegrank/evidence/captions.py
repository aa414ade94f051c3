"""What the captions of Figures 3 to 5 say of single images, counted over all of val."""

from __future__ import annotations

from tinysegrank.evidence.images import Images
from tinysegrank.evidence.pieces import AGREES, APART, UNCLEAR, Claim
from tinysegrank.evidence.verdicts import verdict_of_counts, verdict_of_gains


def over_labelled(images: Images) -> tuple[Claim, ...]:
    """Figure 3's caption, counted over val."""
    truth, naive, picked = (100 * images.objects[kind].mean() for kind in ("truth", "naive", "Eq. 17"))
    loss = images.gain("1-best", "Eq. 17")
    wider = images.objects["Eq. 17"] > images.objects["1-best"]
    return (
        Claim(
            "upsampled naively, SegNet's coarse argmax would predict too much object (Figure 3).",
            f"it labels {naive:.1f} per cent of the pixels of val as objects, the truth {truth:.1f}.",
            verdict_of_gains(images.objects["naive"] - images.objects["truth"]),
        ),
        Claim(
            "so it picks a proposal that over-labels the object (Figure 3).",
            f"what Eq. 17 picks is {picked:.1f} per cent object. It is worse than the 1-best in {(loss > 0).sum()} of "
            f"{len(loss)} images; in {(wider & (loss > 0)).sum()} of those it labels more of the image as object.",
            verdict_of_gains(images.objects["Eq. 17"] - images.objects["truth"]),
        ),
    )


def helped_and_hurt(images: Images) -> tuple[Claim, ...]:
    """Figure 4's caption, counted over val."""
    gain = images.gain("SVM", "Eq. 17")
    better, worse = int((gain > 0).sum()), int((gain < 0).sum())
    lead = 100 * images.gain("oracle", "SVM")
    return (
        Claim(
            "the SVM ranker both hurts and helps SegNet (Figure 4).",
            f"against Eq. 17 it picks a better proposal in {better} images of {len(gain)}, a worse one in {worse}; the "
            f"mean gain over all is {100 * gain.mean():+.1f} points of image IoU.",
            AGREES if better and worse else UNCLEAR,
        ),
        Claim(
            "some knowledge of SegNet cannot be expressed, because no proposal holds it (Figure 4, the bike).",
            f"the oracle is {lead.mean():.1f} points of image IoU above the SVM, naive upsampling above the oracle in "
            f"{(images.gain('naive', 'oracle') > 0).sum()} images.",
            APART,
        ),
    )


def smaller_chosen(images: Images) -> tuple[Claim, ...]:
    """Figure 5's caption, counted over val."""
    gain = images.gain("Eq. 17", "1-best")
    smaller = images.objects["Eq. 17"] < images.objects["1-best"]
    right, wrong = int((smaller & (gain > 0)).sum()), int((smaller & (gain < 0)).sum())
    return (
        Claim(
            "SegNet can reason about the size of objects, and chooses the small bird over the larger, inaccurate blob.",
            f"where Eq. 17 chose less object than the 1-best has, it was better in {right} images, worse in {wrong}.",
            verdict_of_counts(right, wrong),
        ),
        Claim(
            "its choice is better than a worse one beside it (Figure 5).",
            f"over all {len(gain)} images Eq. 17 gains {100 * gain.mean():+.1f} points of image IoU over the 1-best: "
            f"better in {(gain > 0).sum()}, the same in {(gain == 0).sum()}, worse in {(gain < 0).sum()}.",
            verdict_of_gains(gain),
        ),
    )
