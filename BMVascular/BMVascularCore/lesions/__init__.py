"""Lesions: from clicks or foreign segmentations to compartments, measures and tracks."""

from BMVascularCore.lesions.measure import COLUMNS, measure_lesions
from BMVascularCore.lesions.model import COMPARTMENT_NAMES, Lesion, Seed, Segmentation
from BMVascularCore.lesions.prepare import Prepared, prepare
from BMVascularCore.lesions.segment import assemble, segment_lesions, segment_one

__all__ = [
    "COLUMNS",
    "COMPARTMENT_NAMES",
    "Lesion",
    "Prepared",
    "Seed",
    "Segmentation",
    "assemble",
    "measure_lesions",
    "prepare",
    "segment_lesions",
    "segment_one",
]
