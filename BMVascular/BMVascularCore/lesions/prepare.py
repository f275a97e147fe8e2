"""What is worked out once per volume, so that each click is quick."""

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from BMVascularCore.errors import InputError
from BMVascularCore.lesions import anatomy, same_head, shapes
from BMVascularCore.lesions.grid import block_means
from BMVascularCore.progress import share_of
from BMVascularCore.volume import Volume, resample


@dataclass
class Prepared:
    """A T1c volume with its companions, ready for clicks.

    Attributes
    ----------
    t1c : Volume
        float32, non-finite voxels set to 0.
    head : ndarray of bool
        Head without air.
    reach : ndarray of bool
        Where lesions are looked for: the head without scalp, as far as that can be told.
    noise : float
        Standard deviation of the noise, in units of the image.
    level : float
        Typical intensity of the head, the scale of the image.
    t1, flair, swi : Volume or None
        float32 on the grid of ``t1c``; ``t1`` is scaled to it.
    warnings : list of str
    tissue : float or None
        Level of unenhanced tissue in a wide region around the click at hand.
    mass_level : float
        A mass fills the near region where its level is so many times that of the wide one.
    """

    t1c: Volume
    head: np.ndarray
    noise: float
    level: float
    t1: Volume | None
    flair: Volume | None
    swi: Volume | None
    warnings: list
    reach: np.ndarray | None = None
    tissue: float | None = None
    mass_level: float = 1.25
    _known: dict = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self):
        if self.reach is None:
            self.reach = self.head

    def once(self, name, work):
        """What ``work()`` gives, worked out at the first call only."""
        if name not in self._known:
            self._known[name] = work()
        return self._known[name]


def prepare(t1c, t1=None, flair=None, swi=None, progress=None):
    """Check a T1c volume and its companions and work out what all clicks share.

    Parameters
    ----------
    t1c : Volume
    t1, flair, swi : Volume, optional
        On any grid of the same space; an image that does not fit is left out with a warning.
    progress : callable, optional

    Returns
    -------
    Prepared

    Raises
    ------
    InputError
        Fewer than three slices, constant or empty image.
    """
    report = share_of(progress, 0.0, 1.0)
    report(0.0, "checking the image")
    clean, warnings = _clean(t1c)
    head, level = head_mask(clean)
    noise = noise_level(clean.array, head)
    companions = {}
    for share, (role, other) in zip(
        (0.4, 0.6, 0.8), {"T1": t1, "FLAIR": flair, "SWI": swi}.items(), strict=True
    ):
        report(share, f"fitting {role} to T1c")
        companions[role], trouble = (
            _companion(other, clean, head, role) if other is not None else (None, None)
        )
        warnings += [trouble] if trouble else []
    if companions["T1"] is not None:
        companions["T1"] = _scaled_to(companions["T1"], clean, head)
    ready = Prepared(
        clean, head, noise, level, companions["T1"], companions["FLAIR"], companions["SWI"], warnings
    )
    report(0.9, "telling the brain from the scalp")
    ready.reach = anatomy.find_reach(ready)
    report(1.0, "ready for clicks")
    return ready


def _clean(volume):
    if volume.array.ndim != 3:
        raise InputError("a 3D image is wanted", volume.name, "Give one 3D image.")
    if min(volume.array.shape) < 3:
        raise InputError(
            "has fewer than three slices, a lesion has no volume there",
            volume.name,
            "Give the whole 3D image.",
        )
    array = volume.array.astype(np.float32)
    bad = ~np.isfinite(array)
    warnings = []
    if bad.any():
        if bad.all():
            raise InputError("holds no finite value", volume.name, "Export the image again.")
        array[bad] = 0.0
        warnings.append(f"{volume.name}: {int(bad.sum())} voxels are not finite and count as air.")
    if float(array.max()) <= float(array.min()):
        raise InputError("holds one value everywhere", volume.name, "Export the image again.")
    if array.min() < 0:
        # signed offsets (CT-like or mean-free exports): the scale starts at the air
        array -= np.float32(np.percentile(array[::3, ::3, ::3], 0.5))
        np.maximum(array, 0, out=array)
    return Volume(array, volume.geometry, volume.name), warnings


def _strides(geometry, step_mm):
    return tuple(slice(None, None, max(1, round(step_mm / s))) for s in geometry.spacing_kji_mm)


