"""``t1map``: T1 and M0 from spoiled gradient echoes at several flip angles."""

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.io.images import output_ending, read_mask, read_volume, write_volume
from BMVascularCore.perfusion.t1 import fit_vfa
from BMVascularCore.volume import require_same_grid

HELP = "T1 map from two or more spoiled gradient echo images with different flip angles"


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


def run(args, folder, call):
    """Run the command."""
    pairs = [split_spgr(text) for group in args.spgr for text in group]
    if not 0.5 <= args.tr <= 500:
        raise InputError(f"repetition time {args.tr:g} ms is implausible", "--tr", "Give milliseconds.")
    images = [read_volume(call.add_input(f"spgr {flip:g} degrees", path)) for path, flip in pairs]
    first = images[0]
    for image in images[1:]:
        require_same_grid(image.geometry, first.geometry, image.name, first.name)
    b1 = read_b1(args.b1, first, call)
    mask = None
    if args.mask:
        mask = read_mask(call.add_input("mask", args.mask), first.geometry, first.name).array
    signals = np.stack([image.array for image in images])
    result = fit_vfa(
        signals, [flip for _, flip in pairs], args.tr / 1000, b1, mask, args.method, call.progress
    )
    ending = output_ending(pairs[0][0])
    units = {"t1": "s", "m0": "signal", "se_t1": "s"}
    for name, array in (("t1", result.t1_s), ("m0", result.m0), ("se_t1", result.se_t1_s)):
        if np.isfinite(array).any() or name != "se_t1":
            write_volume(folder.file(name + ending), first.like(array.astype(np.float32), name))
            call.units[name] = units[name]
    if not result.valid.any():
        raise InputError(
            "no voxel gives a plausible T1", first.name, "Check the flip angles and the repetition time."
        )
    return {
        "voxels_measured": int(result.valid.sum()),
        "voxels_asked": int(result.valid.size if mask is None else mask.sum()),
        "median_t1_s": float(np.median(result.t1_s[result.valid])),
        "method": args.method,
        "b1_corrected": b1 is not None,
    }


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
