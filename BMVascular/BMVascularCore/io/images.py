"""3D images: NIfTI, NRRD, MetaImage files and single DICOM series."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from BMVascularCore.errors import InputError
from BMVascularCore.volume import Volume, require_same_grid

IMAGE_ENDINGS = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".img", ".hdr")


def require_file(path, what="file"):
    """Return ``path`` as a :class:`Path`, or say that it is missing."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"this {what} does not exist", path.name, "Check the path.")
    return path


def read_sitk(path):
    """Read an image file with SimpleITK, whatever its dimension.

    Raises
    ------
    InputError
        When the file is missing, or is not an image that SimpleITK reads.
    """
    path = require_file(path, "image file")
    if path.is_dir():
        raise InputError("this is a folder, an image file is wanted", path.name, "Name one image file.")
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(
            "cannot be read as an image", path.name, "Use NIfTI, NRRD, MHA or a DICOM folder."
        ) from error


def read_volume(path, name=None):
    """Read a 3D image file or a folder with one DICOM series.

    Parameters
    ----------
    path : path-like
    name : str, optional
        What messages call it; the file name without ending by default.

    Returns
    -------
    Volume

    Raises
    ------
    InputError
        Missing, unreadable, not three-dimensional, several channels, or only NaN.
    """
    path = require_file(path, "image")
    if path.is_dir():
        from BMVascularCore.study.dicom import read_single_volume

        return read_single_volume(path, name)
    image = read_sitk(path)
    if image.GetNumberOfComponentsPerPixel() > 1:
        raise InputError(
            f"has {image.GetNumberOfComponentsPerPixel()} channels, a single-channel 3D image is wanted",
            path.name,
            "Extract one channel or one time frame first.",
        )
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3:
        raise InputError(
            f"has {image.GetDimension()} dimensions, a 3D image is wanted",
            path.name,
            "Give one frame of the series, or the 3D image.",
        )
    volume = Volume.of_sitk(image, name or file_stem(path))
    if volume.array.dtype.kind == "f" and not np.isfinite(volume.array).any():
        raise InputError("holds no finite value", path.name, "Export the image again.")
    return volume


def read_mask(path, geometry=None, reference_name="the image"):
    """Read a mask as booleans (non-zero is inside), checked against a grid where one is given.

    Returns
    -------
    Volume
        Boolean array.

    Raises
    ------
    GeometryMismatchError
        When the mask lies on another grid.
    """
    volume = read_volume(path)
    if geometry is not None:
        require_same_grid(volume.geometry, geometry, Path(path).name, reference_name)
    return volume.like(np.nan_to_num(volume.array) != 0)


def read_labels(path):
    """Read a label image: whole numbers, 0 is background.

    Returns
    -------
    Volume
        int32 array.

    Raises
    ------
    InputError
        When the values are not whole numbers.
    """
    volume = read_volume(path)
    array = np.nan_to_num(volume.array)
    if array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        raise InputError(
            "holds fractions, a label image with whole numbers is wanted",
            Path(path).name,
            "Export the segmentation as a label map.",
        )
    return volume.like(np.rint(array).astype(np.int32))


def write_volume(path, volume):
    """Write a 3D image; NIfTI, NRRD or MHA by the file's ending, compressed."""
    array = volume.array
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    elif array.dtype == np.int64:
        array = array.astype(np.int32)
    sitk.WriteImage(Volume(array, volume.geometry).to_sitk(), str(path), useCompression=True)


def output_ending(path):
    """Ending for results beside an input: ``.nii.gz`` for NIfTI users, ``.nrrd`` for everybody else."""
    return ".nii.gz" if str(path).lower().endswith((".nii", ".nii.gz")) else ".nrrd"


def file_stem(path):
    """File name without its image ending (``t1c`` for ``t1c.nii.gz``)."""
    name = Path(path).name
    for ending in (".seq.nrrd", *sorted(IMAGE_ENDINGS, key=len, reverse=True)):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name
