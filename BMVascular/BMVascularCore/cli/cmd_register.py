"""``register``: rigid registration with a measured verdict."""

from pathlib import Path

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.io import read_mask, read_volume, write_volume
from BMVascularCore.io.images import output_ending
from BMVascularCore.io.transforms import write_transform
from BMVascularCore.planning.head_mask import is_ct
from BMVascularCore.planning.image_checks import (
    check_images,
    far_points,
    frame_check,
    header_facts,
    largest_motion_mm,
    parse_day,
)
from BMVascularCore.planning.registration import check_rigid, register_rigid
from BMVascularCore.planning.registration_start import read_given, rigid_of_landmarks
from BMVascularCore.volume import resample

HELP = (
    "Register MOVING to FIXED rigidly, or check a given registration, and measure how far it can be trusted."
)
_NUMBERS = {
    "restart_spread_mm": "mm",
    "inverse_consistency_mm": "mm",
    "surface_distance_mm": "mm",
    "skull_distance_mm": "mm",
    "skull_rest_mm": "mm",
    "overlap": "fraction",
    "rotation_deg": "degree",
    "translation_mm": "mm",
}


def add_arguments(parser):
    """Options of ``register``."""
    parser.add_argument("fixed", metavar="FIXED", help="fixed image (the planning CT); it is never resampled")
    parser.add_argument("moving", metavar="MOVING", help="moving image (the MRI)")
    parser.add_argument("--fixed-mask", metavar="FILE", help="where to look, on the fixed image's grid")
    given = parser.add_mutually_exclusive_group()
    given.add_argument(
        "--initial", metavar="FILE",
        help="start from this registration: ITK or Slicer transform (fixed to moving points, LPS) or DICOM REG",
    )  # fmt: skip
    given.add_argument(
        "--landmark", action="append", default=[], metavar="R,A,S:R,A,S",
        help="the same place in FIXED and MOVING, to start from (three or more)",
    )  # fmt: skip
    given.add_argument(
        "--check", metavar="FILE",
        help="measure this registration and change nothing (files as for --initial)",
    )  # fmt: skip
    parser.add_argument(
        "--point",
        action="append",
        default=[],
        metavar="R,A,S[=NAME]",
        help="place in the fixed image for which the expected error is wanted (repeat)",
    )
    parser.add_argument(
        "--planned-date",
        metavar="DAY",
        help="day of the treatment, for the age of the MRI; it is not written anywhere",
    )
    parser.add_argument(
        "--mri-age-days", type=int, metavar="N", help="age of the MRI where no header says it"
    )


def run(args, folder, call):
    """Run ``register``; see ``BMVascularCore.cli``."""
    planned = parse_day(args.planned_date, "--planned-date") if args.planned_date else None
    points = [call.point_lps(text, "--point") for text in args.point]
    pairs = [_pair(call, text) for text in args.landmark]
    fixed = read_volume(call.add_input("fixed", args.fixed))
    moving = read_volume(call.add_input("moving", args.moving))
    facts = [header_facts(Path(path)) for path in (args.fixed, args.moving)]
    checks = check_images(fixed, moving, *facts, planned, args.mri_age_days)
    result = _registration(args, call, fixed, moving, facts, pairs, [p for p, _ in points])
    names = [name or f"P{number}" for number, (_, name) in enumerate(points, start=1)]
    checks = _after(checks, fixed, moving, facts, result, points, names)
    result.take(checks)
    write_transform(folder.file("transform.tfm"), result.transform)
    outside = -1000.0 if is_ct(moving) else 0.0
    write_volume(
        folder.file(f"registered{output_ending(args.moving)}"),
        resample(moving, fixed.geometry, result.transform, outside=outside),
    )
    call.top_level.update(verdict=result.verdict, reasons=result.reasons, notes=result.notes)
    call.top_level.update({name: getattr(result, name) for name in _NUMBERS})
    call.top_level.update(
        checks=[check.row() for check in checks],
        points=[{"name": name, **row} for name, row in zip(names, result.points, strict=True)],
    )
    call.units.update(_NUMBERS, expected_error_mm="mm", upper_mm="mm")
    return {"verdict": result.verdict, "metric": result.metric}


def _pair(call, text):
    fixed, colon, moving = text.partition(":")
    if not colon:
        raise InputError(
            f"'{text}' is not a pair of positions",
            "--landmark",
            "Write R,A,S:R,A,S, first in FIXED, then in MOVING.",
        )
    return tuple(call.point_lps(part, "--landmark")[0] for part in (fixed, moving))


def _registration(args, call, fixed, moving, facts, pairs, points):
    uids = [
        side.frame_uid or volume.meta.get("frame_of_reference_uid")
        for side, volume in zip(facts, (fixed, moving), strict=True)
    ]
    if args.check:
        if args.fixed_mask:
            raise InputError("is of no use with --check", "--fixed-mask", "Leave one of them out.")
        given = read_given(call.add_input("check", args.check), *uids)
        return check_rigid(fixed, moving, given, points or None, call.progress)
    mask = None
    if args.fixed_mask:
        mask = read_mask(call.add_input("fixed_mask", args.fixed_mask), fixed.geometry, fixed.name)
    initial, note = None, None
    if args.initial:
        initial = read_given(call.add_input("initial", args.initial), *uids)
    elif pairs:
        initial, residual = rigid_of_landmarks(*np.array(pairs, float).swapaxes(0, 1))
        note = f"start from {len(pairs)} landmarks, which fit to {residual:.1f} mm (root mean square)"
    result = register_rigid(fixed, moving, mask, initial, points or None, progress=call.progress)
    if note:
        result.notes.append(note)
    return result


def _after(checks, fixed, moving, facts, result, points, names):
    """What can only be said once the pose is known."""
    moved = [c for c in checks if c.name != "frame of reference"]
    moved.insert(1, frame_check(fixed, moving, *facts, moved_mm=largest_motion_mm(result.transform, fixed)))
    if points and not is_ct(moving) and facts[1].frame_uid:
        there = [result.transform.TransformPoint(p) for p, _ in points]
        moved += far_points(there, names)
    return moved
