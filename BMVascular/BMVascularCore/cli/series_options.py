"""What the commands that read a time series share: the series with its clock, masks, curves, frame numbers."""

from BMVascularCore.errors import InputError
from BMVascularCore.io.images import read_mask
from BMVascularCore.io.series import read_series
from BMVascularCore.io.tables import read_curve
from BMVascularCore.io.times import read_times


def add_series_arguments(parser):
    """Add the series and its times."""
    parser.add_argument("series", metavar="SERIES", help="4D image, .seq.nrrd, MultiVolume or DICOM folder")
    parser.add_argument("--times", metavar="FILE", help="frame times in seconds, one a line")
    parser.add_argument("--dt", type=float, metavar="S", help="seconds per frame")


def add_baseline_argument(parser):
    """Add the range of baseline frames."""
    parser.add_argument(
        "--baseline", metavar="A:B", help="baseline frames, from A up to but not including B, counted from 0"
    )


def read_timed_series(path, args, call, role="series"):
    """A series on the times of the options, or on those of its file where none are given."""
    times = None if args.times is None else read_times(call.add_input("times", args.times))
    return read_series(call.add_input(role, path), times, args.dt)


def read_role_mask(path, role, geometry, reference_name, call):
    """A boolean Volume on a grid, noted under its role; None where no path is given."""
    if path is None:
        return None
    return read_mask(call.add_input(role, path), geometry, reference_name)


def read_input_curve(args, call, columns=None):
    """The arterial curve of ``--aif`` on the clock of the series, whose first frame is time 0.

    Returns
    -------
    times_s, values : ndarray, shape (n,)
        None where no curve is given.
    """
    if args.aif is None:
        return None
    path = call.add_input("aif", args.aif)
    times, values, _ = read_curve(path) if columns is None else read_curve(path, columns)
    return times - (0.0 if args.times is None else read_times(args.times)[0]), values


def frame_range(text):
    """``A:B`` as two frame numbers, A is 0 where it is left out; None for None.

    Raises
    ------
    InputError
    """
    if text is None:
        return None
    first, _, stop = text.partition(":")
    try:
        return int(first or 0), int(stop)
    except ValueError as error:
        raise InputError(
            f"'{text}' is not A:B", "--baseline", "Write two frame numbers, for example 1:8."
        ) from error
