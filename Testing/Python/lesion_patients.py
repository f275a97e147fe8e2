"""Simulated patients with many lesions, for the tests and benchmarks of lesion segmentation.

Anatomy and signals are those of the simulated patient; size, number, place, contrast, voxel size,
noise and shading of the lesions vary with the settings. Only the images that segmentation reads are
made, so that a patient takes seconds.
"""

from dataclasses import dataclass, replace

import numpy as np

from BMVascularCore.phantom import cases as case_data
from BMVascularCore.phantom import patient as simulated
from BMVascularCore.phantom import static
from BMVascularCore.phantom.anatomy import Individual, head_fractions
from BMVascularCore.phantom.kinetics import Injection
from BMVascularCore.phantom.model import HeadModel, add_lesions, place_lesions
from BMVascularCore.phantom.shapes import block_mean
from BMVascularCore.phantom.signals import add_rician, coil_shading
from BMVascularCore.phantom.truth import lesion_body
from BMVascularCore.volume import Geometry, Volume

DIAMETERS_MM = (3.0, 3.4, 4.0, 4.6, 5.2, 6.0, 7.0, 8.5, 9.5, 10.5, 12.0, 15.0, 18.0, 24.0)


@dataclass(frozen=True)
class Setting:
    """How a patient is scanned.

    Attributes
    ----------
    name : str
    seed : int
    voxel_mm : float
        Of the fine grid on which the head is made.
    block : tuple of int
        Fine voxels in one image voxel along (k, j, i).
    noise : float
        Standard deviation in image units; white matter has about 500.
    shading : float
        Half the range of the coil's sensitivity over the head.
    contrast : float
        Contrast agent relative to the usual amount.
    diameters_mm : tuple of float or None
        One lesion each; None for the lesions of the simulated patient itself.
    """

    name: str
    seed: int
    voxel_mm: float = 1.0
    block: tuple = (1, 1, 1)
    noise: float = 9.0
    shading: float = 0.22
    contrast: float = 1.0
    diameters_mm: tuple | None = DIAMETERS_MM


SETTINGS = (
    Setting("case list, 1 mm", 1, diameters_mm=None),
    Setting("many, 1 mm", 2),
    Setting("0.8 mm, noisy", 3, voxel_mm=0.8, noise=25.0),
    Setting("shaded by half", 4, shading=0.5),
    Setting("half contrast", 5, contrast=0.5),
    Setting("1 x 1 x 2 mm", 6, block=(2, 1, 1)),
    Setting("0.7 x 0.7 x 1.4 mm", 7, voxel_mm=0.7, block=(2, 1, 1), noise=15.0),
)
THICK = (
    Setting("1 x 1 x 3 mm", 8, block=(3, 1, 1)),
    Setting("1 x 1 x 5 mm", 9, block=(5, 1, 1)),
)


@dataclass
class Patient:
    """Images and truth of one patient.

    Attributes
    ----------
    t1c, t1, flair, swi : Volume
    fractions : dict of int to tuple
        Lesion number to (corner, share of each voxel): lesion without oedema.
    parts : dict of int to dict
        Volume of each part in mL.
    states : dict of int to LesionState
    """

    setting: Setting
    t1c: Volume
    t1: Volume
    flair: Volume
    swi: Volume
    fractions: dict
    parts: dict
    states: dict

    def truth(self, number):
        """Corner, mask (half or more of the voxel, else the fullest voxel) and volume in mL."""
        corner, share = self.fractions[number]
        mask = share >= min(0.5, float(share.max()))
        return corner, mask, float(share.sum()) * self.t1c.geometry.voxel_ml

    def diameter_mm(self, number):
        """Diameter of the ball of the same volume."""
        return float((6000.0 * self.truth(number)[2] / np.pi) ** (1 / 3))


def make_patient(setting, with_companions=True):
    """Build a patient.

    Parameters
    ----------
    setting : Setting
    with_companions : bool
        Also T1, FLAIR and SWI.

    Returns
    -------
    Patient
    """
    rng = np.random.default_rng([setting.seed, 5])
    model, states = _model(setting, rng)
    injection = Injection(30.0, 30.0 + static.T1C_DELAY_S)

    def t1c_value(tissue):
        return static.t1_signal(tissue, setting.contrast * static.late_concentration(injection, tissue))

    images = {"t1c": _image(model, t1c_value, setting, setting.noise, rng, "t1c")}
    images |= dict.fromkeys(("t1", "flair", "swi"))
    if with_companions:
        images["t1"] = _image(model, static.t1_signal, setting, setting.noise, rng, "t1")
        images["flair"] = static.flair(model, rng, max(1, round(3.0 / setting.voxel_mm)))
        images["swi"] = static.swi(model, rng)
    fractions, parts = {}, {}
    for number in model.shapes:
        fractions[number] = _blocks(*lesion_body(model, number), setting.block, images["t1c"].geometry.shape)
        parts[number] = _part_volumes(model, number)
    return Patient(setting, **images, fractions=fractions, parts=parts, states=states)


