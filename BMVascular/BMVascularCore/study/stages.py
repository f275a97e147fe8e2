"""Stages of a run: each takes images, does one job, and returns values.

The panels call the same stages one by one; :mod:`BMVascularCore.study.pipeline` calls them in turn.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from BMVascularCore.errors import InputError, NotMeasurableError
from BMVascularCore.lesions import segment_lesions
from BMVascularCore.perfusion.dce import DceSettings, run_dce
from BMVascularCore.perfusion.dsc import DscSettings, run_dsc
from BMVascularCore.perfusion.t1 import fit_vfa
from BMVascularCore.phenotype import assess_lesions
from BMVascularCore.planning.pyramid import Side
from BMVascularCore.progress import share_of, silent
from BMVascularCore.study.alignment import Alignment, align, from_t1c, to_t1c
from BMVascularCore.study.protocol import facts_of_image
from BMVascularCore.volume import Volume, resample

# pre-contrast T1 of tissue where a study has no variable-flip-angle set; said in the notes
ASSUMED_T10_S = 1.4

ANATOMY = ("T1", "FLAIR", "SWI", "ADC", "T2", "PET")


@dataclass
class Anatomy:
    """Images of one time point in one space.

    Attributes
    ----------
    t1c : Volume
    images : dict
        Role to Volume on its own grid (T1c included).
    alignments : dict
        Role to Alignment.
    notes : list of str
    side : Side
        The T1c prepared for alignment.
    """

    t1c: Volume
    images: dict
    alignments: dict
    notes: list = field(default_factory=list)
    side: Side = None

    def on_t1c(self, role):
        """An image resampled onto the T1c's grid, None when absent."""
        if role not in self.images:
            return None
        return to_t1c(self.images[role], self.t1c, self.alignments[role])


def read_anatomy(timepoint, progress=None):
    """Read the T1c and what belongs to it, and bring all of it into T1c space.

    Parameters
    ----------
    timepoint : BMVascularCore.study.plan.TimePoint
    progress : callable, optional

    Returns
    -------
    Anatomy
    """
    progress = progress or silent
    t1c = timepoint.first("T1c").read()
    still = {"T1c": Alignment(None, 0.0, "")}
    anatomy = Anatomy(t1c, {"T1c": t1c}, still, list(t1c.meta.get("warnings", [])), Side.of_volume(t1c))
    present = [role for role in ANATOMY if timepoint.first(role) is not None]
    for number, role in enumerate(present):
        progress(number / len(present), f"aligning {role}")
        try:
            image = timepoint.first(role).read()
        except InputError as error:
            anatomy.notes.append(f"{role} is not used: {error}")
            continue
        anatomy.images[role] = image
        anatomy.alignments[role] = align(anatomy.side, image)
        anatomy.notes.append(anatomy.alignments[role].note)
    return anatomy


def segment_stage(anatomy, seeds, progress=None):
    """Segment every seeded lesion of a time point; see :func:`BMVascularCore.lesions.segment_lesions`."""
    return segment_lesions(
        anatomy.t1c,
        seeds,
        t1=anatomy.on_t1c("T1"),
        flair=anatomy.on_t1c("FLAIR"),
        swi=anatomy.on_t1c("SWI"),
        progress=progress,
    )


def in_t1c_space(volume, alignment):
    """The same voxels, placed where they lie in T1c space: nothing is resampled."""
    if alignment.transform is None:
        return volume
    return Volume(volume.array, volume.geometry.moved(alignment.transform.GetInverse()), volume.name)


