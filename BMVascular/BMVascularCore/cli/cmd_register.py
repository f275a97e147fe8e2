"""``register``: rigid registration with a measured verdict."""

from BMVascularCore.io import read_mask, read_volume, write_volume
from BMVascularCore.io.images import output_ending
from BMVascularCore.io.transforms import read_transform, write_transform
from BMVascularCore.planning.head_mask import is_ct
from BMVascularCore.planning.registration import register_rigid
from BMVascularCore.volume import resample

HELP = "Register MOVING to FIXED rigidly and measure how far the result can be trusted."


def add_arguments(parser):
    """Options of ``register``."""
    parser.add_argument("fixed", metavar="FIXED", help="fixed image (the planning CT); it is never resampled")
    parser.add_argument("moving", metavar="MOVING", help="moving image (the MRI)")
    parser.add_argument("--fixed-mask", metavar="FILE", help="where to look, on the fixed image's grid")
    parser.add_argument(
        "--initial", metavar="TFM", help="starting transform, fixed to moving points (ITK, LPS)"
    )
    parser.add_argument(
        "--point",
        action="append",
        default=[],
        metavar="R,A,S[=NAME]",
        help="place in the fixed image for which the expected error is wanted (repeat)",
    )


def run(args, folder, call):
    """Run ``register``; see ``BMVascularCore.cli``."""
    fixed = read_volume(call.add_input("fixed", args.fixed))
    moving = read_volume(call.add_input("moving", args.moving))
    mask = None
    if args.fixed_mask:
        mask = read_mask(call.add_input("fixed_mask", args.fixed_mask), fixed.geometry, fixed.name)
    initial = read_transform(call.add_input("initial", args.initial)) if args.initial else None
    points = [call.point_lps(text, "--point") for text in args.point]
    result = register_rigid(
        fixed, moving, mask, initial, [p for p, _ in points] or None, progress=call.progress
    )
    write_transform(folder.file("transform.tfm"), result.transform)
    outside = -1000.0 if is_ct(moving) else 0.0
    write_volume(
        folder.file(f"registered{output_ending(args.moving)}"),
        resample(moving, fixed.geometry, result.transform, outside=outside),
    )
    names = [name or f"P{number}" for number, (_, name) in enumerate(points, start=1)]
    call.top_level.update(
        verdict=result.verdict,
        reasons=result.reasons,
        notes=result.notes,
        restart_spread_mm=result.restart_spread_mm,
        inverse_consistency_mm=result.inverse_consistency_mm,
        surface_distance_mm=result.surface_distance_mm,
        overlap=result.overlap,
        rotation_deg=result.rotation_deg,
        translation_mm=result.translation_mm,
        points=[{"name": name, **row} for name, row in zip(names, result.points, strict=True)],
    )
    call.units.update(
        restart_spread_mm="mm",
        inverse_consistency_mm="mm",
        surface_distance_mm="mm",
        overlap="fraction",
        rotation_deg="degree",
        translation_mm="mm",
    )
    return {"verdict": result.verdict, "metric": result.metric}
