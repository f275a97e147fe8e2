"""Habitats, front shell and permeability of each lesion as reference structures: to look at, never to treat.

They carry the type CONTROL and a name that begins with ``zREF``, so that no planning system lists them among
targets or organs. The front is the shell around the lesion; its barrier-preserved part is the habitat of
preserved barrier and high blood volume that lies in it.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.phenotype.habitats import HABITATS
from BMVascularCore.phenotype.rules import load_table
from BMVascularCore.phenotype.shapes import signed_distance_mm
from BMVascularCore.planning.dvh import compute_dvh
from BMVascularCore.planning.field import box_around, crop_geometry
from BMVascularCore.planning.roi_names import REFERENCE_PREFIX, colour_of
from BMVascularCore.planning.rules import roi_rules
from BMVascularCore.planning.sampling import sample_cubes
from BMVascularCore.planning.structures import Structure
from BMVascularCore.volume import Volume, require_same_grid, resample

COLUMNS = (
    "lesion", "region", "structure", "volume_ml", "d98_gy", "d50_gy", "dmean_gy", "d2_gy", "dmin_gy",
    "prescription_gy", "at_prescription_percent", "note",
)  # fmt: skip
#: Region to the short name in a structure set; 16 characters with prefix and number at most.
SHORT = {
    "leaky_high_volume": "LeakHiBV",
    "preserved_high_volume": "PresHiBV",
    "leaky_low_volume": "LeakLoBV",
    "low_perfusion": "LowPerf",
    "front": "Front",
    "preserved_front": "PresFrnt",
    "leaky": "HiKtrans",
}
_LEAST_VOXELS = 8


@dataclass
class ReferenceRegions:
    """Regions of all lesions.

    Attributes
    ----------
    regions : list of ReferenceRegion
    notes : list of str
        What was left out, and why.
    """

    regions: list
    notes: list = field(default_factory=list)

    def structures(self):
        """As structures of type CONTROL, in order."""
        return [region.structure for region in self.regions]


@dataclass
class ReferenceRegion:
    """One region of one lesion.

    Attributes
    ----------
    lesion : str
    number : int
        Label value of the lesion.
    region : str
        Key of :data:`SHORT`.
    title : str
        In words.
    structure : Structure
        Mask on the grid of the habitats, cut out around it.
    """

    lesion: str
    number: int
    region: str
    title: str
    structure: Structure


def reference_regions(lesions, names, habitats=None, ktrans=None):
    """Habitats, front and permeable part of every lesion.

    Parameters
    ----------
    lesions : Volume
        Label image.
    names : dict
        Label value to lesion name.
    habitats : Volume, optional
        Label values in the order of ``HABITATS`` from 1, inside the lesions and in the front around them.
    ktrans : Volume, optional
        1/min, on any grid in the same space; taken to the grid of the lesions.

    Returns
    -------
    ReferenceRegions

    Raises
    ------
    InputError
        Habitats on another grid, or with values that are no habitat.
    """
    settings = load_table().rules["habitats"]
    _require_habitats(habitats, lesions)
    leaky = None if ktrans is None else _leaky(ktrans, lesions.geometry, settings)
    found = ReferenceRegions([])
    numbers = [int(v) for v in np.unique(lesions.array) if v > 0]
    for number in numbers:
        name = names.get(number) or f"lesion_{number:02d}"
        for key, title, box, mask in _of_lesion(lesions, number, habitats, leaky, settings):
            _keep(found, name, number, key, title, Volume(mask, _box_geometry(lesions.geometry, box), name))
    return found


def _require_habitats(habitats, lesions):
    if habitats is None:
        return
    require_same_grid(habitats.geometry, lesions.geometry, habitats.name, lesions.name)
    largest = int(habitats.array.max()) if habitats.array.size else 0
    if largest > len(HABITATS) or habitats.array.min() < 0:
        raise InputError(
            f"holds the value {largest}, habitats are 1 to {len(HABITATS)}",
            habitats.name,
            "Give the habitats that the phenotype command wrote.",
        )


def _leaky(ktrans, geometry, settings):
    """Voxels at or above the permeability limit that also divides the habitats."""
    values = resample(ktrans.like(np.nan_to_num(ktrans.array).astype(np.float32)), geometry).array
    return values >= settings["ktrans_split_per_min"]


def _of_lesion(lesions, number, habitats, leaky, settings):
    """Key, title, box and mask of every region of one lesion."""
    spacing = np.asarray(lesions.geometry.spacing_kji_mm)
    # twice the front: a neighbour that far away still takes its share of it
    pad = np.ceil((2.0 * settings["front_mm"] + 1.0) / spacing).astype(int)
    start, shape = box_around(lesions.array == number)
    box = tuple(
        slice(max(a - p, 0), min(a + n + p, size))
        for a, n, p, size in zip(start, shape, pad, lesions.array.shape, strict=True)
    )
    labels = lesions.array[box]
    own = labels == number
    front = _front(labels, number, spacing, settings["front_mm"])
    limit = settings["ktrans_split_per_min"]
    if habitats is not None:
        values = habitats.array[box] * (own | front)
        for value, key in enumerate(HABITATS, start=1):
            yield key, settings["names"][key], box, own & (values == value)
        front &= values > 0
        yield "front", f"front, the {settings['front_mm']:g} mm around the lesion", box, front
        preserved = front & (values == 1 + HABITATS.index("preserved_high_volume"))
        yield "preserved_front", "barrier-preserved part of the front", box, preserved
    else:
        yield "front", f"front, the {settings['front_mm']:g} mm around the lesion", box, front
    if leaky is not None:
        yield "leaky", f"Ktrans of {limit:g}/min or more in the lesion", box, own & leaky[box]


def _front(labels, number, spacing, reach_mm):
    """The shell around a lesion, outside all lesions and nearer to this one than to any other."""
    distance = signed_distance_mm(labels == number, spacing)
    others = (labels > 0) & (labels != number)
    front = (labels == 0) & (distance > 0) & (distance <= reach_mm)
    if others.any():
        front &= distance <= signed_distance_mm(others, spacing)
    return front


def _box_geometry(geometry, box):
    start = [part.start for part in box]
    return crop_geometry(geometry, start, [part.stop - part.start for part in box])


def _keep(found, lesion, number, key, title, mask):
    count = int(mask.array.sum())
    if count == 0:
        return
    if count < _LEAST_VOXELS:
        found.notes.append(f"{lesion}: {title}: below {_LEAST_VOXELS} voxels, left out")
        return
    short = f"{REFERENCE_PREFIX}_{number:02d}_{SHORT[key]}"
    colour = colour_of("CONTROL", list(SHORT).index(key))
    note = roi_rules()["reference_note"]
    structure = Structure(short, "CONTROL", [], mask, colour, [], f"{note}: {lesion}, {title}")
    found.regions.append(ReferenceRegion(lesion, number, key, title, structure))


def regions_in_plan(found, transform):
    """Regions where the plan sees them.

    Parameters
    ----------
    found : ReferenceRegions
        In the space of their own images.
    transform : SimpleITK.Transform or None
        Rigid; maps planning points to points of the images.

    Returns
    -------
    ReferenceRegions
        Nothing is resampled: the grids of the masks are moved.
    """
    if transform is None:
        return found
    back = transform.GetInverse()
    moved = []
    for region in found.regions:
        mask = region.structure.mask
        there = Volume(mask.array, mask.geometry.moved(back), mask.name)
        moved.append(replace(region, structure=replace(region.structure, mask=there)))
    return ReferenceRegions(moved, found.notes)


def _prescribed(region, prescription):
    """Prescription of a lesion in Gy: by its name, or by the name of its GTV or PTV; None where there is none."""
    if not isinstance(prescription, dict):
        return prescription
    keys = (region.lesion, *(f"{kind}_{region.number:02d}" for kind in ("GTV", "PTV", "CTV")))
    return next((prescription[key] for key in keys if key in prescription), None)


def reference_dose_rows(found, dose_field, prescription=None):
    """Dose that every reference region receives.

    Parameters
    ----------
    found : ReferenceRegions
        Masks in the space of the dose.
    dose_field : DoseField
    prescription : float or dict, optional
        Gy, or lesion or structure name (``GTV_01``) to Gy.

    Returns
    -------
    list of dict
        Columns of :data:`COLUMNS`; without dose values where the dose grid does not hold the region.
    """
    rows = []
    for region in found.regions:
        mask = region.structure.mask
        dvh = compute_dvh(region.structure.name, sample_cubes(mask.array, mask.geometry), dose_field)
        row = dict.fromkeys(COLUMNS) | {
            "lesion": region.lesion,
            "region": region.title,
            "structure": region.structure.name,
            "volume_ml": dvh.total_mm3 / 1000.0,
            "note": dvh.reason,
        }
        if dvh.measurable:
            row |= {f"d{n}_gy": dvh.dose_at_share(n / 100.0) for n in (98, 50, 2)}
            row |= {"dmean_gy": dvh.mean_gy, "dmin_gy": dvh.minimum_gy}
            given = _prescribed(region, prescription)
            if given:
                row["prescription_gy"] = given
                row["at_prescription_percent"] = 100.0 * dvh.volume_at_ml(given) * 1000.0 / dvh.total_mm3
        rows.append(row)
    return rows
