"""The simulated patient: two time points with images, context and truth, from one seed."""

import hashlib
from dataclasses import dataclass, field, replace

import numpy as np
import SimpleITK as sitk

from BMVascularCore.errors import InputError
from BMVascularCore.phantom import cases as case_data
from BMVascularCore.phantom import static
from BMVascularCore.phantom.anatomy import Individual, anatomy_source, head_fractions
from BMVascularCore.phantom.ct import ct_transform, planning_ct
from BMVascularCore.phantom.dose import TargetDose, dose_volume
from BMVascularCore.phantom.dynamic import (
    DCE,
    DSC,
    DynamicProtocol,
    coarse_shares,
    dynamic_series,
    variable_flip_scans,
)
from BMVascularCore.phantom.kinetics import Injection
from BMVascularCore.phantom.model import HeadModel, add_lesions, place_lesions
from BMVascularCore.phantom.truth import Truth, lesion_row, perfusion_truth, truth_volumes
from BMVascularCore.progress import share_of, silent
from BMVascularCore.volume import Geometry, ras_lps


@dataclass(frozen=True)
class Size:
    """Grids and protocols of one size of the simulated patient."""

    cases: tuple
    voxel_mm: float
    perfusion_spacing_mm: tuple
    perfusion_shape: tuple
    dsc: DynamicProtocol
    dce: DynamicProtocol
    ct_spacing_mm: tuple
    dose_spacing_mm: float
    slice_voxels: int


SIZES = {
    "full": Size(case_data.FULL, 1.0, (2.0, 2.0, 4.0), (28, 112, 96), DSC, DCE, (0.7, 0.7, 1.0), 1.0, 3),
    "small": Size(
        case_data.SMALL,
        2.0,
        (3.5, 3.5, 5.0),
        (22, 64, 54),
        DynamicProtocol(60, 1.5, 1.5, 0.030, 30.0, 24.0, 25.0),
        DynamicProtocol(36, 7.0, 0.005, 0.0015, 15.0, 30.0, 3.0),
        (2.0, 2.0, 2.0),
        2.0,
        2,
    ),
}
_HEAD_EXTENT_MM = (184.0, 236.0, 200.0)
_HEAD_CENTRE_MM = (0.0, 10.0, -8.0)


@dataclass
class TimePoint:
    """One visit.

    Attributes
    ----------
    label : str
    volumes : dict of str to Volume
        T1, T1c, FLAIR, SWI, ADC, PET, VFA_2 ...; CT at the first time point.
    series : dict of str to Series
        DSC, DCE.
    truth : Truth
    seeds : list of dict
        ``name`` and ``ras`` (mm, T1c space of this time point).
    context : dict
        Clinical context.
    days : int
        Days since the first time point.
    """

    label: str
    volumes: dict
    series: dict
    truth: Truth
    seeds: list
    context: dict
    days: int
    study_instance_uid: str


@dataclass
class SimulatedPatient:
    """Everything about one simulated patient.

    Attributes
    ----------
    seed : int
    size : str
    timepoints : list of TimePoint
    rtdose : Volume
        Gy, in CT coordinates.
    structures : dict of str to TargetDose
        Targets of the plan, in CT coordinates, with closed-form dose.
    prescription_gy : float
    cases : tuple of LesionCase
    anatomy : str
        Where the brain's shape comes from.
    """

    seed: int
    size: str
    timepoints: list
    rtdose: object
    structures: dict
    prescription_gy: float
    cases: tuple = field(default=())
    anatomy: str = ""

    @property
    def seeds(self):
        """Seeds of each time point."""
        return [timepoint.seeds for timepoint in self.timepoints]

    @property
    def context(self):
        """Clinical context of each time point."""
        return [timepoint.context for timepoint in self.timepoints]


def uid_of(seed, *words):
    """A DICOM UID that depends only on the seed and the words."""
    text = "BMVascular simulated patient/" + "/".join(str(word) for word in (seed, *words))
    return f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], 'big')}"


