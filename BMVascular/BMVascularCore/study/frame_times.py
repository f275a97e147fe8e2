"""Frame times of a DICOM series, by order of trust.

Per-frame acquisition times come first, then trigger times, then temporal position times temporal
resolution. The repetition time is never taken for a frame time.
"""

import numpy as np


def clock_seconds(value):
    """Seconds since midnight of a DICOM TM or DT value (``HHMMSS.ffffff``), None when it is not one."""
    text = str(value).strip().replace(":", "")
    if len(text.split(".")[0]) >= 12:  # a DT: the date's days are added below
        day, text = text[:8], text[8:]
        text = text.split("+")[0].split("-")[0]
    else:
        day = None
    whole, _, fraction = text.partition(".")
    if not whole.isdigit() or len(whole) < 4:
        return None
    whole = whole.ljust(6, "0")
    seconds = int(whole[:2]) * 3600 + int(whole[2:4]) * 60 + int(whole[4:6])
    seconds += float(f"0.{fraction}") if fraction.isdigit() else 0.0
    if day is not None and day.isdigit():
        days = np.datetime64(f"{day[:4]}-{day[4:6]}-{day[6:8]}") - np.datetime64("2000-01-01")
        seconds += int(days.astype("timedelta64[D]").astype(int)) * 86400
    return seconds


def header_times(grid, temporal_resolution_ms=None):
    """Frame times stated by the images.

    Parameters
    ----------
    grid : list of list of Plane
        ``grid[t][k]``.
    temporal_resolution_ms : float, optional
        Tag TemporalResolution (0020,0110).

    Returns
    -------
    (ndarray, str) or None
        Seconds (not yet zeroed) and the tag they come from; None when the images state no times.
    """
    for keyword in ("AcquisitionDateTime", "AcquisitionTime", "TriggerTime", "ContentTime"):
        times = _per_frame(grid, keyword)
        if times is not None:
            return times, f"{keyword} of each frame"
    if temporal_resolution_ms and temporal_resolution_ms > 0:
        return np.arange(len(grid)) * temporal_resolution_ms / 1000.0, "TemporalResolution of the series"
    return None


def _per_frame(grid, keyword):
    """Median over slices of a timing tag, None unless it changes with every frame."""
    rows = []
    for frame in grid:
        values = [_value(plane.times.get(keyword), keyword) for plane in frame]
        if any(value is None for value in values):
            return None
        rows.append(values)
    table = np.asarray(rows)
    # the clock may pass midnight between two slices of one frame
    if table.max() - table.min() > 43200 and table.max() < 86400:
        table = np.where(table < 43200, table + 86400, table)
    times = np.median(table, axis=1)
    return times if len(times) > 1 and (np.diff(times) > 0).all() else None


def _value(raw, keyword):
    if raw is None:
        return None
    if keyword == "TriggerTime":
        return float(raw) / 1000.0
    return clock_seconds(raw)
