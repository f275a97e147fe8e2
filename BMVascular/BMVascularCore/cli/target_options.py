"""Options of targets that several commands share: margins, barriers, organs."""

from pathlib import Path

from pydicom.misc import is_dicom

from BMVascularCore.errors import InputError
from BMVascularCore.planning.barriers import read_barriers
from BMVascularCore.planning.contours import rigid_transform
from BMVascularCore.planning.margin_tables import read_margins
from BMVascularCore.planning.registration_start import read_given
from BMVascularCore.planning.structures import read_structures


def add_target_arguments(parser, default_margins=""):
    """Add margins, barriers and organs."""
    parser.add_argument("--ctv", type=float, metavar="MM", help=f"margin from GTV to CTV{default_margins}")
    parser.add_argument("--ptv", type=float, metavar="MM", help=f"margin from CTV to PTV{default_margins}")
    parser.add_argument(
        "--margins",
        metavar="CSV",
        help="margins of single lesions: name,ctv_mm,ptv_mm; ptv_left_mm ... ptv_inferior_mm by side of the patient",
    )
    parser.add_argument(
        "--barriers",
        metavar="FILE",
        help="what targets may not grow into: mask, or structures (RTSTRUCT, SEG, .seg.nrrd) such as falx, tentorium",
    )
    parser.add_argument(
        "--barrier-names", metavar="NAMES", help="which structures of --barriers, with commas"
    )
    parser.add_argument("--skull", action="store_true", help="bone of the planning CT is a barrier, too")
    parser.add_argument("--organs", metavar="FILE", help="structures to measure distances to (distances.csv)")


def margins_of(args, call):
    """Margins of single lesions, from ``--margins``."""
    return read_margins(call.add_input("margins", args.margins)) if args.margins else {}


def barriers_of(args, call, labels=None):
    """Barriers from ``--barriers`` and ``--barrier-names``."""
    if not args.barriers:
        if args.barrier_names:
            raise InputError("is given without structures", "--barrier-names", "Add --barriers FILE.")
        return []
    path = call.add_input("barriers", args.barriers)
    return read_barriers(path, (args.barrier_names or "").split(","), labels)


def organs_of_file(args, call):
    """Structures from ``--organs``; None without."""
    return read_structures(call.add_input("organs", args.organs)) if args.organs else None


def transform_of(path, call, role, planning_uid=None, moving_uid=None):
    """Rigid transform from planning points to points of the lesions; None without a file.

    Parameters
    ----------
    path : path-like or None
        ITK transform file or DICOM spatial registration object.
    call : Call
    role : str
    planning_uid, moving_uid : str, optional
        Frames of reference, to find the right matrix of a DICOM object.
    """
    if not path:
        return None
    path = Path(call.add_input(role, path))
    if path.is_file() and is_dicom(path):
        return read_given(path, planning_uid, moving_uid)
    return rigid_transform(path)
