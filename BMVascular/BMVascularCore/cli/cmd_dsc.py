"""``bmvascular dsc``: DSC series to perfusion maps."""

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.io.images import output_ending, read_mask, write_volume
from BMVascularCore.io.series import read_series
from BMVascularCore.io.tables import read_curve, write_curves
from BMVascularCore.io.times import read_times
from BMVascularCore.perfusion.dsc import DscSettings, run_dsc
from BMVascularCore.volume import Volume

HELP = "DSC series to rCBV, nRCBV, K2, CBF, MTT, Tmax, TTP, PSR and PH maps"

_AIF_COLUMNS = ("delta_r2s_per_s", "dr2s", "concentration_mM", "concentration", "value")


def add_arguments(parser):
    """Options of ``dsc``."""
    parser.add_argument("series", help="4D image, Slicer sequence, MultiVolume or DICOM folder")
    parser.add_argument("--times", metavar="FILE", help="frame times in seconds, one a line")
    parser.add_argument("--dt", type=float, metavar="S", help="seconds per frame")
    parser.add_argument("--te", type=float, metavar="MS", help="echo time in ms (obligatory for raw signal)")
    parser.add_argument("--flip", type=float, metavar="DEG", help="flip angle in degrees")
    parser.add_argument("--tr", type=float, metavar="MS", help="repetition time in ms")
    parser.add_argument(
        "--preload", choices=("yes", "no", "unknown"), default="unknown", help="preload dose given"
    )
    parser.add_argument("--second-echo", metavar="FILE", help="series of the other echo")
    parser.add_argument("--te2", type=float, metavar="MS", help="its echo time in ms")
    parser.add_argument(
        "--input", choices=("signal", "dr2s", "concentration"), default="signal", help="what the series holds"
    )
    masks = parser.add_argument_group("masks")
    masks.add_argument("--mask", metavar="FILE", help="brain")
    masks.add_argument("--exclude", metavar="FILE", help="lesion and oedema, kept out of reference tissue")
    masks.add_argument("--nawm", metavar="FILE", help="normal-appearing white matter")
    arterial = parser.add_mutually_exclusive_group()
    arterial.add_argument("--aif", metavar="CSV", help="arterial input: time_s and one column of values")
    arterial.add_argument("--aif-mask", metavar="FILE", help="arterial voxels")
    how = parser.add_argument_group("method")
    how.add_argument("--leakage", choices=("none", "bsw", "bidirectional", "auto"), default="auto")
    how.add_argument("--deconvolution", choices=("osvd", "csvd", "ssvd", "none"), default="osvd")
    how.add_argument(
        "--baseline", metavar="A:B", help="baseline frames, from A up to but not including B, counted from 0"
    )
    how.add_argument("--skip", type=int, metavar="N", help="frames dropped at the start")
    how.add_argument(
        "--motion", choices=("auto", "on", "off"), default="auto", help="registration of the frames"
    )


def run(args, folder, call):
    """Read, process, write."""
    call.progress(0.0, "Reading")
    series = _read(args.series, args, call, "series")
    second = None if args.second_echo is None else _read(args.second_echo, args, call, "second echo")
    masks = {
        role: _read_mask(getattr(args, role), role, series, call) for role in ("mask", "exclude", "nawm")
    }
    aif = _aif(args, series, call)
    result = run_dsc(series, _settings(args), **masks, aif=aif, second=second, progress=call.progress)
    for text in result.warnings:
        call.warn(text)
    _write(result, series, output_ending(args.series), folder, call)
    call.top_level["methods"] = result.methods_text
    return {**result.summary, "medians": _medians(result)}


def _read(path, args, call, role):
    times = None if args.times is None else read_times(call.add_input("times", args.times))
    return read_series(call.add_input(role, path), times, args.dt)


def _read_mask(path, role, series, call):
    if path is None:
        return None
    return read_mask(call.add_input(role, path), series.geometry, series.name)


def _aif(args, series, call):
    if args.aif is not None:
        times, values, _ = read_curve(call.add_input("aif", args.aif), _AIF_COLUMNS)
        # the clock of the series starts at its first frame
        return times - (0.0 if args.times is None else read_times(args.times)[0]), values
    return _read_mask(args.aif_mask, "aif mask", series, call)


def _settings(args):
    return DscSettings(
        te_ms=args.te,
        flip_deg=args.flip,
        tr_ms=args.tr,
        te2_ms=args.te2,
        preload=args.preload,
        input=args.input,
        leakage=args.leakage,
        deconvolution=args.deconvolution,
        skip=args.skip,
        baseline=_frames(args.baseline),
        motion=args.motion,
    )


def _frames(text):
    """``A:B`` as two frame numbers."""
    if text is None:
        return None
    first, _, stop = text.partition(":")
    try:
        return int(first), int(stop)
    except ValueError as error:
        raise InputError(
            f"'{text}' is not A:B", "--baseline", "Write two frame numbers, for example 2:12."
        ) from error


def _write(result, series, ending, folder, call):
    for name, image in result.maps.items():
        write_volume(folder.file(f"{name}{ending}"), Volume(image, series.geometry))
        call.units[name] = result.units[name]
    masks = {"brain": result.brain, "nawm": result.nawm, "usable": result.valid}
    for name, image in masks.items():
        write_volume(folder.file(f"{name}{ending}"), Volume(image, series.geometry))
    write_volume(folder.file(f"flags{ending}"), Volume(result.flags, series.geometry))
    columns = {"time_s": result.times_s, "delta_r2s_per_s": np.full(len(result.times_s), np.nan)}
    if result.aif is not None:
        columns["delta_r2s_per_s"] = result.aif.curve
        marked = np.zeros(result.brain.shape, bool)
        marked.ravel()[result.aif.voxels] = True
        write_volume(folder.file(f"aif_mask{ending}"), Volume(marked, series.geometry))
    write_curves(folder.file("aif.csv"), columns)
    write_curves(
        folder.file("curves.csv"),
        {
            "time_s": result.times_s,
            "brain_delta_r2s_per_s": result.mean_curve,
            "reference_delta_r2s_per_s": result.reference_curve,
        },
    )


def _medians(result):
    """Median of each map over usable brain, and over the reference white matter."""
    out = {}
    for name, image in result.maps.items():
        brain, white = image[result.valid], image[result.nawm]
        out[name] = {
            "usable_brain": float(np.nanmedian(brain)) if np.isfinite(brain).any() else None,
            "nawm": float(np.nanmedian(white)) if np.isfinite(white).any() else None,
        }
    return out
