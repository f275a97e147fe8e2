"""``demo``: the simulated patient through the whole way."""

import shutil
import tempfile
import time
from pathlib import Path

from BMVascularCore.cli.cmd_run import print_table
from BMVascularCore.phantom import build_patient, write_dicom, write_study, write_truth
from BMVascularCore.phantom.compare import compare
from BMVascularCore.progress import share_of
from BMVascularCore.study.pipeline import run_study
from BMVascularCore.study.plan import read_plan

HELP = "Simulate a patient, run every stage on it, and compare with the truth."


def add_arguments(parser):
    """Options of ``demo``."""
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="which simulated patient (default 1)"
    )
    parser.add_argument(
        "--size", choices=("full", "small"), default="full", help="small: coarse and quick, for tests"
    )
    parser.add_argument(
        "--keep-study", metavar="DIR", help="also keep the simulated DICOM study and its truth there"
    )
    parser.add_argument("--no-pictures", action="store_true", help="no scene and no pictures")


def run(args, folder, call):
    """Run ``demo``; see ``BMVascularCore.cli``."""
    started = time.perf_counter()
    patient = build_patient(args.seed, args.size, share_of(call.progress, 0.0, 0.15))
    study = Path(tempfile.mkdtemp(prefix="bmvascular-"))
    try:
        write_dicom(patient, study / "DICOM", share_of(call.progress, 0.15, 0.2))
        write_study(patient, study)
        if args.keep_study:
            write_truth(patient, study / "truth")
        simulated_s = round(time.perf_counter() - started, 1)
        plan = read_plan(study, progress=share_of(call.progress, 0.2, 0.22))
        done = run_study(
            plan,
            folder,
            truth=lambda result: compare(patient, result),
            pictures=not args.no_pictures,
            progress=share_of(call.progress, 0.22, 1.0),
        )
        if args.keep_study:
            shutil.copytree(study, args.keep_study, dirs_exist_ok=True)
    finally:
        shutil.rmtree(study, ignore_errors=True)
    call.warnings += done.notes
    table = compare(patient, done)
    print_table([{title: row.get(key) for key, title in table["columns"]} for row in table["rows"]])
    timings = [{"stage": "simulating and writing DICOM", "seconds": simulated_s}, *done.timings]
    return {"computed_against_true": table["rows"], "timings": timings}
