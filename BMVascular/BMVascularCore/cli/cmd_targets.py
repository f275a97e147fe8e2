"""``targets``: GTV, CTV and PTV of every lesion."""

from pathlib import Path

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.io import read_labels, read_table, read_volume, write_table
from BMVascularCore.planning.barriers import barrier_of_structures, skull_of
from BMVascularCore.planning.contours import rigid_transform
from BMVascularCore.planning.margins import DIRECTIONS
from BMVascularCore.planning.plan_tables import (
    DISTANCE_COLUMNS,
    DOSE_BY_SIZE_COLUMNS,
    NOT_ORGANS,
    distance_table,
    dose_by_size_table,
    setup_columns,
)
from BMVascularCore.planning.sampling import sample_mask, sample_structure
from BMVascularCore.planning.segmentation_file import write_segmentation
from BMVascularCore.planning.structures import holds_structures, read_structures
from BMVascularCore.planning.targets import make_targets
from BMVascularCore.progress import share_of

HELP = "GTV, CTV and PTV of every lesion, with margins in millimetres"


def add_arguments(parser):
    """Options of the command."""
    parser.add_argument("lesions", metavar="LESIONS", help="label image, one number for each lesion")
    parser.add_argument(
        "--shares",
        metavar="FILE",
        help="share of every voxel inside its lesion, 0 to 1 (shares.* of segment): GTVs below the voxel",
    )
    parser.add_argument("--ctv", type=float, metavar="MM", help="margin from GTV to CTV")
    parser.add_argument("--ptv", type=float, metavar="MM", help="margin from CTV to PTV")
    parser.add_argument(
        "--margins",
        metavar="CSV",
        help="one row a lesion: name,ctv_mm,ptv_mm; ptv_left_mm ... ptv_inferior_mm for directional margins",
    )
    parser.add_argument(
        "--barriers",
        metavar="FILE",
        help="what targets may not grow into: mask, or structures (RTSTRUCT, SEG, .seg.nrrd) such as falx, tentorium",
    )
    parser.add_argument(
        "--barrier-names", metavar="NAMES", help="which structures of --barriers, with commas"
    )
    parser.add_argument("--skull", action="store_true", help="bone of --reference (a CT) is a barrier, too")
    parser.add_argument("--organs", metavar="FILE", help="structures to measure distances to (distances.csv)")
    parser.add_argument("--names", metavar="CSV", help="lesions.csv with name,label")
    parser.add_argument("--transform", metavar="TFM", help="maps points of --reference to points of LESIONS")
    parser.add_argument("--reference", metavar="IMAGE", help="planning CT: the targets lie on its axes")
    parser.add_argument(
        "--angle",
        type=float,
        metavar="DEG",
        help="residual rotation about a shared isocentre, for its margin",
    )
    parser.add_argument("--translation", type=float, metavar="MM", help="residual translation beside it")
    parser.add_argument("--isocentre", metavar="R,A,S", help="shared isocentre; the lesions' mean without it")


def run(args, folder, call):
    """Make the targets; returns the summary."""
    labels = read_labels(call.add_input("lesions", args.lesions))
    names = names_by_label(call.add_input("names", args.names))
    if args.transform and not args.reference:
        raise InputError("is given without the planning CT", "--transform", "Add --reference IMAGE.")
    transform = rigid_transform(Path(call.add_input("transform", args.transform))) if args.transform else None
    ct = read_volume(call.add_input("reference", args.reference)) if args.reference else None
    shares = read_volume(call.add_input("shares", args.shares)) if args.shares else None
    setup = _setup(args, call)
    barriers = _barriers(args, call, labels, ct, transform)
    organs = read_structures(call.add_input("organs", args.organs)) if args.organs else None
    ctv, ptv = _margins(args, call, labels, names)
    reference = None if ct is None else ct.geometry
    progress = share_of(call.progress, 0.0, 0.9)
    result = make_targets(labels, names, ctv, ptv, barriers, transform, reference, progress, shares)
    for text in result.warnings:
        call.warn(text)
    write_segmentation(folder.file("targets.seg.nrrd"), result.segments(), result.geometry)
    rows = result.rows()
    if setup is not None:
        found = setup_columns(result.targets, *setup)
        rows = [row | found[row["name"]] for row in rows]
    write_table(folder.file("targets.csv"), rows)
    sizes = {target.name: target.diameter_mm for target in result.targets}
    write_table(folder.file("dose_by_size.csv"), dose_by_size_table(sizes), DOSE_BY_SIZE_COLUMNS)
    if organs is not None or len(rows) > 1:
        _write_distances(folder, call, result, organs)
    call.units.update(
        {"gtv_ml": "mL", "ctv_ml": "mL", "ptv_ml": "mL", "targets": "segments", "distance_mm": "mm"}
    )
    return {
        "lesions": len(rows),
        "method": result.method,
        "grid_mm": list(result.geometry.spacing_mm),
        "barriers": [part.name for part in barriers],
        "dose_by_size": "published reference rows, not a prescription",
    }


