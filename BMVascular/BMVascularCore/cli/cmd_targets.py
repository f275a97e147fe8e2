"""``targets``: GTV, CTV and PTV of every lesion."""

from pathlib import Path

from BMVascularCore.errors import InputError
from BMVascularCore.io import read_labels, read_table, read_volume, write_table
from BMVascularCore.planning.contours import rigid_transform
from BMVascularCore.planning.margins import DIRECTIONS
from BMVascularCore.planning.segmentation_file import write_segmentation
from BMVascularCore.planning.targets import make_targets

HELP = "GTV, CTV and PTV of every lesion, with margins in millimetres"


def add_arguments(parser):
    """Options of the command."""
    parser.add_argument("lesions", metavar="LESIONS", help="label image, one number for each lesion")
    parser.add_argument("--ctv", type=float, metavar="MM", help="margin from GTV to CTV")
    parser.add_argument("--ptv", type=float, metavar="MM", help="margin from CTV to PTV")
    parser.add_argument(
        "--margins",
        metavar="CSV",
        help="one row a lesion: name,ctv_mm,ptv_mm; ptv_left_mm ... ptv_inferior_mm for directional margins",
    )
    parser.add_argument("--barriers", metavar="FILE", help="mask that targets may not grow into")
    parser.add_argument("--names", metavar="CSV", help="lesions.csv with name,label")
    parser.add_argument("--transform", metavar="TFM", help="maps points of --reference to points of LESIONS")
    parser.add_argument("--reference", metavar="IMAGE", help="planning CT: the targets lie on its axes")


def run(args, folder, call):
    """Make the targets; returns the summary."""
    labels = read_labels(call.add_input("lesions", args.lesions))
    names = names_by_label(call.add_input("names", args.names))
    if (args.transform is None) != (args.reference is None):
        raise InputError("one is given without the other", "--transform, --reference", "Give both or none.")
    reference = transform = None
    if args.transform:
        transform = rigid_transform(Path(call.add_input("transform", args.transform)))
        reference = read_volume(call.add_input("reference", args.reference)).geometry
    barriers = read_volume(call.add_input("barriers", args.barriers)) if args.barriers else None
    ctv, ptv = _margins(args, call, labels, names)
    result = make_targets(labels, names, ctv, ptv, barriers, transform, reference, call.progress)
    for text in result.warnings:
        call.warn(text)
    write_segmentation(folder.file("targets.seg.nrrd"), result.segments(), result.geometry)
    rows = result.rows()
    write_table(folder.file("targets.csv"), rows)
    call.units.update({"gtv_ml": "mL", "ctv_ml": "mL", "ptv_ml": "mL", "targets": "segments"})
    return {"lesions": len(rows), "method": result.method, "grid_mm": list(result.geometry.spacing_mm)}


def names_by_label(path):
    """Label to name from a table with the columns name and label; empty without a table."""
    if not path:
        return {}
    try:
        return {int(float(row["label"])): row["name"] for row in read_table(path, ("name", "label"))}
    except ValueError as error:
        raise InputError("holds a label that is not a number", Path(path).name, "Mend the row.") from error


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
