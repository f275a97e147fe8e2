"""DICOM series to volumes and time series, with the geometry exact."""

import warnings

import numpy as np
import pydicom
import SimpleITK as sitk

from BMVascularCore.errors import InputError
from BMVascularCore.io.times import choose_times
from BMVascularCore.progress import silent
from BMVascularCore.study.frame_times import header_times
from BMVascularCore.study.headers import scan_folder
from BMVascularCore.study.stacking import planes_of, stack_planes
from BMVascularCore.volume import Series, Volume

_IMAGE_MODALITIES = {"MR", "CT", "PT", "NM"}
# slices closer to even than this are an ordinary rounding of positions
_UNEVEN_MM = 0.05
_TILT_DEG = 0.5


def is_image(series):
    """True for series of MR, CT or PET images with pixels in space."""
    return series.text("Modality") in _IMAGE_MODALITIES and "Rows" in series.first


def load_stack(series):
    """Slices of a series in order, with problems of the stack in ``warnings``.

    Parameters
    ----------
    series : DicomSeries

    Returns
    -------
    Stack
    """
    stack = stack_planes(planes_of(series), series.label)
    distances = stack.distances_mm
    if len(distances) and distances.max() - distances.min() > _UNEVEN_MM:
        stack.warnings.append(
            f"{series.label}: slice distances run from {distances.min():.2f} to "
            f"{distances.max():.2f} mm (missing or uneven slices)"
        )
    if stack.tilt_deg > _TILT_DEG:
        stack.warnings.append(
            f"{series.label}: slices are sheared by {stack.tilt_deg:.1f} degrees (gantry tilt)"
        )
    return stack


def load_volume(series, name=None):
    """Read a series as one 3D image.

    Parameters
    ----------
    series : DicomSeries
    name : str, optional

    Returns
    -------
    Volume
        float32 for PET and images with a rescale slope other than one, else int16 or float32.

    Raises
    ------
    InputError
        A time series, one slice only, uneven or sheared slices, or pixels that cannot be decoded.
    """
    stack = load_stack(series)
    if len(stack.grid) > 1:
        raise InputError(
            f"is a time series of {len(stack.grid)} frames, one 3D image is wanted",
            series.label,
            "Choose the 3D series.",
        )
    refuse_distorted(stack, series)
    array = _pixels(series, stack)[0]
    return Volume(array, stack.geometry, name or series.label, _facts(series) | {"warnings": stack.warnings})


def refuse_distorted(stack, series):
    """Raise when slices are uneven, sheared or single: a voxel grid cannot hold them exactly.

    Raises
    ------
    InputError
        With the measured tilt or distances.
    """
    distances = stack.distances_mm
    if not len(distances):
        raise InputError("has one slice only", series.label, "Choose the 3D series.")
    problems = []
    if stack.tilt_deg > _TILT_DEG:
        problems.append(f"gantry tilt of {stack.tilt_deg:.1f} degrees")
    if distances.max() - distances.min() > _UNEVEN_MM:
        problems.append(f"slice distances from {distances.min():.2f} to {distances.max():.2f} mm")
    if problems:
        raise InputError(
            f"does not lie on an even grid: {' and '.join(problems)}",
            series.label,
            "Use the original series with even slices and no tilt; resampled images do not serve planning.",
        )


def load_series(series, times_s=None, dt_s=None, name=None, progress=None):
    """Read a series as a time series.

    Parameters
    ----------
    series : DicomSeries
    times_s, dt_s
        Typed-in times win over the header's.
    name : str, optional
    progress : callable, optional

    Returns
    -------
    Series
        float32; meta holds times_source, warnings, echo_time_s, repetition_time_s, flip_deg, ...

    Raises
    ------
    InputError
        Not a time series, or no trustworthy frame times.
    """
    stack = load_stack(series)
    if len(stack.grid) < 2:
        raise InputError(
            "is a single 3D image, a time series is wanted", series.label, "Choose the dynamic series."
        )
    refuse_distorted(stack, series)
    header = header_times(stack.grid, series.number("TemporalResolution"))
    if header is None and times_s is None and dt_s is None:
        tr = series.number("RepetitionTime")
        hint = f" (RepetitionTime is {tr / 1000:g} s, which need not be the frame time)" if tr else ""
        raise InputError(
            f"states no frame times{hint}",
            series.label,
            "Give seconds per frame (--dt) or all frame times (--times).",
        )
    times, source, notes = choose_times(len(stack.grid), series.label, times_s, dt_s, header)
    array = _pixels(series, stack, progress)
    meta = _facts(series) | {"times_source": source, "warnings": stack.warnings + notes}
    return Series(array.astype(np.float32, copy=False), times, stack.geometry, name or series.label, meta)


