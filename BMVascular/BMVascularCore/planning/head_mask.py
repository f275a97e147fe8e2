"""Head masks for registration: what belongs to the patient, without couch, mask or air."""

import numpy as np
import SimpleITK as sitk

from BMVascularCore.errors import InputError

CT_WINDOW_HU = (-200.0, 1300.0)
_AIR_TISSUE_HU = -100.0
_AIR_HU = -1000.0
_MASK_SPACING_MM = 3.0
_FINEST_MM = 1.0


def is_ct(volume):
    """True when an image holds Hounsfield units (by its modality, else by its values)."""
    modality = str(volume.meta.get("modality", "")).upper()
    if modality:
        return modality == "CT"
    some = volume.array[:: max(1, volume.array.shape[0] // 20), ::2, ::2]
    some = some[np.isfinite(some)]
    return some.size > 0 and (float(some.min()) <= -500.0 or _looks_stored_with_offset(some))


def _looks_stored_with_offset(values):
    """CT numbers without a sign: air, bone, and between them nearly everything within 75 HU of water."""
    if values.min() < 0 or values.max() < 1700:
        return False
    head = values[values > 400]
    soft = float(((head > 950) & (head < 1120)).mean())
    return soft > 0.5 and float((values < 150).mean()) > 0.05


def prepare(volume):
    """Float image for registration: CT clamped to soft tissue and bone, MR without non-finite values.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    image : SimpleITK.Image
        32-bit float.
    notes : list of str
        What was put right on the way.

    Raises
    ------
    InputError
        When the image is flat.
    """
    ct = is_ct(volume)
    array, notes = _finite(volume, ct)
    if array.size == 0 or array.max() == array.min():
        raise InputError("is empty: all voxels have one value", volume.name, "Choose another image.")
    offset = _stored_offset(array) if ct else 0.0
    if offset:
        notes.append(
            f"{volume.name}: values look like CT numbers stored with an offset of {offset:g}; it was taken off"
        )
    if ct:
        low, high = (offset + hu for hu in CT_WINDOW_HU)
    else:
        # a few spikes would leave no grey levels to the head in a histogram from minimum to maximum
        low, high = np.percentile(array[::2, ::3, ::3], (0.05, 99.95))
        low, high = 2 * low - high, 2 * high - low
    if array.dtype.kind in "iu":
        limits = np.iinfo(array.dtype)
        low, high = max(int(low), limits.min), min(int(high), limits.max)
    image = volume.like(np.clip(array, low, high)).to_sitk()
    if not ct:
        image = sitk.Cast(image, sitk.sitkFloat32)
    # nothing finer is looked at later on; a CT of half a millimetre would take gigabytes
    image = sitk.Cast(_averaged(image, _FINEST_MM), sitk.sitkFloat32)
    return image - offset if offset else image, notes


def _finite(volume, ct):
    """An image's values, those that are no numbers taken as air, and a note where there are such."""
    array = np.asarray(volume.array)
    if array.dtype.kind in "iu":
        return array, []
    array = array.astype(np.float32, copy=False)
    finite = np.isfinite(array)
    if finite.all():
        return array, []
    share = 100 * (1 - finite.mean())
    air = _AIR_HU
    if not ct:
        some = array[finite][::16]
        air = min(0.0, float(np.percentile(some, 0.5))) if some.size else 0.0
    note = f"{volume.name}: {share:.1f} % of its voxels hold no number; taken as air"
    return np.where(finite, array, np.float32(air)), [note]


def _stored_offset(array):
    """1024 or 1000 where a CT's air lies near zero instead of -1000 HU, else 0.

    A CT of a head always shows air; soft tissue then lies a thousand above it.
    """
    sample = array[:: max(1, array.shape[0] // 40), ::4, ::4]
    low, high = np.percentile(sample, (1.0, 95.0))
    if low < -300.0 or high < 800.0:
        return 0.0
    air = float(np.median(sample[sample < 400.0])) if (sample < 400.0).any() else 0.0
    # air of -1000 HU is stored as 24 with the usual offset of 1024, and as 0 with 1000
    return 1024.0 if air >= 12.0 else 1000.0


def cut_notes(mask, name):
    """Say where the end of the image cuts the head off above the neck.

    Parameters
    ----------
    mask : SimpleITK.Image
        Head mask.
    name : str
    """
    array = sitk.GetArrayViewFromImage(mask)
    direction = np.reshape(mask.GetDirection(), (3, 3))
    widest = max(int(plane.sum()) for plane in array)
    notes = []
    for axis in range(3):
        for end, sign in ((0, -1.0), (-1, 1.0)):
            towards = sign * direction[:, axis]
            plane = np.take(array, (2, -3)[end], axis=2 - axis) if array.shape[2 - axis] > 5 else array[0] * 0
            # the neck leaves the image at the bottom in every scan
            if plane.sum() > 0.25 * widest and towards[2] > -0.7:
                side = _side_name(towards)
                notes.append(f"{name}: the head is cut off at the {side} by the end of the image")
    return notes


def _side_name(towards):
    axis = int(np.argmax(np.abs(towards)))
    return (("right", "left"), ("front", "back"), ("bottom", "top"))[axis][int(towards[axis] > 0)]


def on_grid(image, spacing_mm, sigma_mm=0.0):
    """Resample to isotropic voxels that cover the same box, averaged and smoothed first.

    Voxels much finer than the wanted ones are averaged in blocks before anything else: smoothing them
    where they are takes most of the time of a registration and makes the same picture.

    Parameters
    ----------
    image : SimpleITK.Image
    spacing_mm : float
    sigma_mm : float
        Gaussian smoothing before resampling.
    """
    # blocks stay below the wanted voxel, and below twice the smoothing
    image = _averaged(image, spacing_mm if sigma_mm <= 0 else min(spacing_mm, 2.0 * sigma_mm))
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


def _averaged(image, block_mm):
    """Blocks of fine voxels as one, at most this large."""
    factors = [
        int(np.clip((block_mm + 1e-6) // s, 1, max(n // 4, 1)))
        for n, s in zip(image.GetSize(), image.GetSpacing(), strict=True)
    ]
    return sitk.BinShrink(image, factors) if max(factors) > 1 else image


def head_mask(image, ct, name="image"):
    """Mask of the head on a 3 mm grid.

    CT: above -100 HU, opened so that couch and mask fall off, largest part, closed, filled.
    MR: above half of Otsu's threshold, largest part, closed, filled.

    Parameters
    ----------
    image : SimpleITK.Image
    ct : bool
    name : str
        For the sentence of an error.

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
        raise InputError("shows no head", name, "Choose another image.")
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
