"""``dce``: kinetic parameter maps from a DCE series."""

import numpy as np

from BMVascularCore.cli.cmd_t1map import read_b1
from BMVascularCore.cli.series_options import (
    add_baseline_argument,
    add_series_arguments,
    frame_range,
    read_input_curve,
    read_role_mask,
    read_timed_series,
)
from BMVascularCore.errors import InputError
from BMVascularCore.io import read_volume, write_curves, write_volume
from BMVascularCore.io.images import output_ending
from BMVascularCore.perfusion.dce import run_dce
from BMVascularCore.perfusion.dce_settings import FLAGS, MODEL_INDEX, MODELS, DceSettings
from BMVascularCore.perfusion.population_aif import AIF_SOURCES
from BMVascularCore.volume import Volume, require_same_grid

HELP = "kinetic parameter maps from a DCE series"


def add_arguments(parser):
    """Add the command's options."""
    add_series_arguments(parser)
    parser.add_argument("--tr", type=float, metavar="MS", help="repetition time, ms")
    parser.add_argument("--flip", type=float, metavar="DEG", help="flip angle, degrees")
    parser.add_argument("--t1map", metavar="FILE", help="T1 before the agent, seconds")
    parser.add_argument("--t10", type=float, metavar="S", help="one T1 for all voxels, seconds")
    parser.add_argument("--b1", metavar="FILE", help="actual over nominal flip angle")
    parser.add_argument("--relaxivity", type=float, default=4.5, metavar="R1", help="1/(s mM), default 4.5")
    parser.add_argument("--te", type=float, metavar="MS", help="echo time, ms; with --r2star")
    parser.add_argument(
        "--r2star", type=float, default=0.0, metavar="R2", help="1/(s mM): T2* decay in the signal; default 0"
    )
    parser.add_argument("--hematocrit", type=float, default=0.42, metavar="F", help="default 0.42")
    parser.add_argument("--blood-t1", type=float, default=1.65, metavar="S", help="default 1.65 (3 T)")
    parser.add_argument("--concentration", action="store_true", help="the series holds mM already")
    parser.add_argument("--aif", metavar="CSV", help="time_s,concentration_mM of whole blood")
    parser.add_argument("--aif-plasma", action="store_true", help="--aif is plasma")
    parser.add_argument("--aif-mask", metavar="FILE", help="vessel in which to measure the input function")
    parser.add_argument("--population-aif", choices=tuple(AIF_SOURCES))
    parser.add_argument("--model", choices=MODELS, default="etofts")
    parser.add_argument("--fit-delay", action="store_true", help="fit the arrival delay of each voxel")
    parser.add_argument("--mask", metavar="FILE", help="voxels to analyse")
    add_baseline_argument(parser)


def run(args, folder, call):
    """Run the command."""
    settings = _settings(args)
    series = read_timed_series(args.series, args, call)
    _check_clock(series)
    reference = Volume(series.array[0], series.geometry, series.name)
    mask, vessel = (
        _array(read_role_mask(path, role, series.geometry, series.name, call))
        for path, role in ((args.mask, "mask"), (args.aif_mask, "aif mask"))
    )
    result = run_dce(
        series,
        settings,
        _read_t1(args.t1map, reference, call),
        mask,
        read_input_curve(args, call),
        call.progress,
        vessel,
        read_b1(args.b1, reference, call),
    )
    _write(args, folder, call, series, result)
    for text in result.warnings:
        call.warn(text)
    return {
        **result.summary,
        "aif_quality": result.aif_quality,
        "methods": result.methods_text,
        "flag_meaning": FLAGS,
        "model_index": MODEL_INDEX,
    }


def _settings(args):
    if args.tr is not None and args.tr < 0.5:
        raise InputError(f"repetition time {args.tr:g} ms is implausible", "--tr", "Give milliseconds.")
    if args.aif_plasma and not args.aif:
        raise InputError("says what --aif holds, but there is none", "--aif-plasma", "Give --aif too.")
    if sum(map(bool, (args.aif, args.aif_mask, args.population_aif))) > 1:
        raise InputError(
            "more than one input function", "--aif, --aif-mask, --population-aif", "Give one of them."
        )
    return DceSettings(
        model=args.model,
        tr_s=None if args.tr is None else args.tr / 1000.0,
        flip_deg=args.flip,
        t10_s=args.t10,
        relaxivity=args.relaxivity,
        te_s=None if args.te is None else args.te / 1000.0,
        r2s_relaxivity=args.r2star,
        hematocrit=args.hematocrit,
        concentration=args.concentration,
        aif_is_plasma=args.aif_plasma,
        population_aif=args.population_aif,
        blood_t1_s=args.blood_t1,
        baseline=frame_range(args.baseline),
        fit_delay=args.fit_delay,
    )


def _check_clock(series):
    """Seconds are wanted; times typed in minutes would pass silently through every fit."""
    span = float(series.times_s[-1])
    if span < 30 and len(series.times_s) >= 10:
        raise InputError(
            f"the whole series lasts {span:g} s; a DCE series lasts minutes",
            "--times or --dt",
            "Give frame times in seconds (not minutes).",
        )


def _read_t1(path, reference, call):
    if not path:
        return None
    image = read_volume(call.add_input("t1map", path))
    require_same_grid(image.geometry, reference.geometry, image.name, reference.name)
    t1 = np.asarray(image.array, float)
    positive = t1[np.isfinite(t1) & (t1 > 0)]
    if len(positive) == 0 or np.median(positive) > 30:
        raise InputError(
            "median T1 is not plausible in seconds", image.name, "Give T1 in seconds (not milliseconds)."
        )
    return t1


def _array(volume):
    return None if volume is None else volume.array


def _write(args, folder, call, series, result):
    ending = output_ending(args.series)
    for name, array in result.maps.items():
        array = array if array.dtype == np.uint8 else array.astype(np.float32)
        write_volume(folder.file(name + ending), Volume(array, series.geometry, name))
        call.units[name] = result.units[name]
    if result.aif_mask is not None:
        write_volume(folder.file("aif_mask" + ending), Volume(result.aif_mask, series.geometry, "aif_mask"))
    if np.isfinite(result.aif_plasma_mM).all():
        curve = {"time_s": result.aif_times_s, "concentration_mM": result.aif_plasma_mM}
        write_curves(folder.file("aif.csv"), curve)
        call.units["aif"] = "time_s, concentration_mM (plasma)"
    folder.file("methods.txt").write_text(result.methods_text + "\n", encoding="utf-8")
