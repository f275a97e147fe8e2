"""Images of one session brought to its contrast-enhanced T1."""

from dataclasses import dataclass

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.planning import registration_engine as engine
from BMVascularCore.planning.head_mask import centroid_mm
from BMVascularCore.planning.registration import session_pair
from BMVascularCore.volume import resample

# below this a shift cannot be told from interpolation, and the scanner's own space is kept
_MOVED_MM = 0.3
# within one session a head moves by millimetres; more means that the registration went astray
_SESSION_LIMIT_MM = 12.0


@dataclass
class Alignment:
    """How one image lies to the T1c.

    Attributes
    ----------
    transform : SimpleITK.Transform or None
        Maps T1c points to the image's points, LPS mm; None where the scanner's space serves.
    moved_mm : float
        Mean displacement over the head.
    note : str
    """

    transform: object
    moved_mm: float
    note: str


def align(t1c_side, image):
    """Find the small motion between the T1c and another image of the session.

    The scanner's own space is the start; a search is not needed and would only add risk.

    Parameters
    ----------
    t1c_side : BMVascularCore.planning.pyramid.Side
        The T1c, prepared once for all images of the session.
    image : Volume

    Returns
    -------
    Alignment
        The identity when the motion found is smaller than can be told, or implausibly large.
    """
    try:
        pyramid = session_pair(t1c_side, image)
    except InputError as error:
        return Alignment(None, 0.0, f"{image.name}: kept in the scanner's space ({error.what})")
    centre = centroid_mm(pyramid.fixed_mask)
    transform, value = engine.optimise(pyramid, engine.COARSE, engine.rigid(centre_mm=centre))
    if np.isfinite(value):
        transform, value = engine.refine(pyramid, transform, engine.MIDDLE)
    moved = _displacement_mm(transform, centre)
    if not np.isfinite(value) or moved > _SESSION_LIMIT_MM:
        return Alignment(
            None,
            0.0,
            f"{image.name}: registration to T1c was implausible ({moved:.0f} mm) and is not used; "
            "check that both belong to one session",
        )
    if moved < _MOVED_MM:
        return Alignment(None, moved, f"{image.name}: no motion against T1c ({moved:.2f} mm)")
    return Alignment(
        transform,
        moved,
        f"{image.name}: moved {moved:.1f} mm against T1c, corrected by rigid registration",
    )


def _displacement_mm(transform, centre):
    """Mean displacement of points 6 cm around the head's centre."""
    probes = centre + 60.0 * np.vstack([np.eye(3), -np.eye(3)])
    return float(
        np.mean([np.linalg.norm(np.subtract(transform.TransformPoint(p.tolist()), p)) for p in probes])
    )


def to_t1c(volume, t1c, alignment, interpolation="linear", outside=0.0):
    """Resample an image onto the T1c's grid through its alignment."""
    return resample(volume, t1c.geometry, alignment.transform, interpolation, outside)


def from_t1c(volume, geometry, alignment, interpolation="nearest"):
    """Resample an image in T1c space (a label map) onto the grid of an aligned image."""
    inverse = alignment.transform.GetInverse() if alignment.transform is not None else None
    return resample(volume, geometry, inverse, interpolation)
