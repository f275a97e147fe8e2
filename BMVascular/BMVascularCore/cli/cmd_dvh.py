"""``dvh``: dose-volume histograms and radiosurgery indices of a plan."""

from BMVascularCore.cli.cmd_targets import names_by_label
from BMVascularCore.errors import InputError
from BMVascularCore.io import write_table
from BMVascularCore.planning.dose import read_dose
from BMVascularCore.planning.review import COLUMNS, review_plan
from BMVascularCore.planning.sampling import END_CAPS
from BMVascularCore.planning.structures import read_structures

HELP = "Dose-volume histograms and radiosurgery indices (review, no dose calculation)"


def add_arguments(parser):
    """Options of the command."""
    parser.add_argument(
        "--dose", required=True, metavar="FILE", help="RTDOSE of the whole plan, or a dose image"
    )
    parser.add_argument(
        "--structures", required=True, metavar="FILE", help="RTSTRUCT, label image or .seg.nrrd"
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
    parser.add_argument("--fractions", type=int, metavar="N", help="number of fractions, for BED and EQD2")
    parser.add_argument("--names", metavar="CSV", help="name,label of a label image")
    parser.add_argument("--dose-units", choices=("gy", "cgy"), help="units of a dose image")
    parser.add_argument(
        "--end-caps", choices=END_CAPS, default="shape", help="what lies beyond the last contours"
    )


def run(args, folder, call):
    """Review the plan; returns the summary."""
    prescription = parse_prescription(args.prescription)
    dose = read_dose(call.add_input("dose", args.dose), args.dose_units)
    names = names_by_label(call.add_input("names", args.names))
    structures = read_structures(call.add_input("structures", args.structures), names)
    targets = [part.strip() for part in args.targets.split(",")] if args.targets else None
    review = review_plan(dose, structures, prescription, args.brain, targets, args.end_caps, call.progress)
    for text in review.warnings:
        call.warn(text)
    write_table(folder.file("metrics.csv"), review.rows, COLUMNS)
    write_table(
        folder.file("dvh.csv"),
        _curve_rows(review.dvhs),
        ("structure", "dose_gy", "volume_percent", "volume_ml"),
    )
    call.units.update({"dose_gy": "Gy", "volume_percent": "%", "volume_ml": "mL"})
    summary = {
        "structures": len(review.rows),
        "dose_maximum_gy": dose.maximum_gy,
        "conventions": review.conventions,
        "definitions": review.definitions,
    }
    if args.fractions is not None:
        summary["biological_dose"] = _biological(prescription, args.fractions)
    return summary


def parse_prescription(text):
    """``20`` or ``GTV_01=20,GTV_02=18`` to Gy.

    Raises
    ------
    InputError
        Not a number.
    """
    try:
        if "=" not in text:
            return float(text)
        pairs = [part.rpartition("=") for part in text.split(",")]
        return {name.strip(): float(value) for name, _, value in pairs}
    except ValueError as error:
        raise InputError(f"'{text}' is not a dose in Gy", "--prescription", "Write 20 or NAME=20.") from error


def _curve_rows(dvhs):
    rows = []
    for dvh in dvhs:
        if dvh.measurable:
            columns = (values.tolist() for values in dvh.curve())
            rows += [
                {"structure": dvh.name, "dose_gy": d, "volume_percent": p, "volume_ml": v}
                for d, p, v in zip(*columns, strict=True)
            ]
    return rows


def _biological(prescription, fractions):
    from BMVascularCore.planning.bed import bed_table

    given = prescription if isinstance(prescription, dict) else {"plan": prescription}
    return {name: bed_table(dose, fractions) for name, dose in given.items()}
