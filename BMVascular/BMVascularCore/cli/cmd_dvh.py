"""``dvh``: dose-volume histograms and radiosurgery indices of a plan."""

from BMVascularCore.cli.cmd_targets import names_by_label
from BMVascularCore.cli.habitat_options import add_habitat_arguments, read_regions
from BMVascularCore.errors import InputError
from BMVascularCore.io import write_table
from BMVascularCore.planning import compare, reference
from BMVascularCore.planning.dose import DoseField, read_dose
from BMVascularCore.planning.plan_tables import (
    CONSTRAINT_COLUMNS,
    DISTANCE_COLUMNS,
    biological_doses,
    constraint_csv_rows,
    constraints_of_plan,
)
from BMVascularCore.planning.review import COLUMNS, review_plan
from BMVascularCore.planning.sampling import END_CAPS
from BMVascularCore.planning.structures import read_structures
from BMVascularCore.progress import share_of

HELP = "Dose-volume histograms and radiosurgery indices (review, no dose calculation)"


def add_arguments(parser):
    """Options of the command."""
    parser.add_argument(
        "--dose", required=True, metavar="FILE", help="RTDOSE of the whole plan, or a dose image"
    )
    parser.add_argument(
        "--structures", required=True, metavar="FILE", help="RTSTRUCT, DICOM SEG, label image or .seg.nrrd"
    )
    parser.add_argument(
        "--prescription",
        required=True,
        metavar="GY",
        help="prescription dose, or NAME=GY,NAME=GY by structure",
    )
    parser.add_argument(
        "--brain", metavar="NAME", help="structure that is the brain, for V12 of brain minus targets"
    )
    parser.add_argument("--targets", metavar="NAMES", help="names of the targets, separated by commas")
    parser.add_argument(
        "--fractions", type=int, metavar="N", help="number of fractions: BED, EQD2 and constraints.csv"
    )
    parser.add_argument("--names", metavar="CSV", help="name,label of a label image")
    parser.add_argument("--dose-units", choices=("gy", "cgy"), help="units of a dose image")
    parser.add_argument(
        "--end-caps", choices=END_CAPS, default="shape", help="what lies beyond the last contours"
    )
    parser.add_argument("--against", metavar="FILE", help="dose of another plan, for comparison.csv")
    add_habitat_arguments(parser, "dose in the habitats (habitat_dose.csv)")


def run(args, folder, call):
    """Review the plan; returns the summary."""
    prescription = parse_prescription(args.prescription)
    dose = read_dose(call.add_input("dose", args.dose), args.dose_units)
    names = names_by_label(call.add_input("names", args.names))
    structures = read_structures(call.add_input("structures", args.structures), names)
    biological = biological_doses(prescription, args.fractions) if args.fractions is not None else None
    regions = read_regions(args, call)
    targets = _names(args.targets, "--targets")
    progress = share_of(call.progress, 0.0, 0.6 if args.against else 0.95)
    review = review_plan(dose, structures, prescription, args.brain, targets, args.end_caps, progress)
    for text in review.warnings:
        call.warn(text)
    _write_review(folder, review)
    call.units.update({"dose_gy": "Gy", "volume_percent": "%", "volume_ml": "mL", "distance_mm": "mm"})
    summary = {
        "structures": len(review.rows),
        "dose_maximum_gy": dose.maximum_gy,
        "conventions": review.conventions,
        "definitions": review.definitions,
    }
    if biological is not None:
        summary["biological_dose"] = biological
        rows = constraint_csv_rows(constraints_of_plan(review.dvhs, args.fractions))
        write_table(folder.file("constraints.csv"), rows, CONSTRAINT_COLUMNS)
    if regions is not None:
        _write_habitats(folder, call, regions, dose, prescription)
    if args.against:
        _compare(args, folder, call, review, structures, prescription, targets)
    return summary


def parse_prescription(text):
    """``20`` or ``GTV_01=20,GTV_02=18`` to Gy.

    Raises
    ------
    InputError
        Not a number, a name given twice.
    """
    try:
        if "=" not in text:
            return float(text)
        pairs = [part.rpartition("=") for part in text.split(",") if part.strip()]
        given = {name.strip(): float(value) for name, _, value in pairs}
    except ValueError as error:
        raise InputError(f"'{text}' is not a dose in Gy", "--prescription", "Write 20 or NAME=20.") from error
    if len({name.lower() for name in given}) < len(pairs):
        raise InputError("a structure is named twice", "--prescription", "Give one dose for every name.")
    return given


def _names(text, option):
    """Names separated by commas; None where the option was not given."""
    if text is None:
        return None
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not names:
        raise InputError("names no structure", option, "Write the names of the targets, with commas.")
    return names


def _write_review(folder, review):
    write_table(folder.file("metrics.csv"), review.rows, COLUMNS)
    write_table(folder.file("distances.csv"), review.distances, DISTANCE_COLUMNS)
    curves = []
    for dvh in review.dvhs:
        if dvh.measurable:
            columns = (values.tolist() for values in dvh.curve())
            curves += [
                {"structure": dvh.name, "dose_gy": d, "volume_percent": p, "volume_ml": v}
                for d, p, v in zip(*columns, strict=True)
            ]
    write_table(folder.file("dvh.csv"), curves, ("structure", "dose_gy", "volume_percent", "volume_ml"))


def _write_habitats(folder, call, regions, dose, prescription):
    rows = reference.reference_dose_rows(regions, DoseField(dose), prescription)
    write_table(folder.file("habitat_dose.csv"), rows, reference.COLUMNS)
    for row in rows:
        if row["note"]:
            call.warn(f"{row['lesion']}, {row['region']}: {row['note']}")


def _compare(args, folder, call, review, structures, prescription, targets):
    other = read_dose(call.add_input("against", args.against), args.dose_units)
    progress = share_of(call.progress, 0.6, 0.95)
    second = review_plan(other, structures, prescription, args.brain, targets, args.end_caps, progress)
    write_table(folder.file("comparison.csv"), compare.compare_plans(review, second), compare.COLUMNS)
    for text in second.warnings:
        call.warn(f"the other plan: {text}")