@dataclass
class Perfusion:
    """Maps of one perfusion series.

    Attributes
    ----------
    kind : {"dsc", "dce"}
    result : DscResult or DceResult
    geometry : Geometry
    alignment : Alignment
    warnings : list of str
    facts : SeriesFacts
        How the series was acquired, for the protocol check.
    """

    kind: str
    result: object
    geometry: object
    alignment: Alignment
    warnings: list
    facts: object = None

    def native(self, name):
        """One map in its own voxels, placed in T1c space; None when it was not computed."""
        if name not in self.result.maps:
            return None
        array = np.asarray(self.result.maps[name], np.float32)
        return in_t1c_space(Volume(array, self.geometry, name), self.alignment)

    def on(self, t1c, name, interpolation="linear"):
        """One map on the T1c's grid; NaN outside its coverage. None when the map was not computed."""
        array = self.result.maps.get(name)
        if array is None:
            return None
        volume = Volume(np.asarray(array, np.float32), self.geometry, name)
        return resample_valid(volume, t1c.geometry, self.alignment.transform, interpolation)


def resample_valid(volume, geometry, transform, interpolation="linear"):
    """Resample a map that holds NaN: weights follow the valid voxels, NaN where fewer than half are valid.

    Parameters
    ----------
    volume : Volume
    geometry : Geometry
    transform : SimpleITK.Transform or None
    interpolation : str

    Returns
    -------
    Volume
    """
    valid = np.isfinite(volume.array)
    values = resample(
        volume.like(np.where(valid, volume.array, 0).astype(np.float32)), geometry, transform, interpolation
    ).array
    weight = resample(volume.like(valid.astype(np.float32)), geometry, transform, interpolation).array
    with np.errstate(invalid="ignore", divide="ignore"):
        return Volume(
            np.where(weight >= 0.5, values / weight, np.nan).astype(np.float32), geometry, volume.name
        )


def _baseline_image(series, skip=1, count=4):
    return series.mean(slice(skip, min(skip + count, len(series.times_s))))


def lesion_exclusion(segmentation, geometry, alignment, margin_mm=4.0):
    """Lesions and oedema with a margin, on a perfusion grid: not reference tissue.

    Returns
    -------
    ndarray of bool, shape (k, j, i)
    """
    involved = segmentation.labels.like(
        ((segmentation.labels.array > 0) | (segmentation.compartments.array > 0)).astype(np.uint8)
    )
    on_grid = from_t1c(involved, geometry, alignment).array > 0
    if not on_grid.any():
        return on_grid
    return ndimage.distance_transform_edt(~on_grid, sampling=geometry.spacing_kji_mm) <= margin_mm


def dsc_stage(timepoint, anatomy, segmentation, progress=None):
    """DSC maps of a time point.

    Returns
    -------
    Perfusion or None
        None when the study has no DSC series.
    """
    source = timepoint.first("DSC")
    if source is None:
        return None
    progress = progress or silent
    series = source.read(share_of(progress, 0.0, 0.2))
    series.array = np.asarray(series.array, np.float32)
    alignment = align(anatomy.side, _baseline_image(series, 3, 5))
    settings = DscSettings(preload=_preload(timepoint.context.get("protocol", {})))
    exclude = lesion_exclusion(segmentation, series.geometry, alignment)
    result = run_dsc(series, settings, exclude=exclude, progress=share_of(progress, 0.35, 1.0))
    return Perfusion(
        "dsc",
        result,
        series.geometry,
        alignment,
        [*series.meta.get("warnings", []), alignment.note, *result.warnings],
        facts_of_image("DSC", timepoint.label, series),
    )


def _preload(protocol):
    """The context's answer about a contrast preload as the DSC settings spell it."""
    return {True: "yes", False: "no"}.get(protocol.get("preload"), "unknown")


