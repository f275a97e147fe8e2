"""Lesions: from clicks or foreign segmentations to compartments, measures and tracks."""

from BMVascularCore.lesions.candidates import Candidate, find_candidates
from BMVascularCore.lesions.foreign import lesions_from_labels, read_segmentation
from BMVascularCore.lesions.measure import COLUMNS, measure_lesions
from BMVascularCore.lesions.model import COMPARTMENT_NAMES, Lesion, Seed, Segmentation
from BMVascularCore.lesions.prepare import Prepared, prepare
from BMVascularCore.lesions.segment import assemble, segment_lesions, segment_one
from BMVascularCore.lesions.track import Match, match_lesions

__all__ = [
    "COLUMNS",
    "COMPARTMENT_NAMES",
    "Candidate",
    "Lesion",
    "Match",
    "Prepared",
    "Seed",
    "Segmentation",
    "assemble",
    "find_candidates",
    "lesions_from_labels",
    "match_lesions",
    "measure_lesions",
    "prepare",
    "read_segmentation",
    "segment_lesions",
    "segment_one",
]
