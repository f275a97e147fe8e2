"""``bmvascular dsc``: DSC series to perfusion maps."""

import numpy as np

from BMVascularCore.cli.series_options import (
    add_baseline_argument,
    add_series_arguments,
    frame_range,
    read_input_curve,
    read_role_mask,
    read_timed_series,
)
from BMVascularCore.io.images import output_ending, write_volume
from BMVascularCore.io.tables import write_curves
from BMVascularCore.perfusion.dsc import DscSettings, run_dsc
from BMVascularCore.volume import Volume

HELP = "DSC series to rCBV, nRCBV, K2, CBF, MTT, Tmax, TTP, PSR and PH maps"

_AIF_COLUMNS = ("delta_r2s_per_s", "dr2s", "concentration_mM", "concentration", "value")


def add_arguments(parser):
    """Options of ``dsc``."""
    add_series_arguments(parser)
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
    add_baseline_argument(how)
    how.add_argument("--skip", type=int, metavar="N", help="frames dropped at the start")
    how.add_argument(
        "--motion", choices=("auto", "on", "off"), default="auto", help="registration of the frames"
    )


def run(args, folder, call):
    """Read, process, write."""
    call.progress(0.0, "Reading")
    series = read_timed_series(args.series, args, call)
    second = (
        None if args.second_echo is None else read_timed_series(args.second_echo, args, call, "second echo")
    )
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


def _read_mask(path, role, series, call):
    return read_role_mask(path, role, series.geometry, series.name, call)


def _aif(args, series, call):
    if args.aif is not None:
        return read_input_curve(args, call, _AIF_COLUMNS)
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
        baseline=frame_range(args.baseline),
        motion=args.motion,
    )


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
