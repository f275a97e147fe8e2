"""Head masks for registration: what belongs to the patient, without couch, mask or air."""

import numpy as np
import SimpleITK as sitk

from BMVascularCore.errors import InputError

CT_WINDOW_HU = (-200.0, 1300.0)
_AIR_TISSUE_HU = -100.0
_MASK_SPACING_MM = 3.0


def is_ct(volume):
    """True when an image holds Hounsfield units (by its modality, else by its values)."""
    modality = str(volume.meta.get("modality", "")).upper()
    if modality:
        return modality == "CT"
    low = float(np.min(volume.array[:: max(1, volume.array.shape[0] // 20)]))
    return low <= -500.0


def prepare(volume):
    """Float image for registration: CT clamped to soft tissue and bone, MR without non-finite values.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    SimpleITK.Image
        32-bit float.

    Raises
    ------
    InputError
        When the image is flat.
    """
    array = np.nan_to_num(np.asarray(volume.array, dtype=np.float32))
    if is_ct(volume):
        array = np.clip(array, *CT_WINDOW_HU)
    if array.size == 0 or float(array.max()) == float(array.min()):
        raise InputError("is empty: all voxels have one value", volume.name, "Choose another image.")
    return volume.like(array).to_sitk()


def on_grid(image, spacing_mm, sigma_mm=0.0):
    """Resample to isotropic voxels that cover the same box, smoothed first.

    Parameters
    ----------
    image : SimpleITK.Image
    spacing_mm : float
    sigma_mm : float
        Gaussian smoothing before resampling.
    """
    if sigma_mm > 0 and min(image.GetSize()) >= 4:
        image = sitk.SmoothingRecursiveGaussian(image, sigma_mm)
    size = [
        max(1, round(n * s / spacing_mm)) for n, s in zip(image.GetSize(), image.GetSpacing(), strict=True)
    ]
    # the first voxel's centre moves so that the outer faces stay where they are
    shift = [(spacing_mm - s) / 2 for s in image.GetSpacing()]
    origin = image.TransformContinuousIndexToPhysicalPoint(
        [d / s for d, s in zip(shift, image.GetSpacing(), strict=True)]
    )
    return sitk.Resample(
        image,
        size,
        sitk.Transform(3, sitk.sitkIdentity),
        sitk.sitkLinear,
        origin,
        [spacing_mm] * 3,
        image.GetDirection(),
        0.0,
        image.GetPixelID(),
    )


def head_mask(image, ct):
    """Mask of the head on a 3 mm grid.

    CT: above -100 HU, opened so that couch and mask fall off, largest part, closed, filled.
    MR: above half of Otsu's threshold, largest part, closed, filled.

    Parameters
    ----------
    image : SimpleITK.Image
    ct : bool

    Returns
    -------
    SimpleITK.Image
        8-bit mask.

    Raises
    ------
    InputError
        When no head is found.
    """
    coarse = on_grid(image, _MASK_SPACING_MM, 1.0)
    if ct:
        mask = sitk.BinaryMorphologicalOpening(coarse > _AIR_TISSUE_HU, [2, 2, 2])
    else:
        threshold = sitk.OtsuThresholdImageFilter()
        threshold.Execute(coarse)
        mask = coarse > 0.5 * threshold.GetThreshold()
    mask = sitk.RelabelComponent(sitk.ConnectedComponent(mask)) == 1
    mask = sitk.BinaryMorphologicalClosing(mask, [3, 3, 3])
    mask = _filled(mask)
    if not sitk.GetArrayViewFromImage(mask).any():
        raise InputError("shows no head", "image", "Choose another image.")
    return mask


def _filled(mask):
    """Fill holes slice by slice, too: the neck end of a head is open in three dimensions."""
    mask = sitk.BinaryFillhole(mask)
    array = sitk.GetArrayFromImage(mask)
    for plane in array:
        plane[:] = sitk.GetArrayFromImage(sitk.BinaryFillhole(sitk.GetImageFromArray(plane)))
    filled = sitk.GetImageFromArray(array)
    filled.CopyInformation(mask)
    return filled


def centroid_mm(mask):
    """Centre of gravity of a mask, LPS mm, shape (3,)."""
    array = sitk.GetArrayViewFromImage(mask)
    index = np.array(np.nonzero(array)).mean(axis=1)[::-1]
    return np.asarray(mask.TransformContinuousIndexToPhysicalPoint(index.tolist()))


def mask_points(mask, count=400, seed=0):
    """Points spread over a mask, LPS mm, shape (count, 3)."""
    index = np.argwhere(sitk.GetArrayViewFromImage(mask))
    chosen = np.random.default_rng(seed).choice(len(index), min(count, len(index)), replace=False)
    return np.array([mask.TransformIndexToPhysicalPoint([int(v) for v in index[i][::-1]]) for i in chosen])


def surface_points(mask, every=1):
    """Voxels of a mask that touch the outside, but not where the image ends, LPS mm, shape (n, 3)."""
    array = sitk.GetArrayFromImage(mask).astype(bool)
    edge = array & ~sitk.GetArrayFromImage(sitk.BinaryErode(mask, [1, 1, 1])).astype(bool)
    for axis in range(3):
        for end in (slice(0, 2), slice(-2, None)):
            cut = [slice(None)] * 3
            cut[axis] = end
            edge[tuple(cut)] = False
    index = np.argwhere(edge)[::every]
    return np.array(
        [mask.TransformIndexToPhysicalPoint([int(v) for v in row[::-1]]) for row in index]
    ).reshape(-1, 3)
