"""``targets``: GTV, CTV and PTV of every lesion."""

from pathlib import Path

import numpy as np

from BMVascularCore.cli.target_options import (
    add_target_arguments,
    barriers_of,
    margins_of,
    organs_of_file,
    transform_of,
)
from BMVascularCore.errors import InputError
from BMVascularCore.io import read_labels, read_table, read_volume, write_table
from BMVascularCore.planning.barriers import skull_near
from BMVascularCore.planning.margin_tables import lesion_margins
from BMVascularCore.planning.plan_tables import (
    DISTANCE_COLUMNS,
    DOSE_BY_SIZE_COLUMNS,
    dose_by_size_table,
    setup_columns,
    target_distances,
)
from BMVascularCore.planning.segmentation_file import write_segmentation
from BMVascularCore.planning.targets import lesion_names, make_targets
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
    add_target_arguments(parser)
    parser.add_argument("--names", metavar="CSV", help="lesions.csv with name,label")
    parser.add_argument(
        "--transform",
        metavar="TFM",
        help="maps points of --reference to points of LESIONS; or a DICOM spatial registration",
    )
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
    ct = read_volume(call.add_input("reference", args.reference)) if args.reference else None
    frame = None if ct is None else ct.meta.get("frame_of_reference_uid")
    transform = transform_of(args.transform, call, "transform", frame)
    shares = read_volume(call.add_input("shares", args.shares)) if args.shares else None
    setup = _setup(args, call)
    barriers = barriers_of(args, call, names_by_label(args.names))
    if args.skull:
        if ct is None:
            raise InputError("needs the planning CT", "--skull", "Add --reference CT.")
        barriers.append(skull_near(ct, labels, transform))
    organs = organs_of_file(args, call)
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
        distances, notes = target_distances(result, organs)
        for text in notes:
            call.warn(text)
        write_table(folder.file("distances.csv"), distances, DISTANCE_COLUMNS)
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
    names = {}
    for row in read_table(path, ("name", "label")):
        try:
            label = int(float(row["label"]))
        except ValueError as error:
            raise InputError(
                "holds a label that is not a number", Path(path).name, "Mend the row."
            ) from error
        if label in names:
            raise InputError(f"names label {label} twice", Path(path).name, "Keep one row.")
        names[label] = row["name"]
    return names


def _setup(args, call):
    """Angle, translation and isocentre (LPS); None where no setup error is asked for."""
    if args.angle is None and args.translation is None and args.isocentre is None:
        return None
    if args.angle is None:
        raise InputError("is missing", "--angle", "Give the residual rotation in degrees.")
    point = call.point_lps(args.isocentre, "--isocentre")[0] if args.isocentre else None
    return args.angle, args.translation or 0.0, point


def _margins(args, call, labels, names):
    """Margins of every lesion: of the table, else ``--ctv`` and ``--ptv``."""
    own = margins_of(args, call)
    if not own and (args.ctv is None or args.ptv is None):
        raise InputError("no margins are given", "--ctv, --ptv", "Give both in mm, or --margins CSV.")
    values = [int(v) for v in np.unique(labels.array) if v > 0]
    return lesion_margins(own, lesion_names(names, values).values(), args.ctv, args.ptv)