def dce_stage(timepoint, anatomy, progress=None):
    """T1 map and DCE maps of a time point.

    Returns
    -------
    Perfusion or None
        None when the study has no DCE series.
    """
    source = timepoint.first("DCE")
    if source is None:
        return None
    progress = progress or silent
    series = source.read(share_of(progress, 0.0, 0.2))
    alignment = align(anatomy.side, _baseline_image(series, 0, 3))
    notes = [*series.meta.get("warnings", []), alignment.note]
    t1_s, t1_note = t1_stage(timepoint, series)
    if t1_note:
        notes.append(t1_note)
    settings = DceSettings(
        tr_s=series.meta.get("repetition_time_s"),
        flip_deg=series.meta.get("flip_deg"),
        model="auto",
        # the sinus fills after the tissue: without a delay the early part of every curve is misfitted
        fit_delay=True,
        t10_s=None if t1_s is not None else ASSUMED_T10_S,
    )
    mask = head_of(series)
    result = run_dce(series, settings, t1_s=t1_s, mask=mask, progress=share_of(progress, 0.35, 1.0))
    if t1_s is not None:
        result.maps["t1"] = t1_s
        result.units["t1"] = "s"
    return Perfusion(
        "dce",
        result,
        series.geometry,
        alignment,
        [note for note in [*notes, *result.warnings] if note],
        facts_of_image("DCE", timepoint.label, series),
    )


def head_of(series):
    """Voxels with tissue signal: above 15 % of the bright tissue of the time mean, largest part, filled."""
    mean = series.array.mean(axis=0, dtype=np.float32)
    bright = np.percentile(mean[mean > mean.mean()], 90)
    labels, count = ndimage.label(ndimage.binary_opening(mean > 0.15 * bright))
    if count == 0:
        return np.ones(mean.shape, bool)
    largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return ndimage.binary_fill_holes(labels == largest)


def t1_stage(timepoint, series):
    """Pre-contrast T1 on the DCE grid from the variable-flip-angle set.

    Returns
    -------
    t1_s : ndarray or None
    note : str
        What was used, or why there is none.
    """
    sources = timepoint.sources.get("VFA", [])
    if len(sources) < 2:
        return None, "no variable-flip-angle set: a fixed pre-contrast T1 is assumed, Ktrans is only relative"
    try:
        volumes = sorted(
            (source.read() for source in sources), key=lambda volume: volume.meta.get("flip_deg", 0)
        )
        flips = [volume.meta["flip_deg"] for volume in volumes]
        tr_s = volumes[0].meta["repetition_time_s"]
    except (KeyError, InputError) as error:
        return (
            None,
            f"the variable-flip-angle set cannot be used ({error}); a fixed pre-contrast T1 is assumed",
        )
    on_grid = [
        volume if volume.geometry.matches(series.geometry) else resample(volume, series.geometry)
        for volume in volumes
    ]
    fitted = fit_vfa(np.stack([np.asarray(volume.array, np.float32) for volume in on_grid]), flips, tr_s)
    return np.where(fitted.valid, fitted.t1_s, np.nan).astype(np.float32), ""


def phenotype_stage(timepoint, anatomy, segmentation, dsc, dce, progress=None):
    """Vascular phenotype of every lesion of a time point, from whatever maps there are."""
    maps = {}
    for key, perfusion, name in (
        ("rcbv", dsc, "nrcbv"),
        ("ktrans", dce, "ktrans"),
        ("ktrans_se", dce, "se_ktrans"),
        ("vp", dce, "vp"),
    ):
        if perfusion is not None and (volume := perfusion.native(name)) is not None:
            maps[key] = volume
    for key, role in (("pet", "PET"), ("adc", "ADC"), ("swi", "SWI"), ("flair", "FLAIR")):
        if role in anatomy.images:
            maps[key] = in_t1c_space(anatomy.images[role], anatomy.alignments[role])
    return assess_lesions(
        segmentation.labels,
        maps,
        compartments=segmentation.compartments,
        context=timepoint.context,
        names={int(row["label"]): row["name"] for row in segmentation.rows},
        progress=progress,
    )


def optional(stage, *args, notes, what, **kwargs):
    """Run a stage that a study can do without; wrong or insufficient input becomes a note.

    Parameters
    ----------
    stage : callable
    notes : list of str
        Receives the reason.
    what : str
        What the note calls the stage.

    Returns
    -------
    object or None
    """
    try:
        return stage(*args, **kwargs)
    except InputError as error:
        notes.append(f"{what} not computed: {error}")
    except NotMeasurableError as error:
        notes.append(f"{what} not measurable: {error}")
    return None
