"""Everything of one scan on one grid: labels, compartments, maps, and who owns which voxel around."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import ndimage

from BMVascularCore.errors import InputError
from BMVascularCore.phenotype.shapes import crop_around
from BMVascularCore.symmetry import find_plane
from BMVascularCore.volume import Volume, resample

ENHANCING, CORE, OEDEMA, HAEMORRHAGE = 1, 2, 3, 4
#: Images by how well they show the head's symmetry.
_SYMMETRY_ORDER = ("flair", "t1c", "adc", "swi", "rcbv", "cbf", "pet", "vp", "ktrans")


@dataclass
class Scan:
    """One scan on the grid of its lesion labels.

    Attributes
    ----------
    labels : ndarray of int32, shape (k, j, i)
    geometry : Geometry
    compartments : ndarray of uint8 or None
    maps : dict
        Key to float32 array on the same grid; NaN is not covered.
    native : dict
        Key to the map as it was given (Volume), before it was resampled.
    scale : dict
        Key to the factor by which a map's unit was converted.
    owner : ndarray of int32
        Label of the nearest lesion for voxels near lesions and in oedema, 0 elsewhere.
    distance_mm : ndarray of float32
        Distance from that lesion's edge, inf elsewhere, 0 inside.
    plane : Plane or None
        Mid-sagittal plane.
    """

    labels: np.ndarray
    geometry: object
    compartments: np.ndarray | None
    maps: dict
    native: dict = field(default_factory=dict)
    scale: dict = field(default_factory=dict)
    owner: np.ndarray = None
    distance_mm: np.ndarray = None
    plane: object = None

    @cached_property
    def numbers(self):
        """Label values of the lesions."""
        return [number for number, box in enumerate(self._boxes, start=1) if box is not None]

    @cached_property
    def abnormal(self):
        """Voxels of lesions and compartments, boolean array."""
        return (self.labels > 0) | (False if self.compartments is None else self.compartments > 0)

    @cached_property
    def _boxes(self):
        return ndimage.find_objects(self.labels)

    @cached_property
    def _near_boxes(self):
        return ndimage.find_objects(self.owner)

    def lesion(self, number):
        """Box around a lesion and its mask inside the box."""
        box = self._boxes[number - 1]
        return box, self.labels[box] == number

    def near(self, number):
        """Box around everything that a lesion owns (itself, oedema, surroundings), and its mask there."""
        box = self._near_boxes[number - 1]
        return box, self.owner[box] == number

    def enhancing(self, number):
        """Box and mask to measure: the enhancing compartment, or the whole lesion where none is known."""
        box, lesion = self.lesion(number)
        if self.compartments is None:
            return box, lesion
        part = lesion & (self.compartments[box] == ENHANCING)
        return box, (part if part.any() else lesion)

    def native_voxel_ml(self, key):
        """Voxel volume of a map before it was resampled, mL; the label grid's where it is not known."""
        return self.native.get(key, self).geometry.voxel_ml

    def mirrored_values(self, key, box, mask):
        """Finite values of a map at the mirrored places of a mask, without lesions and oedema.

        Parameters
        ----------
        key : str
        box : tuple of slice
        mask : ndarray of bool
            Of the box's shape.

        Returns
        -------
        ndarray, shape (voxels,)
            Each voxel once; empty without a plane or a map.
        """
        if self.plane is None or key not in self.maps:
            return np.zeros(0, np.float32)
        index = np.argwhere(mask) + [part.start for part in box]
        mirrored = self.plane.mirror(self.geometry.points_of(index))
        index = np.rint(self.geometry.index_of(mirrored)).astype(int)
        held = np.all((index >= 0) & (index < self.labels.shape), axis=1)
        flat = np.unique(np.ravel_multi_index(tuple(index[held].T), self.labels.shape))
        values = self.maps[key].ravel()[flat]
        return values[np.isfinite(values) & ~self.abnormal.ravel()[flat]]