def names_by_label(path):
    """Label to name from a table with the columns name and label; empty without a table."""
    if not path:
        return {}
    try:
        return {int(float(row["label"])): row["name"] for row in read_table(path, ("name", "label"))}
    except ValueError as error:
        raise InputError("holds a label that is not a number", Path(path).name, "Mend the row.") from error


def _setup(args, call):
    """Angle, translation and isocentre (LPS); None where no setup error is asked for."""
    if args.angle is None and args.translation is None and args.isocentre is None:
        return None
    if args.angle is None:
        raise InputError("is missing", "--angle", "Give the residual rotation in degrees.")
    point = call.point_lps(args.isocentre, "--isocentre")[0] if args.isocentre else None
    return args.angle, args.translation or 0.0, point


def _barriers(args, call, labels, ct, transform):
    parts = []
    if args.barrier_names and not args.barriers:
        raise InputError("is given without structures", "--barrier-names", "Add --barriers FILE.")
    if args.barriers:
        path = Path(call.add_input("barriers", args.barriers))
        names = [name for name in (args.barrier_names or "").split(",") if name.strip()]
        if holds_structures(path):
            parts += barrier_of_structures(read_structures(path), names)
        elif names:
            parts += barrier_of_structures(read_structures(path, names_by_label(args.names)), names)
        else:
            parts.append(read_volume(path))
    if args.skull:
        if ct is None:
            raise InputError("needs the planning CT", "--skull", "Add --reference CT.")
        points = labels.geometry.points_of(_box_corners(labels.array))
        if transform is not None:
            back = transform.GetInverse()
            points = [back.TransformPoint(point.tolist()) for point in points]
        parts.append(skull_of(ct, points))
    return parts


def _box_corners(array):
    spans = [np.flatnonzero(array.any(axis=tuple(b for b in range(3) if b != axis))) for axis in range(3)]
    if any(len(span) == 0 for span in spans):
        raise InputError("holds no lesion", "LESIONS", "Give a label image with one number for each lesion.")
    return np.array(np.meshgrid(*[(s[0], s[-1]) for s in spans], indexing="ij")).reshape(3, -1).T


def _write_distances(folder, call, result, organs):
    lesions = {t.name: sample_mask(t.masks["GTV"].array, t.masks["GTV"].geometry) for t in result.targets}
    drawn, kinds = {}, {}
    for structure in organs.structures if organs is not None else ():
        if structure.empty or structure.kind in NOT_ORGANS:
            continue
        try:
            drawn[structure.name] = sample_structure(structure)
        except InputError as error:
            call.warn(f"no distance to {structure.name}: {error}")
            continue
        kinds[structure.name] = structure.kind or "ORGAN"
    rows = distance_table(lesions, drawn, kinds)
    write_table(folder.file("distances.csv"), rows, DISTANCE_COLUMNS)


def _margins(args, call, labels, names):
    if args.margins is None:
        if args.ctv is None or args.ptv is None:
            raise InputError("no margins are given", "--ctv, --ptv", "Give both in mm, or --margins CSV.")
        return args.ctv, args.ptv
    if args.ctv is not None or args.ptv is not None:
        raise InputError("margins are given twice", "--margins", "Give --ctv and --ptv, or --margins.")
    rows = read_table(call.add_input("margins", args.margins), ("name",))
    where = Path(args.margins).name
    return tuple({row["name"]: _margin(row, kind, where) for row in rows} for kind in ("ctv", "ptv"))


def _margin(row, kind, where):
    try:
        sides = {side: float(row[f"{kind}_{side}_mm"]) for side in DIRECTIONS if row.get(f"{kind}_{side}_mm")}
        whole = float(row[f"{kind}_mm"]) if row.get(f"{kind}_mm") else None
    except ValueError as error:
        raise InputError(f"a {kind.upper()} margin is not a number", where, "Mend the row.") from error
    if whole is None and not sides:
        raise InputError(f"{row['name']} has no {kind.upper()} margin", where, f"Fill in {kind}_mm.")
    return {side: sides.get(side, whole or 0.0) for side in DIRECTIONS}
