"""Whether a structure set was drawn on this very CT: two scans may share a frame of reference."""

import numpy as np

# a contour farther from the middle of a slice than this share of the spacing lies between slices
_BETWEEN = 0.15
# so many contours between slices are no rounding and no single interpolated one
_MANY = 0.2


def other_scan_sentence(structures, geometry, series_uid=""):
    """One sentence where a structure set seems to be drawn on another scan of the same frame of reference.

    Parameters
    ----------
    structures : StructureSet
        With contours; masks carry their own grid and are not judged.
    geometry : Geometry
        The planning CT.
    series_uid : str, optional
        Series Instance UID of the planning CT where it is known.

    Returns
    -------
    str
        '' where nothing speaks for another scan.
    """
    contours = [points for one in structures.structures for points in one.contours]
    if not contours:
        return ""
    known = bool(series_uid and structures.series_uids)
    foreign = known and series_uid not in structures.series_uids
    between, outside = _misplaced(contours, geometry)
    if known and not foreign and not outside:
        return ""
    many = between > _MANY * len(contours)
    if not (foreign or many or outside):
        return ""
    facts = ["it refers to the images of another series"] if foreign else []
    facts += [f"{between} of {len(contours)} contours lie between the slices of this CT"] if many else []
    facts += [f"{outside} of {len(contours)} contours reach beyond this CT"] if outside else []
    begin = "was drawn on another scan" if foreign else "may have been drawn on another scan"
    return f"The structure set {begin} of this frame of reference: {'; '.join(facts)}. See whether it fits before use."


def _misplaced(contours, geometry):
    """How many contours lie between slices, and how many reach outside the image."""
    between = outside = 0
    last = np.asarray(geometry.shape) - 0.5
    for points in contours:
        index = geometry.index_of(points)
        slices = index[:, 0]
        between += bool(np.abs(slices - np.rint(slices)).max() > _BETWEEN)
        outside += bool((index < -0.5).any() or (index > last).any())
    return between, outside
