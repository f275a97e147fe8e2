"""``t1map``: T1 and M0 from spoiled gradient echoes at several flip angles; B1 too with inversion images."""

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.io.images import output_ending, read_mask, read_volume, write_volume
from BMVascularCore.perfusion.hifi import InversionTrain, fit_hifi
from BMVascularCore.perfusion.t1 import fit_vfa
from BMVascularCore.volume import require_same_grid

HELP = "T1 map from spoiled gradient echo images with different flip angles, with B1 from inversion images"


def add_arguments(parser):
    """Add the command's options."""
    parser.add_argument(
        "--spgr",
        action="append",
        required=True,
        nargs="+",
        metavar="FILE:FLIP",
        help="image and its flip angle in degrees",
    )
    parser.add_argument("--tr", type=float, required=True, metavar="MS", help="repetition time, ms")
    parser.add_argument("--b1", metavar="FILE", help="actual over nominal flip angle (1 or 100 is nominal)")
    parser.add_argument("--mask", metavar="FILE", help="voxels to fit")
    parser.add_argument("--method", choices=("nonlinear", "linear"), default="nonlinear")
    group = parser.add_argument_group(
        "with inversion (DESPOT1-HIFI)", "T1 and B1 together; one flip angle without inversion is enough then"
    )
    group.add_argument(
        "--ir",
        action="append",
        nargs="+",
        metavar="FILE:TI:FLIP",
        help="image, ms from the inversion to the first readout pulse, flip angle in degrees",
    )
    group.add_argument("--ir-pulses", type=int, metavar="N", help="readout pulses after each inversion")
    group.add_argument("--ir-spacing", type=float, metavar="MS", help="between readout pulses; default --tr")
    group.add_argument(
        "--ir-delay", type=float, default=0.0, metavar="MS", help="from the last pulse to the next inversion"
    )
    group.add_argument(
        "--ir-centre",
        type=float,
        default=0.5,
        metavar="F",
        help="k-space centre in the train: 0 centric, 0.5 linear",
    )


def split_spgr(text):
    """Split ``FILE:FLIP`` at the last colon (a Windows path holds one more).

    Raises
    ------
    InputError
    """
    path, colon, flip = text.rpartition(":")
    try:
        angle = float(flip.lower().removesuffix("deg"))
    except ValueError:
        angle = None
    if not colon or not path or angle is None:
        raise InputError(
            f"'{text.replace(chr(92), '/').rsplit('/', 1)[-1]}' names no flip angle",
            "--spgr",
            "Write FILE:FLIP, for example spgr05.nii.gz:5.",
        )
    return path, angle


def split_inversion(text):
    """Split ``FILE:TI:FLIP`` at the last two colons; milliseconds and degrees.

    Raises
    ------
    InputError
    """
    rest, _, flip = text.rpartition(":")
    path, _, delay = rest.rpartition(":")
    try:
        return path, float(delay.lower().removesuffix("ms")), float(flip.lower().removesuffix("deg"))
    except ValueError as error:
        raise InputError(
            f"'{text.replace(chr(92), '/').rsplit('/', 1)[-1]}' is not FILE:TI:FLIP",
            "--ir",
            "Write for example ir168.nii.gz:168:5 (ms, degrees).",
        ) from error


def run(args, folder, call):
    """Run the command."""
    pairs = [split_spgr(text) for group in args.spgr for text in group]
    inverted = [split_inversion(text) for group in args.ir or [] for text in group]
    if not 0.5 <= args.tr <= 500:
        raise InputError(f"repetition time {args.tr:g} ms is implausible", "--tr", "Give milliseconds.")
    images = [read_volume(call.add_input(f"spgr {flip:g} degrees", path)) for path, flip in pairs]
    images += [read_volume(call.add_input(f"ir {delay:g} ms", path)) for path, delay, _ in inverted]
    first = images[0]
    for image in images[1:]:
        require_same_grid(image.geometry, first.geometry, image.name, first.name)
    b1 = read_b1(args.b1, first, call)
    mask = None
    if args.mask:
        mask = read_mask(call.add_input("mask", args.mask), first.geometry, first.name).array
    signals = np.stack([image.array for image in images])
    flips = [flip for _, flip in pairs]
    method = args.method
    if inverted:
        method = "hifi"
        train, count = _train(args, inverted), len(pairs)
        result = fit_hifi(
            signals[:count], flips, args.tr / 1000, signals[count:], train, b1, mask, call.progress
        )
    else:
        result = fit_vfa(signals, flips, args.tr / 1000, b1, mask, method, call.progress)
    if not result.valid.any():
        raise InputError(
            "no voxel gives a plausible T1", first.name, "Check the flip angles and the repetition time."
        )
    _write(result, folder, call, first, output_ending(pairs[0][0]))
    summary = {
        "voxels_measured": int(result.valid.sum()),
        "voxels_asked": int(result.valid.size if mask is None else mask.sum()),
        "median_t1_s": float(np.median(result.t1_s[result.valid])),
        "method": method,
        "b1_corrected": b1 is not None or bool(inverted),
    }
    if inverted and b1 is None:
        summary["median_b1"] = float(np.median(result.b1[result.valid]))
    return summary


def _train(args, inverted):
    if args.ir_pulses is None:
        raise InputError(
            "the number of readout pulses is missing", "--ir-pulses", "Give the pulses after each inversion."
        )
    spacing = args.tr if args.ir_spacing is None else args.ir_spacing
    return InversionTrain(
        tuple(delay / 1000 for _, delay, _ in inverted),
        tuple(flip for _, _, flip in inverted),
        args.ir_pulses,
        spacing / 1000,
        args.ir_delay / 1000,
        args.ir_centre,
    )


def _write(result, folder, call, first, ending):
    units = {"t1": "s", "m0": "signal", "se_t1": "s", "b1": "actual over nominal flip angle"}
    maps = {"t1": result.t1_s, "m0": result.m0, "se_t1": result.se_t1_s}
    if hasattr(result, "b1"):
        maps["b1"] = result.b1
    for name, array in maps.items():
        if np.isfinite(array).any() or name != "se_t1":
            write_volume(folder.file(name + ending), first.like(array.astype(np.float32), name))
            call.units[name] = units[name]


def read_b1(path, reference, call):
    """B1 map as a factor on the grid of a reference image, or None; percent is recognised."""
    if not path:
        return None
    image = read_volume(call.add_input("b1", path))
    require_same_grid(image.geometry, reference.geometry, image.name, reference.name)
    b1 = np.asarray(image.array, float)
    positive = b1[np.isfinite(b1) & (b1 > 0)]
    middle = float(np.median(positive)) if len(positive) else 0.0
    if 20 <= middle <= 300:
        call.warn("The B1 map is taken as percent.")
        return b1 / 100.0
    if not 0.2 <= middle <= 3:
        raise InputError(
            f"median B1 of {middle:g} is implausible", image.name, "Give actual over nominal flip angle."
        )
    return b1