def head_mask(volume):
    """The head without the air around it.

    Found on a grid of about 3 mm: voxels above a quarter of the upper intensities, closed, filled,
    the largest piece.

    Parameters
    ----------
    volume : Volume
        float32, air near 0.

    Returns
    -------
    head : ndarray of bool, shape of the volume
    level : float
        Median intensity of the bright half of the head.

    Raises
    ------
    InputError
        When nothing stands out from air.
    """
    windows = _strides(volume.geometry, 3.0)
    small = block_means(volume.array, [max(1, w.step) for w in windows])
    top = float(np.percentile(small, 98))
    mask = small > 0.12 * top
    if not mask.any():
        raise InputError("no head stands out from the air", volume.name, "Check the image.")
    level = float(np.median(small[small > 0.25 * top]))
    mask = small > 0.25 * level
    mask = ndimage.binary_closing(np.pad(mask, 3), iterations=2)[3:-3, 3:-3, 3:-3]
    for index in range(mask.shape[0]):
        mask[index] = ndimage.binary_fill_holes(mask[index])
    pieces, count = ndimage.label(mask)
    if count > 1:
        mask = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    return shapes.repeated(mask, [w.step for w in windows], volume.array.shape), level


def noise_level(array, head):
    """Noise (standard deviation) from differences of neighbours in the head.

    The median absolute difference of neighbours along the rows, over sqrt(2): edges are rare
    enough not to matter to a median.
    """
    step = max(1, array.shape[0] // 40)
    rows, inside = array[::step], head[::step]
    both = inside[..., 2:] & inside[..., :-2]
    # second difference: slopes of coil shading and anatomy cancel; variance 6 sigma^2
    second = rows[..., 2:] - 2 * rows[..., 1:-1] + rows[..., :-2]
    values = np.abs(second[both])
    values = values[values > 0]
    if not values.size:
        return 1e-6
    return float(1.4826 * np.median(values) / np.sqrt(6.0))


def _companion(other, t1c, head, role):
    """The other image on the grid of T1c, or None with one sentence why not."""
    if min(other.array.shape) < 2:
        return None, f"{role} has a single slice and is not used."
    values = np.nan_to_num(other.array.astype(np.float32), posinf=0.0, neginf=0.0)
    source = Volume(values, other.geometry, other.name)
    windows = _strides(t1c.geometry, 4.0)
    index = np.stack(
        np.meshgrid(*[np.arange(n)[w] for n, w in zip(head.shape, windows, strict=True)], indexing="ij"), -1
    )
    inside = other.geometry.contains(t1c.geometry.points_of(index))
    small_head = head[windows]
    covered = float(inside[small_head].mean()) if small_head.any() else 0.0
    if covered < 0.25:
        return (
            None,
            f"{role} covers {covered:.0%} of the head in T1c: another study or place; it is not used.",
        )
    moved = resample(source, t1c.geometry)
    trouble = _other_patient(moved, t1c, head, windows, inside, role) or _moved_away(
        moved, other, t1c, head, role
    )
    return (None, trouble) if trouble else (moved, None)


def _moved_away(moved, other, t1c, head, role):
    """One sentence when the insides of the heads do not fit, else None."""
    ours, view = same_head.coarse(t1c.array, t1c.geometry)
    theirs, _ = same_head.coarse(moved.array, t1c.geometry)
    index = np.indices(ours.shape).transpose(1, 2, 3, 0) * [w.step for w in view]
    known = other.geometry.contains(t1c.geometry.points_of(index))
    if same_head.lies_elsewhere(ours, theirs, head[view], known):
        return f"{role} does not fit the inside of the head in T1c: another patient, or not registered; it is not used."
    return None


def _other_patient(moved, t1c, head, windows, inside, role):
    """One sentence when the heads do not coincide, else None."""
    view = moved.array[windows]
    known = inside
    top = float(np.percentile(view[known], 98))
    if top <= 0:
        return f"{role} is empty over T1c and is not used."
    theirs = ndimage.binary_closing(view > 0.12 * top, iterations=1) & known
    for index in range(theirs.shape[0]):
        theirs[index] = ndimage.binary_fill_holes(theirs[index])
    ours = head[windows] & known
    dice = 2.0 * (theirs & ours).sum() / max(1, theirs.sum() + ours.sum())
    # skull-stripped companions cover less of the head; they must then lie inside it
    inside_ours = (theirs & ours).sum() / max(1, theirs.sum())
    if dice < 0.8 and (inside_ours < 0.97 or dice < 0.45):
        return (
            f"{role} does not lie on the head of T1c (overlap {dice:.2f}): another patient, "
            "or not registered; it is not used."
        )
    return None


def _scaled_to(t1, t1c, head):
    """T1 scaled so that tissue that does not enhance has the same intensity as in T1c."""
    windows = _strides(t1c.geometry, 3.0)
    before, after = t1.array[windows], t1c.array[windows]
    both = head[windows] & (before > 0.3 * np.median(before[head[windows]]))
    ratio = float(np.median(after[both] / before[both])) if both.any() else 1.0
    return Volume(t1.array * np.float32(ratio), t1.geometry, t1.name)
