"""What a rotation costs a lesion that lies away from a shared isocentre."""

from dataclasses import dataclass

import numpy as np

from BMVascularCore.errors import InputError


@dataclass(frozen=True)
class RotationMargin:
    """Displacement and margin of one lesion.

    Attributes
    ----------
    name : str
    distance_mm : float
        From the isocentre to the lesion's centre.
    displacement_mm : float
        Chord 2 d sin(angle / 2).
    margin_mm : float
        Root of translation squared plus displacement squared.
    volume_factor : float
        Volume of the sphere grown by the margin over the sphere of the lesion.
    """

    name: str
    distance_mm: float
    displacement_mm: float
    margin_mm: float
    volume_factor: float


def rotation_displacement_mm(distance_mm, angle_deg):
    """Displacement of a point by a rotation about the isocentre: the chord 2 d sin(angle / 2), mm."""
    return 2.0 * np.asarray(distance_mm, float) * np.sin(np.radians(angle_deg) / 2.0)


def rotation_margins(
    names, centres_lps_mm, diameters_mm, angle_deg, translation_mm=0.0, isocentre_lps_mm=None
):
    """Margins of several lesions treated with one isocentre.

    Parameters
    ----------
    names : list of str
    centres_lps_mm : array_like, shape (n, 3)
    diameters_mm : array_like, shape (n,)
    angle_deg : float
        Residual rotation of the patient, 0 to 10 degrees.
    translation_mm : float
        Margin for residual translation.
    isocentre_lps_mm : array_like, shape (3,), optional
        The mean of the centres by default.

    Returns
    -------
    list of RotationMargin

    Raises
    ------
    InputError
        Angle or translation outside what can be.
    """
    if not 0.0 <= angle_deg <= 10.0 or not 0.0 <= translation_mm <= 20.0:
        raise InputError(
            f"a rotation of {angle_deg:g} deg with {translation_mm:g} mm cannot be used",
            "setup error",
            "Give 0 to 10 deg and 0 to 20 mm.",
        )
    centres = np.asarray(centres_lps_mm, float).reshape(-1, 3)
    centre = centres.mean(axis=0) if isocentre_lps_mm is None else np.asarray(isocentre_lps_mm, float)
    found = []
    for name, point, diameter in zip(names, centres, diameters_mm, strict=True):
        distance = float(np.linalg.norm(point - centre))
        moved = float(rotation_displacement_mm(distance, angle_deg))
        margin = float(np.hypot(moved, translation_mm))
        found.append(RotationMargin(name, distance, moved, margin, ((diameter + 2 * margin) / diameter) ** 3))
    return found
