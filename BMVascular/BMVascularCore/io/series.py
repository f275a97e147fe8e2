"""Time series: 4D NIfTI, Slicer ``.seq.nrrd``, MultiVolume NRRD, or a DICOM folder."""

import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from BMVascularCore.errors import InputError
from BMVascularCore.io.images import file_stem, read_sitk, require_file
from BMVascularCore.io.times import choose_times
from BMVascularCore.volume import Geometry, Series

_PARTS = 8
_TIME_UNITS = {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "min": 60.0}


def read_series(path, times_s=None, dt_s=None, name=None):
    """Read a time series.

    Parameters
    ----------
    path : path-like
        4D image file, Slicer sequence file, MultiVolume NRRD, or a folder with one DICOM series.
    times_s : array_like, optional
        Frame times in seconds; wins over the file's own.
    dt_s : float, optional
        Frame time in seconds; wins over the file's own.
    name : str, optional

    Returns
    -------
    Series
        With ``meta["times_source"]`` and ``meta["warnings"]``.

    Raises
    ------
    InputError
        Missing, 3D only, or no frame times anywhere. The fourth pixel dimension of NIfTI is not
        taken as a time: writers fill it with 1 by default.
    """
    path = require_file(path, "series")
    if path.is_dir():
        from BMVascularCore.study.dicom import read_single_series

        return read_single_series(path, times_s=times_s, dt_s=dt_s, name=name)
    image = _information(path)
    name = name or file_stem(path)
    if image is not None:
        array, geometry = _read_in_parts(image, path), _geometry_4d(image)
    else:
        image = read_sitk(path)
        array, geometry = _frames_first(image, path)
    if array.shape[0] < 2:
        raise InputError(
            "is a 3D image, a time series (4D) is wanted",
            path.name,
            "Give the whole dynamic series as one 4D file or a DICOM folder.",
        )
    header = _header_times(image, path, array.shape[0])
    if header is None and times_s is None and dt_s is None and image.GetDimension() == 4:
        raise InputError(
            f"holds no frame times that can be trusted (its header says {image.GetSpacing()[3]:g} per frame, "
            "which many programs fill in by default)",
            path.name,
            "Give seconds per frame (--dt) or all frame times (--times).",
        )
    times, source, warnings = choose_times(array.shape[0], path.name, times_s, dt_s, header)
    return Series(array, times, geometry, name, {"times_source": source, "warnings": warnings})


def _information(path):
    """Reader of a scalar 4D NIfTI file with its header read, or None for any other file."""
    if not path.name.endswith((".nii", ".nii.gz")):
        return None
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        # the reader of whole images has the words for it
        return None
    return reader if reader.GetDimension() == 4 and reader.GetNumberOfComponents() == 1 else None