def build_patient(seed=1, size="full", progress=None, dsc_flip_deg=30.0):
    """Build the simulated patient.

    Parameters
    ----------
    seed : int
        Individual anatomy, lesion shapes, positions and noise follow from it.
    size : {"full", "small"}
        "small" has coarser grids, fewer frames and fewer lesions.
    progress : callable, optional
    dsc_flip_deg : float
        Flip angle of the DSC. 30 keeps T1 leakage small; 60 without preload shows it.

    Returns
    -------
    SimulatedPatient

    Raises
    ------
    InputError
        Unknown size or seed that is no whole number.
    """
    if size not in SIZES:
        raise InputError(f"size {size!r} is unknown", "simulated patient", "Use full or small.")
    if int(seed) != seed or seed < 0:
        raise InputError(
            f"seed {seed!r} is not a whole number of 0 or more", "simulated patient", "Give 1, 2, ..."
        )
    builder = _Builder(int(seed), size, progress or silent, float(dsc_flip_deg))
    timepoints = [builder.timepoint(index) for index in range(2)]
    builder.progress(1.0, "simulated patient is complete")
    return SimulatedPatient(
        builder.seed,
        size,
        timepoints,
        builder.rtdose,
        builder.targets,
        case_data.PRESCRIPTION_GY,
        builder.size.cases,
        anatomy_source(),
    )


class _Builder:
    """Builds one time point after the other; keeps what both share."""

    def __init__(self, seed, size, progress, dsc_flip_deg):
        self.seed = seed
        self.size = replace(SIZES[size], dsc=replace(SIZES[size].dsc, flip_deg=dsc_flip_deg))
        self.progress = progress
        self.individual = Individual.of_seed(self.rng("individual"))
        self.centres = None
        self.targets, self.rtdose = {}, None
        self.poses = [_pose(self.rng("pose", index), index) for index in range(2)]

    def rng(self, *words):
        """Random generator of one purpose, independent of the order of work."""
        digest = hashlib.sha256("/".join(str(word) for word in (self.seed, *words)).encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:8], "big"))

    def timepoint(self, index):
        """Images and truth of one time point."""
        report = share_of(self.progress, index / 2, (index + 1) / 2)
        label = f"TP{index + 1}"
        report(0.0, f"{label}: anatomy")
        model = self._model(index)
        volumes = self._static(model, index, report)
        volumes_truth = truth_volumes(model)
        transforms = {"t1c_to_perfusion": _small_motion(self.rng("perfusion", index))}
        grid = self._perfusion_grid(model, transforms["t1c_to_perfusion"])
        report(0.45, f"{label}: perfusion")
        shares = coarse_shares(model, grid, transforms["t1c_to_perfusion"].GetInverse())
        series = self._dynamic(shares, index, volumes, report)
        volumes_truth.update(perfusion_truth(shares))
        rows = [
            lesion_row(
                model,
                number,
                case,
                volumes_truth,
                lambda p: grid.contains(transforms["t1c_to_perfusion"].TransformPoint(p.tolist())),
            )
            for number, case in enumerate(self.size.cases, start=1)
        ]
        if index == 0:
            report(0.85, "TP1: planning CT and dose")
            transforms["ct_to_t1c"] = self._planning(model, volumes, rows)
        else:
            transforms["tp1_to_tp2"] = _chain(self.poses[0].GetInverse(), self.poses[1])
        self._label(index, volumes, series)
        return self._assemble(index, label, volumes, series, Truth(volumes_truth, rows, transforms))

    def _assemble(self, index, label, volumes, series, truth):
        seeds = [
            {"name": row["name"], "ras": [round(float(v), 2) for v in row["seed_ras_mm"]]}
            for row in truth.lesions
            if row["present"]
        ]
        context = case_data.context_of(self.size.cases, index, self.size.dsc.flip_deg)
        study_uid = uid_of(self.seed, "study", index)
        return TimePoint(label, volumes, series, truth, seeds, context, case_data.DAYS[index], study_uid)

    def _model(self, index):
        voxel = self.size.voxel_mm
        shape = tuple(round(n / voxel / 4) * 4 for n in _HEAD_EXTENT_MM[::-1])
        centre = np.array(self.poses[index].TransformPoint(_HEAD_CENTRE_MM)).round()
        origin = centre - (np.array(shape[::-1]) - 1) * voxel / 2.0
        geometry = Geometry(shape, (voxel,) * 3, tuple(origin.tolist()))
        shares, fields = head_fractions(geometry, self.poses[index], self.individual)
        model = HeadModel(geometry, self.poses[index], shares, fields["late"], fields["surface_mm"])
        if self.centres is None:
            self.centres = place_lesions(self.size.cases, model, self.individual, self.rng("places"))
        add_lesions(model, self.size.cases, self.centres, index, self.seed)
        return model

    def _static(self, model, index, report):
        injection = Injection(30.0, 30.0 + static.T1C_DELAY_S)
        thick = self.size.slice_voxels
        coarse = (4, 2, 2) if thick == 3 else (2, 1, 1)
        makers = {
            "T1": lambda rng: static.t1_weighted(model, rng),
            "T1c": lambda rng: static.t1_weighted(model, rng, injection),
            "FLAIR": lambda rng: static.flair(model, rng, thick),
            "SWI": lambda rng: static.swi(model, rng, thick - 1),
            "ADC": lambda rng: static.adc(model, rng, coarse),
            "PET": lambda rng: static.pet(model, rng, thick - 1),
        }
        volumes = {}
        for step, (role, make) in enumerate(makers.items()):
            report(0.2 + 0.04 * step, f"TP{index + 1}: {role}")
            volumes[role] = make(self.rng(role, index))
        return volumes

    def _perfusion_grid(self, model, motion):
        spacing, shape = np.array(self.size.perfusion_spacing_mm), self.size.perfusion_shape
        centre = np.array(motion.TransformPoint(model.pose.TransformPoint((0.0, 18.0, 16.0)))).round()
        origin = centre - (np.array(shape[::-1]) - 1) * spacing / 2.0
        return Geometry(shape, tuple(spacing.tolist()), tuple(origin.tolist()))

    def _dynamic(self, shares, index, volumes, report):
        volumes.update(variable_flip_scans(shares, self.size.dce, self.rng("VFA", index)))
        series = {}
        for step, (role, protocol) in enumerate((("DSC", self.size.dsc), ("DCE", self.size.dce))):
            report(0.6 + 0.1 * step, f"TP{index + 1}: {role}")
            series[role] = dynamic_series(role, shares, protocol, self.rng(role, index))
        return series

    def _planning(self, model, volumes, rows):
        centre = np.array(model.pose.TransformPoint(_HEAD_CENTRE_MM))
        transform = ct_transform(centre, self.rng("ct"))
        volumes["CT"] = planning_ct(model, transform, centre, self.size.ct_spacing_mm, self.rng("CT", 0))
        to_ct = transform.GetInverse()
        for row in rows:
            if row["present"] and row["phenotype"] != case_data.TREATED:
                place = to_ct.TransformPoint(ras_lps(row["centre_ras_mm"]).tolist())
                target = TargetDose(
                    row["name"], place, row["diameter_mm"] / 2 + 1.0, case_data.PRESCRIPTION_GY
                )
                self.targets[row["name"]] = target
                row["dose"] = target.metrics()
        self.rtdose = dose_volume(list(self.targets.values()), self.size.dose_spacing_mm)
        self.rtdose.meta["frame_of_reference_uid"] = uid_of(self.seed, "frame", "CT")
        return transform

    def _label(self, index, volumes, series):
        """Facts that every image carries."""
        for role, image in {**volumes, **series}.items():
            frame = ("CT",) if role == "CT" else ("MR", index)
            image.meta.setdefault("modality", "MR")
            image.meta.update(
                role=role,
                simulated=True,
                timepoint=f"TP{index + 1}",
                frame_of_reference_uid=uid_of(self.seed, "frame", *frame),
                series_instance_uid=uid_of(self.seed, "series", index, role),
            )
            if image.meta["modality"] == "MR":
                image.meta["field_t"] = 3.0


