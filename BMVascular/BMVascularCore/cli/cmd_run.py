"""``run``: a whole study through every stage."""

from BMVascularCore.cli.cmd_dvh import parse_prescription
from BMVascularCore.cli.target_options import (
    add_target_arguments,
    barriers_of,
    margins_of,
    organs_of_file,
)
from BMVascularCore.io import read_table
from BMVascularCore.lesions import Seed
from BMVascularCore.planning.margins import Margin
from BMVascularCore.study.pipeline import run_study
from BMVascularCore.study.plan import read_plan
from BMVascularCore.study.plan_options import PlanOptions, check_prescription

HELP = "Run a whole study: lesions, perfusion, phenotype, planning, report and scene."


def add_arguments(parser):
    """Options of ``run``."""
    parser.add_argument("study", metavar="STUDY", help="a DICOM folder, or a folder with study.json")
    parser.add_argument(
        "--seed",
        action="append",
        default=[],
        metavar="R,A,S[=NAME]",
        help="seed of a lesion at the first time point (repeat)",
    )
    parser.add_argument("--seeds", metavar="CSV", help="table of seeds: name,r,a,s (mm)")
    group = parser.add_argument_group(
        "planning (as the object planning of study.json; what is given here wins)"
    )
    add_target_arguments(group, f" (default {PlanOptions.ctv_mm:g} and {PlanOptions.ptv_mm:g})")
    group.add_argument("--brain", metavar="NAME", help="which of the organs is the brain")
    group.add_argument("--prescription", metavar="GY", help="prescription dose, or LESION=GY,LESION=GY")
    group.add_argument("--fractions", type=int, metavar="N", help="number of fractions, for limits of organs")
    parser.add_argument("--no-pictures", action="store_true", help="no scene and no pictures")


def seeds_from(args, call):
    """Seeds of the call: ``--seed`` and ``--seeds`` together."""
    texts = list(args.seed)
    if args.seeds:
        rows = read_table(call.add_input("seeds", args.seeds), required=("name", "r", "a", "s"))
        texts += [f"{row['r']},{row['a']},{row['s']}={row['name']}" for row in rows]
    seeds = []
    for text in texts:
        point, name = call.point_lps(text)
        seeds.append(Seed(name or f"L{len(seeds) + 1}", point))
    return seeds


def run(args, folder, call):
    """Run ``run``; see ``BMVascularCore.cli``."""
    call.add_input("study", args.study)
    plan = read_plan(args.study, seeds_from(args, call), progress=call.progress)
    _take_options(plan, args, call)
    done = run_study(plan, folder, pictures=not args.no_pictures, progress=call.progress)
    for note in done.notes:
        call.warnings.append(note)
    print_table(summary_rows(done))
    return {"timings": done.timings, "lesions": summary_rows(done)}


def _take_options(plan, args, call):
    """What the call says about the plan; margins and doses of lesions that nobody clicks are refused now."""
    options = plan.options
    for name in ("ctv", "ptv"):
        if getattr(args, name) is not None:
            Margin.of(getattr(args, name))
            setattr(options, f"{name}_mm", getattr(args, name))
    options.margins |= margins_of(args, call)
    options.barriers = barriers_of(args, call) or options.barriers
    options.skull |= args.skull
    options.organs = organs_of_file(args, call) or options.organs
    options.brain = args.brain or options.brain
    options.fractions = args.fractions if args.fractions is not None else options.fractions
    if args.prescription:
        plan.prescription_gy = check_prescription(parse_prescription(args.prescription), "--prescription")
    options.check(plan.lesion_names, plan.prescription_gy)


def summary_rows(done):
    """One row a lesion and time point for the terminal and ``run.json``."""
    rows = []
    for point in done.timepoints:
        phenotypes = {row["name"]: row for row in point.phenotype.rows}
        for lesion in point.segmentation.rows:
            found = phenotypes.get(lesion["name"], {})
            rows.append(
                {
                    "time point": point.timepoint.label,
                    "lesion": lesion["name"],
                    "volume (mL)": lesion["volume_ml"],
                    "diameter (mm)": lesion["longest_diameter_mm"],
                    "phenotype": found.get("phenotype", ""),
                    "stability": found.get("stability"),
                    "tier": found.get("tier", ""),
                }
            )
    return rows


def print_table(rows, columns=None):
    """Print rows as a table with aligned columns."""
    if not rows:
        return
    columns = columns or list(rows[0])
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[n]) for line in cells)) for n, column in enumerate(columns)]
    print("  ".join(column.ljust(width) for column, width in zip(columns, widths, strict=True)))
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))


def _text(value):
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