def _model(setting, rng):
    pose = simulated._pose(rng, setting.seed % 2)
    individual = Individual.of_seed(rng)
    voxel, multiple = setting.voxel_mm, np.lcm.reduce([4, *setting.block])
    extent, centre = simulated._HEAD_EXTENT_MM, simulated._HEAD_CENTRE_MM
    shape = tuple(int(round(n / voxel / multiple) * multiple) for n in extent[::-1])
    middle = np.array(pose.TransformPoint(centre)).round()
    origin = middle - (np.array(shape[::-1]) - 1) * voxel / 2.0
    geometry = Geometry(shape, (voxel,) * 3, tuple(origin.tolist()))
    shares, fields = head_fractions(geometry, pose, individual)
    model = HeadModel(geometry, pose, shares, fields["late"], fields["surface_mm"])
    cases = case_data.FULL if setting.diameters_mm is None else random_cases(setting.diameters_mm, rng)
    centres = place_lesions(cases, model, individual, rng)
    add_lesions(model, cases, centres, 0, setting.seed)
    return model, {n: cases[n - 1].states[0] for n in model.shapes}


def random_cases(diameters_mm, rng):
    """Lesions of these sizes at random places of the brain, solid, ring and bleeding ones."""
    kinds = (
        case_data._SOLID,
        replace(case_data._RING, core=0.6),
        case_data._MIXED,
        case_data._INFILTRATING,
        case_data._BLEEDING,
    )
    cases = []
    for number, diameter in enumerate(diameters_mm):
        kind = kinds[rng.integers(len(kinds))] if diameter > 9.0 else case_data._SMALL
        state = replace(kind, diameter_mm=diameter, oedema_mm=kind.oedema_mm * min(1.0, diameter / 20.0))
        place = rng.uniform((-50, -85, -35), (50, 55, 60))
        cases.append(case_data.LesionCase(f"R{number + 1}", tuple(place), (state, state), "random"))
    return tuple(cases)


def _image(model, value, setting, sigma, rng, name):
    signal = static.compose(model, value)
    geometry, kept = static.coarser(model.geometry, setting.block)
    signal = block_mean(signal[kept], setting.block)
    signal = signal * coil_shading(geometry, setting.shading)
    return Volume(add_rician(np.maximum(signal, 0.0), sigma, rng), geometry, name)


def _blocks(box, share, block, shape):
    """A lesion's share on the image grid."""
    low = [s.start // b for s, b in zip(box, block, strict=True)]
    high = [min(n, -(-s.stop // b)) for s, b, n in zip(box, block, shape, strict=True)]
    wide = np.zeros([(h - a) * b for a, h, b in zip(low, high, block, strict=True)], np.float32)
    place = [slice(s.start - a * b, s.stop - a * b) for s, a, b in zip(box, low, block, strict=True)]
    view = wide[tuple(place)]
    view += share[tuple(slice(0, n) for n in view.shape)]
    return tuple(low), block_mean(wide, block)


def _part_volumes(model, number):
    voxel_ml = model.geometry.voxel_ml
    out = dict.fromkeys(("enhancing", "core", "haemorrhage", "oedema"), 0.0)
    for part in model.parts:
        if part.lesion == number:
            name = "enhancing" if part.name in ("high", "low") else part.name
            out[name] += float(part.share.sum()) * voxel_ml
    return out


def clicks(patient, number, count, seed=0):
    """Random voxels of a lesion (array indices of the image)."""
    corner, mask, _ = patient.truth(number)
    places = np.argwhere(mask)
    rng = np.random.default_rng([seed, patient.setting.seed, number])
    return places[rng.choice(len(places), count, replace=len(places) < count)] + np.asarray(corner)


def overlap(patient, number, lesion):
    """Dice of a found lesion with the truth."""
    corner, mask, _ = patient.truth(number)
    whole = np.zeros(patient.t1c.geometry.shape, dtype=bool)
    whole[tuple(slice(c, c + n) for c, n in zip(corner, mask.shape, strict=True))] = mask
    found = lesion.fraction >= min(0.5, float(lesion.fraction.max()))
    shared = (whole[lesion.window] & found).sum()
    return 2.0 * float(shared) / float(mask.sum() + found.sum())
