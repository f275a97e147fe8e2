"""T1 before contrast: what was bright already, what enhances beyond doubt, what only the comparison shows."""

from dataclasses import replace

import numpy as np

from BMVascularCore.lesions import shapes
from BMVascularCore.volume import Volume

# by how much more than its surroundings a lesion must brighten, and how much of that proves enhancement
_LEAST_GAIN, _PROVEN_GAIN = 0.08, 0.15
# doubts that proven enhancement settles begin with
_SETTLED = ("hardly brighter", "faint")
# T1 below this share of the head's level divides noise by noise
_FLOOR = 0.4
# surroundings of a click that must brighten for it to be looked at again
_NEAR_MM = 1.5
# without anatomy, what is so much brighter than the wide region is a mass
_MASS_LEVEL = 1.08
# edge that what only the comparison shows must have
_SEEN = 0.8
_SHOWN = "stands out against T1 only: hardly brighter than its surroundings on T1c"


def with_t1(ready, lesion):
    """A lesion of T1c read with T1: flagged where T1 is as bright, freed of doubts where contrast made it bright.

    Parameters
    ----------
    ready : Prepared
    lesion : Lesion
        Its reasons and confidence are changed in place.

    Returns
    -------
    Lesion
    """
    inside = lesion.fraction >= 0.5
    if ready.t1 is None or not inside.any():
        return lesion
    before = ready.t1.array[lesion.window]
    around = (ready.head[lesion.window] & (lesion.fraction < 0.05)) & (before > 0.3 * ready.level)
    good = inside & (before > 0.05 * ready.level)
    if not good.any() or around.sum() < 20:
        return lesion
    image = ready.t1c.array[lesion.window]
    gain = float(np.median(image[good] / before[good]) - np.median(image[around] / before[around]))
    if gain < _LEAST_GAIN:
        lesion.reasons.append("as bright on T1 before contrast: blood, fat or no enhancement")
        lesion.confidence = "low"
    elif gain >= _PROVEN_GAIN and lesion.confidence == "low":
        lesion.reasons[:] = _unsettled(lesion)
        lesion.confidence = "low" if lesion.reasons else "good"
    return lesion


def _unsettled(lesion):
    return [text for text in lesion.reasons if not text.startswith(_SETTLED)]


def enhancement(ready):
    """The volume as T1c over T1, at the level of T1c: anatomy and coil shading cancel, enhancement stays.

    Parameters
    ----------
    ready : Prepared
        With T1.

    Returns
    -------
    Prepared
        Without companions; worked out once a volume.
    """

    def work():
        before = np.maximum(ready.t1.array, np.float32(_FLOOR * ready.level))
        ratio = ready.t1c.array / before
        head = ready.head
        usual = float(np.median(ratio[head][:: max(1, int(head.sum()) // 200000)]))
        ratio *= np.float32(ready.level / max(usual, 1e-6))
        # noise of both, as far as they are alike
        return replace(
            ready,
            t1c=Volume(ratio, ready.t1c.geometry, ready.t1c.name),
            noise=ready.noise * np.sqrt(2.0),
            mass_level=_MASS_LEVEL,
            t1=None,
            flair=None,
            swi=None,
            _known={},
        )

    return ready.once("enhancement", work)


def may_enhance(ready, point):
    """Whether T1c is brighter than T1 around an image index by more than usual.

    Parameters
    ----------
    ready : Prepared
    point : ndarray of 3 float
    """
    shown = enhancement(ready)
    reach = np.ceil(_NEAR_MM / np.asarray(shown.t1c.geometry.spacing_kji_mm)).astype(int)
    at = np.rint(point).astype(int)
    box = tuple(slice(max(0, a - r), a + r + 1) for a, r in zip(at, reach, strict=True))
    return float(np.median(shown.t1c.array[box])) > (1.0 + _LEAST_GAIN) * shown.level


def shown_by_t1(ready, lesion):
    """What was found on :func:`enhancement`, in the units of T1c and flagged, or None where it is no lesion.

    Parameters
    ----------
    ready : Prepared
    lesion : Lesion or str

    Returns
    -------
    Lesion or None
    """
    if isinstance(lesion, str) or lesion.edge_seen < _SEEN or _unsettled(lesion):
        return None
    inside = lesion.fraction >= 0.5
    spacing = float(np.mean(ready.t1c.geometry.spacing_mm))
    away = shapes.distance_mm(inside, spacing, 4.0)
    shell = (away > 0.8) & (away <= 4.0) & ready.head[lesion.window]
    if not inside.any() or not shell.any():
        return None
    image = ready.t1c.array[lesion.window]
    high, low = float(np.median(image[inside])), float(np.median(image[shell]))
    if high <= low:
        return None
    return replace(
        lesion,
        inside_level=high,
        outside_level=low,
        contrast_to_noise=(high - low) / ready.noise,
        reasons=[_SHOWN],
        confidence="low",
    )