def _read_in_parts(reader, path):
    """Frames of a 4D NIfTI file; ITK holds a file twice while it reads, so it is given a part at a time."""
    size = list(reader.GetSize())
    array = None
    step = -(-size[3] // _PARTS)
    for start in range(0, size[3], step):
        count = min(step, size[3] - start)
        reader.SetExtractIndex([0, 0, 0, start])
        reader.SetExtractSize([*size[:3], count])
        try:
            part = reader.Execute()
        except RuntimeError as error:
            raise InputError(
                "cannot be read as an image", path.name, "The file may be cut off; copy it again."
            ) from error
        pixels = sitk.GetArrayViewFromImage(part)
        if array is None:
            array = np.empty((size[3], *pixels.shape[1:]), pixels.dtype)
        array[start : start + count] = pixels
    return array


class _Pixels:
    """The pixels of an image for numpy without a copy: an array made of it keeps the image alive."""

    def __init__(self, image):
        self.image = image
        self.__array_interface__ = sitk.GetArrayViewFromImage(image).__array_interface__


def _frames_first(image, path):
    """Array (t, k, j, i) and spatial geometry of a 4D or list-axis image."""
    if image.GetDimension() == 4 and image.GetNumberOfComponentsPerPixel() == 1:
        return np.asarray(_Pixels(image)), _geometry_4d(image)
    if image.GetDimension() == 3:
        array = np.asarray(_Pixels(image))
        if image.GetNumberOfComponentsPerPixel() == 1:
            array = array[..., None]
        return np.ascontiguousarray(np.moveaxis(array, -1, 0)), Geometry.of_sitk(image)
    raise InputError(
        f"has {image.GetDimension()} dimensions and {image.GetNumberOfComponentsPerPixel()} channels, "
        "a time series of 3D images is wanted",
        path.name,
        "Export the series again.",
    )


def _geometry_4d(image):
    """Geometry of the frames of a 4D image or of its reader."""
    direction = np.reshape(image.GetDirection(), (4, 4))[:3, :3]
    return Geometry(
        image.GetSize()[2::-1],
        image.GetSpacing()[:3],
        image.GetOrigin()[:3],
        tuple(direction.ravel().tolist()),
    )


def _header_times(image, path, n_frames):
    """Times that the file itself states, and where; None when it states none."""
    keys = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    if "axis 0 index values" in keys:
        unit = keys.get("axis 0 index unit", keys.get("axis 0 unit", "")).strip().lower()
        values = keys["axis 0 index values"].split()
        # Slicer writes frame numbers without a unit when it does not know the times
        if unit in _TIME_UNITS and len(values) == n_frames:
            return np.array(values, float) * _TIME_UNITS[unit], f"sequence index in {unit}"
    labels = keys.get("MultiVolume.FrameLabels")
    if labels:
        tag = keys.get("MultiVolume.FrameIdentifyingDICOMTagName", "")
        unit = keys.get("MultiVolume.FrameIdentifyingDICOMTagUnits", "ms").strip().lower()
        values = [value for value in labels.split(",") if value.strip()]
        if "Time" in tag and tag not in ("EchoTime", "RepetitionTime") and len(values) == n_frames:
            return np.array(values, float) * _TIME_UNITS.get(unit, 1e-3), f"MultiVolume frame labels ({tag})"
    return _sidecar_times(path, n_frames)


def _sidecar_times(path, n_frames):
    """Times from a JSON file beside a NIfTI image (BIDS ``VolumeTiming``)."""
    sidecar = path.with_name(file_stem(path) + ".json")
    if not sidecar.is_file():
        return None
    try:
        facts = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("cannot be read as JSON", sidecar.name, "Mend or remove it.") from error
    for key in ("VolumeTiming", "FrameTimesStart"):
        values = facts.get(key) if isinstance(facts, dict) else None
        if isinstance(values, list) and len(values) == n_frames:
            return np.asarray(values, float), f"{key} in {sidecar.name}"
    return None


def write_series(path, series):
    """Write a series as a Slicer sequence (``.seq.nrrd``) with its times in seconds, or as 4D NIfTI.

    NIfTI cannot hold uneven times: a JSON file with ``VolumeTiming`` is written beside it.
    """
    path = Path(path)
    if path.name.endswith(".nii.gz") or path.suffix == ".nii":
        frames = [Series.frame(series, t).to_sitk() for t in range(len(series.times_s))]
        sitk.WriteImage(sitk.JoinSeries(frames), str(path), useCompression=True)
        path.with_name(file_stem(path) + ".json").write_text(
            json.dumps({"VolumeTiming": [round(float(t), 4) for t in series.times_s]}), encoding="utf-8"
        )
        return
    image = sitk.GetImageFromArray(np.ascontiguousarray(np.moveaxis(series.array, 0, -1)), isVector=True)
    image.SetSpacing(series.geometry.spacing_mm)
    image.SetOrigin(series.geometry.origin_mm)
    image.SetDirection(series.geometry.direction)
    image.SetMetaData("axis 0 index type", "numeric")
    image.SetMetaData("axis 0 index unit", "s")
    image.SetMetaData("axis 0 index values", " ".join(f"{t:.4f}" for t in series.times_s))
    sitk.WriteImage(image, str(path), useCompression=True)