def _facts(series):
    """Acquisition facts in our units; identity of the patient stays out."""
    facts = {
        "modality": series.text("Modality"),
        "description": series.text("SeriesDescription"),
        "frame_of_reference_uid": series.text("FrameOfReferenceUID"),
        "series_uid": series.uid,
        "study_uid": series.text("StudyInstanceUID"),
        "contrast_agent": series.text("ContrastBolusAgent"),
    }
    for key, keyword, scale in (
        ("echo_time_s", "EchoTime", 1e-3), ("repetition_time_s", "RepetitionTime", 1e-3),
        ("inversion_time_s", "InversionTime", 1e-3), ("flip_deg", "FlipAngle", 1.0),
        ("field_t", "MagneticFieldStrength", 1.0), ("slice_thickness_mm", "SliceThickness", 1.0),
        ("bandwidth_hz", "PixelBandwidth", 1.0),
    ):  # fmt: skip
        value = series.number(keyword)
        if value is not None:
            facts[key] = value * scale
    return facts


def _pixels(series, stack, progress=None):
    """Pixel values (t, k, j, i) after rescale."""
    progress = progress or silent
    shape = (len(stack.grid), *stack.geometry.shape)
    array = None
    for t, frame in enumerate(stack.grid):
        progress(t / shape[0], f"reading {series.label}")
        for k, plane in enumerate(frame):
            values = _decode(series, plane)
            if array is None:
                array = np.zeros(shape, values.dtype)
            elif values.dtype != array.dtype:
                array = array.astype(np.promote_types(array.dtype, values.dtype))
            array[t, k] = values
    return array


def _decode(series, plane):
    path = series.paths[plane.file_index]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            data = pydicom.dcmread(path)
            raw = data.pixel_array
        except (RuntimeError, ValueError, NotImplementedError, AttributeError, OSError, EOFError):
            return _decode_with_itk(path, plane, series)
    if plane.frame_index is not None:
        raw = raw[plane.frame_index]
    slope, intercept = _rescale(data, plane)
    if slope == 1.0 and intercept == round(intercept):
        values = raw.astype(np.int32) + int(intercept)
        fits = values.min() >= -32768 and values.max() <= 32767
        return values.astype(np.int16 if fits else np.float32)
    return (raw * np.float32(slope) + np.float32(intercept)).astype(np.float32)


def _rescale(data, plane):
    slope, intercept = data.get("RescaleSlope"), data.get("RescaleIntercept")
    if slope is None and plane.frame_index is not None:
        for groups in (data.PerFrameFunctionalGroupsSequence[plane.frame_index],
                       (data.get("SharedFunctionalGroupsSequence") or [None])[0]):  # fmt: skip
            if groups is not None and "PixelValueTransformationSequence" in groups:
                item = groups.PixelValueTransformationSequence[0]
                slope, intercept = item.get("RescaleSlope"), item.get("RescaleIntercept")
                break
    return float(1.0 if slope is None else slope), float(0.0 if intercept is None else intercept)


def _decode_with_itk(path, plane, series):
    """Compressed pixels that pydicom cannot decode on this machine."""
    try:
        array = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except RuntimeError as error:
        raise InputError(
            "pixels cannot be decoded", series.label, "Export the series without compression."
        ) from error
    return array[plane.frame_index or 0].astype(np.float32)


def _only_series(folder, wanted):
    candidates = [entry for entry in scan_folder(folder) if is_image(entry)]
    if not candidates:
        raise InputError(
            "holds no MR, CT or PET image series", folder.name, "Name the folder of one image series."
        )
    if len(candidates) > 1:
        names = "; ".join(entry.label for entry in candidates[:6])
        raise InputError(
            f"holds {len(candidates)} series ({names}), {wanted} is wanted",
            folder.name,
            "Name the folder of one series.",
        )
    return candidates[0]


def read_single_volume(folder, name=None):
    """Read a folder that holds one 3D DICOM series (see :func:`load_volume`)."""
    return load_volume(_only_series(folder, "one"), name)


def read_single_series(folder, times_s=None, dt_s=None, name=None):
    """Read a folder that holds one dynamic DICOM series (see :func:`load_series`)."""
    return load_series(_only_series(folder, "one dynamic series"), times_s, dt_s, name)
