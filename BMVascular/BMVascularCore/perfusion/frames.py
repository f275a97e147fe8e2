"""Frames of a series that hold nothing."""

from dataclasses import replace

import numpy as np

from BMVascularCore.errors import InputError

_MOST_LOST = 0.1


def without_lost_frames(series, mask=None, zero_is_lost=True, baseline=None):
    """The series without frames that were lost in export (empty throughout), if those are few.

    Their times go with them: everything downstream works on uneven times.

    Parameters
    ----------
    series : Series
    mask : ndarray of bool, shape (k, j, i), optional
    zero_is_lost : bool
        A frame of zeros is lost, too (raw signal).
    baseline : (int, int), optional
        Baseline frames that the user gave.

    Returns
    -------
    Series
        The same object where nothing is lost, or more than a tenth of the frames.

    Raises
    ------
    InputError
        A lost frame before the end of the given baseline: its numbers would shift.
    """
    lost = []
    for number, frame in enumerate(series.array):
        inside = frame if mask is None or mask.shape != frame.shape else frame[mask]
        empty = ~np.isfinite(inside)
        if zero_is_lost:
            empty |= inside == 0
        if inside.size and empty.all():
            lost.append(number)
    if not lost or len(lost) > _MOST_LOST * len(series.array):
        return series
    if baseline is not None and min(lost) < baseline[1]:
        raise InputError(
            f"frame {min(lost)} holds no value and lies before the end of the baseline",
            series.name,
            "Leave --baseline out.",
        )
    keep = np.setdiff1d(np.arange(len(series.array)), lost)
    numbers = ", ".join(map(str, lost))
    note = f"{series.name}: frame(s) {numbers} (counted from 0) hold no value and are left out."
    meta = {**series.meta, "warnings": [*series.meta.get("warnings", []), note]}
    return replace(series, array=series.array[keep], times_s=series.times_s[keep], meta=meta)
