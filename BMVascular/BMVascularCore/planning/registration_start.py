"""Transforms that come from elsewhere: landmarks of the user, transform files, DICOM registration objects."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom.misc import is_dicom

from BMVascularCore.errors import InputError
from BMVascularCore.io.transforms import read_transform
from BMVascularCore.planning.registration_engine import as_euler
from BMVascularCore.planning.spatial_registration import read_registration

# points that lie nearly on a line do not fix the rotation about it
_LEAST_WIDTH_MM = 10.0


def rigid_of_landmarks(fixed_lps_mm, moving_lps_mm):
    """Rigid transform that brings landmarks together, by least squares (Kabsch 1976).

    Parameters
    ----------
    fixed_lps_mm, moving_lps_mm : array_like, shape (n, 3)
        The same places in both images, in the same order; at least three, not on a line.

    Returns
    -------
    transform : SimpleITK.Euler3DTransform
        Fixed to moving points.
    residual_mm : float
        Root mean square distance that is left; it is not the error at a lesion.

    Raises
    ------
    InputError
        Fewer than three pairs, unequal numbers, points on a line.
    """
    fixed, moving = (np.asarray(p, float).reshape(-1, 3) for p in (fixed_lps_mm, moving_lps_mm))
    if len(fixed) != len(moving):
        raise InputError(
            f"{len(fixed)} points in the fixed and {len(moving)} in the moving image", "landmarks",
            "Give the same places in both, in the same order.",
        )  # fmt: skip
    if len(fixed) < 3:
        raise InputError(f"{len(fixed)} pairs are given, three are needed", "landmarks", "Add landmarks.")
    centres = fixed.mean(axis=0), moving.mean(axis=0)
    for points, centre in zip((fixed, moving), centres, strict=True):
        if np.linalg.svd(points - centre, compute_uv=False)[1] < _LEAST_WIDTH_MM:
            raise InputError(
                "the points lie nearly on a line", "landmarks", "Choose places that span a triangle."
            )
    u, _, v = np.linalg.svd((moving - centres[1]).T @ (fixed - centres[0]))
    turn = u @ np.diag([1.0, 1.0, np.linalg.det(u @ v)]) @ v
    euler = sitk.Euler3DTransform()
    euler.SetCenter(centres[0].tolist())
    euler.SetMatrix(turn.ravel().tolist(), 1e-6)
    euler.SetTranslation((centres[1] - centres[0]).tolist())
    there = (fixed - centres[0]) @ turn.T + centres[1]
    return euler, float(np.sqrt(((there - moving) ** 2).sum(axis=1).mean()))


def read_given(path, fixed_uid=None, moving_uid=None):
    """Read a rigid registration made elsewhere.

    Parameters
    ----------
    path : path-like
        ITK or Slicer transform file (.tfm, .txt, .h5, .mat; fixed to moving points, LPS), or a DICOM spatial
        registration object.
    fixed_uid, moving_uid : str, optional
        Frames of reference of the images, to find the right matrix of a DICOM object.

    Returns
    -------
    SimpleITK.Euler3DTransform
        Fixed to moving points.

    Raises
    ------
    InputError
        Unreadable, not rigid, or for other frames of reference.
    """
    path = Path(path)
    if path.is_file() and is_dicom(path):
        transform = _of_dicom(path, fixed_uid, moving_uid)
    else:
        transform = read_transform(path)
    try:
        return as_euler(transform, (0.0, 0.0, 0.0))
    except ValueError as error:
        raise InputError(
            "is not rigid", path.name, "Give a rigid transform: no scale, shear or warp."
        ) from error


def _of_dicom(path, fixed_uid, moving_uid):
    found = read_registration(path, fixed_uid or None)
    fitting = [each for each in found if not moving_uid or each.source_frame_uid == moving_uid]
    if len(fitting) == 1:
        return fitting[0].transform()
    if not fitting:
        raise InputError(
            "does not concern the frame of reference of the moving image", path.name, "Give the right object."
        )
    raise InputError(
        f"holds {len(fitting)} registrations and the image does not say which frame of reference is its own",
        path.name,
        "Give the moving image as a DICOM folder.",
    )