def _rigid(centre_mm, angles_deg, shift_mm):
    transform = sitk.Euler3DTransform()
    transform.SetCenter([float(v) for v in centre_mm])
    transform.SetRotation(*np.deg2rad(angles_deg).tolist())
    transform.SetTranslation([float(v) for v in shift_mm])
    return transform


def _pose(rng, index):
    """How the head lies in the scanner at one time point."""
    base = np.array([2.0, -1.5, 2.5]) if index == 0 else np.array([-2.5, 2.0, -3.0])
    return _rigid(_HEAD_CENTRE_MM, base + rng.uniform(-1, 1, 3), rng.uniform(-4, 4, 3))


def _small_motion(rng):
    """Head motion between the T1c and the perfusion series."""
    signs = rng.choice([-1.0, 1.0], 6)
    return _rigid(_HEAD_CENTRE_MM, signs[:3] * rng.uniform(0.5, 1.2, 3), signs[3:] * rng.uniform(0.6, 1.4, 3))


def _chain(first, second):
    """One rigid transform that does ``first``, then ``second``."""
    matrix = np.reshape(second.GetMatrix(), (3, 3)) @ np.reshape(first.GetMatrix(), (3, 3))
    origin = second.TransformPoint(first.TransformPoint((0.0, 0.0, 0.0)))
    transform = sitk.Euler3DTransform()
    transform.SetMatrix(matrix.ravel().tolist(), 1e-9)
    transform.SetTranslation(list(origin))
    return transform
