"""Frame times of a series: where they come from, and whether they can be true.

Slicer and many converters lose or distort frame times (repetition time taken as frame time,
milliseconds read as seconds, the clock passing midnight). Times are therefore never assumed.
"""

from pathlib import Path

import numpy as np

from BMVascularCore.errors import InputError

_SECONDS_PER_DAY = 86400.0
# no dynamic contrast series is faster or slower than this
_POSSIBLE_FRAME_S = (0.1, 300.0)


def check_times(times_s, name):
    """Check that frame times can be used.

    Parameters
    ----------
    times_s : array_like, shape (t,)
    name : str
        The series, for messages.

    Returns
    -------
    times_s : ndarray, shape (t,)
        Seconds from the first frame.
    warnings : list of str
        What looks wrong although it can be computed with.

    Raises
    ------
    InputError
        When times are not finite, do not increase, or cannot be seconds.
    """
    times = np.asarray(times_s, dtype=float)
    if not np.isfinite(times).all():
        raise InputError(
            "frame times hold values that are not numbers",
            name,
            "Give frame times in seconds (--times, --dt).",
        )
    steps = np.diff(times)
    if (steps < -_SECONDS_PER_DAY / 2).sum() == 1:
        # the clock passed midnight once
        times = times.copy()
        times[int(np.argmin(steps)) + 1 :] += _SECONDS_PER_DAY
        steps = np.diff(times)
    if (steps <= 0).any():
        frame = int(np.argmax(steps <= 0)) + 1
        raise InputError(
            f"frame times do not increase at frame {frame + 1}",
            name,
            "Give increasing frame times in seconds (--times, --dt).",
        )
    warnings = []
    if len(steps):
        step = float(np.median(steps))
        if not _POSSIBLE_FRAME_S[0] <= step <= _POSSIBLE_FRAME_S[1]:
            guess = "look like milliseconds" if step > 1 else "are minutes, or the repetition time"
            raise InputError(
                f"the median frame time of {step:g} s is not possible; the times {guess}",
                name,
                "Give frame times in seconds (--times, --dt).",
            )
        if step > 60:
            warnings.append(f"{name}: median frame time {step:g} s is long; are the times in milliseconds?")
        if step < 0.2:
            warnings.append(f"{name}: median frame time {step:g} s is short; is it the repetition time?")
        if steps.max() > 1.5 * steps.min():
            warnings.append(
                f"{name}: frames are uneven ({steps.min():.3g} to {steps.max():.3g} s); "
                "the true times are used."
            )
    return times - times[0], warnings


def read_times(path):
    """Read frame times in seconds from a text or CSV file: the first numeric column.

    Raises
    ------
    InputError
        When the file is missing or holds no numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("this file of frame times does not exist", path.name, "Check the path.")
    times = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        cell = line.replace(";", ",").split(",")[0].split("#")[0].strip()
        if not cell:
            continue
        values = cell.split()
        try:
            times.extend(float(value) for value in values)
        except ValueError as error:
            if times:
                raise InputError(
                    f"line {number} is not a time in seconds",
                    path.name,
                    "Write one number of seconds per line.",
                ) from error
    if not times:
        raise InputError("holds no frame times", path.name, "Write one number of seconds per line.")
    return np.asarray(times)


def choose_times(n_frames, name, times_s=None, dt_s=None, header=None):
    """Decide on the frame times: typed in, else read from the header, else refuse.

    Parameters
    ----------
    n_frames : int
    name : str
    times_s : array_like, optional
        Typed-in times in seconds.
    dt_s : float, optional
        Typed-in frame time in seconds.
    header : tuple (array_like, str), optional
        Times found in the file and where they were found.

    Returns
    -------
    times_s : ndarray, shape (n_frames,)
    source : str
    warnings : list of str

    Raises
    ------
    InputError
        No times, a wrong number of them, or times that do not increase.
    """
    if times_s is not None:
        source = "given by the user"
    elif dt_s is not None:
        if not np.isfinite(dt_s) or dt_s <= 0:
            raise InputError(f"frame time {dt_s} s is not positive", "--dt", "Give seconds per frame.")
        times_s, source = np.arange(n_frames) * float(dt_s), f"frame time of {dt_s:g} s given by the user"
    elif header is not None:
        times_s, source = header
    else:
        raise InputError(
            "holds no frame times", name, "Give seconds per frame (--dt) or all frame times (--times)."
        )
    times_s = np.asarray(times_s, dtype=float)
    if len(times_s) != n_frames:
        raise InputError(
            f"{len(times_s)} frame times for {n_frames} frames",
            name,
            "Give one time in seconds for each frame.",
        )
    times_s, warnings = check_times(times_s, name)
    return times_s, source, warnings