def build_scan(labels, maps, compartments, rules, progress):
    """Bring everything onto the grid of the lesion labels.

    Parameters
    ----------
    labels : Volume
        Whole numbers; 0 is background.
    maps : dict of Volume
        On any grid; resampled by physical position.
    compartments : Volume or None
        1 enhancing, 2 core, 3 oedema, 4 haemorrhage.
    rules : dict
    progress : callable

    Returns
    -------
    Scan

    Raises
    ------
    InputError
        No lesions, a map without any overlap with the labels, compartments with other values.
    """
    array = np.asarray(labels.array).astype(np.int32)
    if not (array > 0).any():
        raise InputError("holds no lesions: every voxel is 0", labels.name, "Give labels from 1 upwards.")
    parts = None
    if compartments is not None:
        parts = _compartments(compartments, labels.geometry)
    found = {}
    for number, (key, volume) in enumerate(sorted(maps.items())):
        progress(0.8 * number / len(maps), f"placing {key}")
        found[key] = _usable(key, aligned(volume, labels.geometry), rules)
        if not np.isfinite(found[key]).any():
            raise InputError(
                "does not overlap the lesion image in space", volume.name, "Check that both are of one scan."
            )
    scan = Scan(array, labels.geometry, parts, found)
    scan.native = dict(maps)
    scan.owner, scan.distance_mm = _owners(scan, rules)
    progress(0.9, "mid-sagittal plane")
    scan.plane = _plane(scan, rules)
    return scan


def _compartments(volume, geometry):
    array = np.rint(aligned(volume, geometry, nearest=True))
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > HAEMORRHAGE:
        raise InputError(
            f"holds values from {low:g} to {high:g}",
            volume.name,
            "Wanted are 1 enhancing, 2 core, 3 oedema, 4 haemorrhage, and 0 elsewhere.",
        )
    return array.astype(np.uint8)


def aligned(volume, geometry, nearest=False):
    """Array of an image on another grid, NaN (or 0 for ``nearest``) where it gives nothing.

    Voxels that are not finite stay out instead of spreading: the others are weighted afresh.
    """
    if volume.geometry.matches(geometry):
        return np.asarray(volume.array) if nearest else np.array(volume.array, dtype=np.float32)
    if nearest:
        return resample(volume, geometry, interpolation="nearest").array
    array = np.asarray(volume.array, dtype=np.float32)
    finite = np.isfinite(array)
    if finite.all():
        return resample(Volume(array, volume.geometry), geometry, outside=float("nan")).array
    total = resample(Volume(np.where(finite, array, 0.0).astype(np.float32), volume.geometry), geometry).array
    weight = resample(Volume(finite.astype(np.float32), volume.geometry), geometry).array
    held = weight >= 0.5
    np.divide(total, weight, out=total, where=held)
    total[~held] = np.nan
    return total


def _usable(key, array, rules):
    settings = rules["extraction"]
    array[~np.isfinite(array)] = np.nan
    if key in settings["zero_is_missing"]:
        array[array == 0] = np.nan
    elif key in settings["zero_blocks_are_missing"]:
        # a fit may end at exactly zero in single voxels; whole blocks of zeros lie outside the map
        zeros = array == 0
        array[ndimage.binary_opening(zeros, np.ones((3, 3, 3), bool), border_value=1) & zeros] = np.nan
    return array


def _owners(scan, rules, reach_mm=15.0):
    near = scan.labels > 0
    if scan.compartments is not None:
        near = near | (scan.compartments == OEDEMA)
    box = crop_around(near, reach_mm, scan.geometry.spacing_kji_mm)
    spacing = scan.geometry.spacing_kji_mm
    distance, index = ndimage.distance_transform_edt(
        scan.labels[box] == 0, sampling=spacing, return_indices=True
    )
    owner = np.zeros_like(scan.labels)
    owner[box] = scan.labels[box][tuple(index)]
    everywhere = np.full(scan.labels.shape, np.inf, np.float32)
    # from the edge, which lies half a voxel before the first centre outside
    everywhere[box] = np.maximum(distance - 0.5 * float(np.mean(spacing)) * (distance > 0), 0.0)
    return owner, everywhere


def _plane(scan, rules):
    for key in _SYMMETRY_ORDER:
        if key not in scan.maps:
            continue
        plane = find_plane(scan.maps[key], scan.geometry, scan.abnormal)
        settings = rules["extraction"]
        if plane is not None and (
            plane.symmetry >= settings["min_symmetry"] or plane.overlap >= settings["min_overlap"]
        ):
            return plane
    return None
