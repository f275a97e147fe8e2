"""``bmvascular phenotype``: label each lesion by its blood supply, with stability, coverage and reasons."""

import argparse
import json
from pathlib import Path

from BMVascularCore.errors import InputError
from BMVascularCore.io.dicom_files import save_dicom
from BMVascularCore.io.images import output_ending, read_labels, read_volume, write_volume
from BMVascularCore.io.tables import read_table, write_table
from BMVascularCore.phenotype import Context, assess_lesions, assess_values, load_table
from BMVascularCore.phenotype import context as context_module
from BMVascularCore.phenotype.change import timeline_rows
from BMVascularCore.phenotype.delayed import SHORTEST_DELAY_MIN, delayed_contrast, delayed_of_lesions
from BMVascularCore.phenotype.dicom_sr import read_source, to_dicom
from BMVascularCore.phenotype.measurements import is_table, read_measurements
from BMVascularCore.phenotype.previous import compare_with_previous, days_to_present, read_previous
from BMVascularCore.phenotype.repeatability import read_test_retest
from BMVascularCore.planning.registration import register_rigid
from BMVascularCore.progress import share_of
from BMVascularCore.volume import resample

HELP = "label each lesion by its blood supply, with stability, coverage and reasons"

_MAPS = {
    "rcbv": "relative blood volume, ratio to white matter",
    "ktrans": "Ktrans in 1/min",
    "vp": "plasma volume, fraction",
    "ve": "extravascular space, fraction",
    "cbf": "blood flow: ratio to normal tissue, or mL/100 g/min",
    "pet": "amino-acid PET as tumour-to-background ratio",
    "adc": "ADC",
    "swi": "susceptibility-weighted or T2* image",
    "flair": "FLAIR",
    "wash-in": "wash-in slope over that of the sagittal sinus",
}


def add_arguments(parser):
    """Options of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = context_module.__doc__
    parser.add_argument(
        "lesions",
        metavar="LESIONS",
        help="label image, one value a lesion; or a table of measurements (CSV, JSON)",
    )
    for key, text in _MAPS.items():
        parser.add_argument(f"--{key}", metavar="FILE", help=text)
        if key in ("rcbv", "ktrans", "vp", "cbf", "pet"):
            parser.add_argument(f"--{key}-se", metavar="FILE", help=f"voxel standard error of {key}")
    parser.add_argument("--compartments", metavar="FILE", help="1 enhancing, 2 core, 3 oedema, 4 haemorrhage")
    parser.add_argument("--context", metavar="JSON", help="histology, treatments, protocol: see below")
    parser.add_argument(
        "--names", metavar="CSV", help="lesions.csv: name, label and, where known, tracking_id"
    )
    parser.add_argument("--rules", metavar="FILE", help="own rule set instead of the shipped one")
    parser.add_argument("--evidence", metavar="FILE", help="own evidence table instead of the shipped one")
    parser.add_argument("--test-retest", metavar="CSV", help="own repeatability: metric,subject,test,retest")
    parser.add_argument("--no-habitats", action="store_true", help="labels only")
    parser.add_argument(
        "--dicom-source",
        metavar="DIR",
        help="DICOM series of the lesions: writes SR and SEG that join its study",
    )
    change = parser.add_argument_group("change since earlier scans (oldest first)")
    change.add_argument(
        "--previous",
        metavar="FILE",
        action="append",
        default=[],
        help="phenotype.json of an earlier scan, or its table of measurements; repeat for more scans",
    )
    change.add_argument(
        "--previous-context", metavar="JSON", action="append", default=[], help="context of each earlier scan"
    )
    change.add_argument(
        "--days-before",
        metavar="DAYS",
        type=float,
        action="append",
        default=[],
        help="days from it to this scan",
    )
    delayed = parser.add_argument_group("delayed contrast")
    delayed.add_argument(
        "--t1c", metavar="FILE", help="T1 minutes after contrast (helps to find the midline, too)"
    )
    delayed.add_argument("--delayed-t1c", metavar="FILE", help="T1 an hour or more after contrast")
    delayed.add_argument("--delay-min", metavar="MIN", type=float, help="minutes between both")


def run(args, folder, call):
    """Assess the lesions and write ``phenotype.csv``, ``phenotype.json``, ``habitats``, ``change.csv``, ...

    Parameters
    ----------
    args : argparse.Namespace
    folder : OutputFolder
    call : Call

    Returns
    -------
    dict
        Summary numbers.
    """
    table = load_table(call.add_input("evidence", args.evidence), call.add_input("rules", args.rules))
    context = _context(args, call, table)
    earlier = _earlier(args, call, table)
    days_to_present(earlier, context)
    if args.delayed_t1c and not args.t1c:
        raise InputError("has no early image to compare with", "--delayed-t1c", "Give --t1c as well.")
    result, labels = _assess(args, call, context, table)
    for text in result.warnings:
        call.warn(text)
    if args.delayed_t1c:
        _write_delayed(args, folder, call, result, labels)
    if args.dicom_source:
        _write_dicom(args, folder, call, result, labels, table)
    write_table(folder.file("phenotype.csv"), result.rows)
    _write_habitats(args, folder, call, result)
    _record(call, result, context, table)
    summary = {"lesions": len(result.rows), "labels": result.patient["counts"]}
    if earlier:
        report = compare_with_previous(earlier, result.lesions, context, table)
        summary["measured_changes"] = _write_change(folder, call, report, table)
    return summary


def _assess(args, call, context, table):
    """The assessment, and the label image where there is one."""
    progress = share_of(call.progress, 0.05, 0.9)
    path = call.add_input("lesions", args.lesions)
    if not is_table(path):
        names, identities = _names(args, call)
        labels, maps = read_labels(path), _maps(args, call)
        compartments = None
        if args.compartments:
            compartments = read_labels(call.add_input("compartments", args.compartments))
        result = assess_lesions(
            labels,
            maps,
            compartments,
            context,
            table,
            progress,
            names=names,
            with_habitats=not args.no_habitats,
        )
        for lesion in result.lesions:
            if identities.get(lesion["label"]):
                lesion["tracking_id"] = identities[lesion["label"]]
        return result, labels
    given = [f"--{key}" for key in (*_MAPS, "compartments", "names", "t1c", "delayed-t1c", "dicom-source")]
    given = [option for option in given if getattr(args, option[2:].replace("-", "_"))]
    if given:
        fault = f"is a table of measurements; {given[0]} needs a label image"
        raise InputError(fault, Path(path).name, "Give a label image, or leave the images out.")
    lesions, warnings = read_measurements(path, table.rules)
    result = assess_values(lesions, context, table, progress)
    result.warnings = [*warnings, *result.warnings]
    return result, None


def _earlier(args, call, table):
    for option, values in (
        ("--previous-context", args.previous_context),
        ("--days-before", args.days_before),
    ):
        if len(values) not in (0, len(args.previous)):
            fault = f"is given {len(values)} times, --previous {len(args.previous)} times"
            raise InputError(fault, option, "Give it once for each earlier scan, or not at all.")
    found = []
    for number, path in enumerate(args.previous):
        call.add_input(f"previous {number + 1}", path)
        context = None
        if args.previous_context:
            context = _read_context(call.add_input(f"context {number + 1}", args.previous_context[number]))
        lesions, context, warnings = read_previous(path, context, table)
        for text in warnings:
            call.warn(f"scan {number + 1}: {text}")
        found.append((lesions, context, args.days_before[number] if args.days_before else None))
    return found


def _write_change(folder, call, report, table):
    for text in report.warnings:
        call.warn(text)
    columns = ("name", "metric", "from", "to", "days", "before", "after", "change", "change_unit", "limit_low",
               "limit_high", "rise_share", "p_value", "q_value", "beyond_limits", "measured", "source")  # fmt: skip
    write_table(folder.file("change.csv"), report.rows, columns)
    write_table(folder.file("timeline.csv"), timeline_rows(report, table.rules))
    call.top_level["change"] = {
        "rows": report.rows,
        "timelines": report.timelines,
        "patient": report.patient,
        "warnings": report.warnings,
    }
    return sum(row["measured"] for row in report.rows)


def _write_dicom(args, folder, call, result, labels, table):
    call.add_input("dicom-source", args.dicom_source)
    source = read_source(args.dicom_source)
    objects = to_dicom(result, labels, source, table.rules["habitats"]["names"])
    for name, dataset in (("lesions_seg", objects.lesions), ("habitats_seg", objects.habitats)):
        if dataset is not None:
            save_dicom(folder.file(f"{name}.dcm"), dataset)
    save_dicom(folder.file("phenotype_sr.dcm"), objects.report)
    if objects.left_out:
        call.warn(f"not in the DICOM objects, outside the source series: {', '.join(objects.left_out)}.")


def _write_delayed(args, folder, call, result, labels):
    early = read_volume(call.add_input("t1c", args.t1c))
    late = read_volume(call.add_input("delayed-t1c", args.delayed_t1c))
    if args.delay_min is not None and args.delay_min < SHORTEST_DELAY_MIN:
        call.warn(f"{args.delay_min:g} min between both images: the published maps waited an hour or more.")
    # the patient was off the table between both images
    found = register_rigid(early, late, progress=share_of(call.progress, 0.9, 0.98), wide=False)
    if found.verdict == "fail":
        call.warn(
            f"delayed contrast was not made: both T1 images do not register ({'; '.join(found.reasons)})."
        )
        return
    percent = delayed_contrast(early, resample(late, early.geometry, found.transform))
    by_label = delayed_of_lesions(percent, labels, {item["label"]: item["name"] for item in result.lesions})
    for lesion, row in zip(result.lesions, result.rows, strict=True):
        lesion["delayed_contrast"] = by_label[lesion["label"]]
        for key in ("median_percent", "gathering_fraction", "clearing_fraction"):
            row[f"delayed_{key}"] = by_label[lesion["label"]][key]
    write_volume(folder.file(f"delayed_contrast{output_ending(args.lesions)}"), percent)
    call.units["delayed_contrast"] = "% of the early signal of normal tissue"


def _context(args, call, table):
    context = _read_context(call.add_input("context", args.context)) if args.context else Context()
    if args.test_retest:
        found = read_test_retest(call.add_input("test-retest", args.test_retest))
        known = dict.fromkeys(entry["metric"] for entry in table.rules["repeatability"])
        for metric in found:
            if metric not in known:
                fault = f"the metric '{metric}' is not known"
                raise InputError(fault, Path(args.test_retest).name, f"Known: {', '.join(known)}.")
        context.repeatability |= found
    return context


def _read_context(path):
    path = Path(path)
    if not path.is_file():
        raise InputError("this file does not exist", path.name, "Check the path.")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"is not valid JSON ({error})", path.name, "Mend the file.") from error
    return context_module.parse_context(content, path.name)


def _names(args, call):
    """Names and tracking ids by label value."""
    if not args.names:
        return None, {}
    rows = read_table(call.add_input("names", args.names), required=("name", "label"))
    names, identities = {}, {}
    for number, row in enumerate(rows, start=2):
        try:
            label = int(float(row["label"]))
        except (ValueError, OverflowError) as error:
            fault = f"row {number}, column label: '{row['label']}' is not a whole number"
            raise InputError(fault, Path(args.names).name, "Write the label value.") from error
        names[label] = row["name"]
        identities[label] = row.get("tracking_id") or row.get("identity") or None
    return names, identities


def _maps(args, call):
    maps = {}
    for key in _MAPS:
        for suffix in ("", "_se"):
            name = key.replace("-", "_") + suffix
            path = getattr(args, name, None)
            if path:
                maps[name] = read_volume(call.add_input(name, path))
    if args.t1c:
        maps["t1c"] = read_volume(call.add_input("t1c", args.t1c))
    return maps


def _write_habitats(args, folder, call, result):
    ending = output_ending(args.lesions)
    if result.habitats is not None:
        write_volume(folder.file(f"habitats{ending}"), result.habitats)
        call.units["habitats"] = "label"
    for key, volume in result.memberships.items():
        write_volume(folder.file(f"habitat_membership_{key}{ending}"), volume)
        call.units[f"habitat_membership_{key}"] = "share 0..1"


def _record(call, result, context, table):
    call.units.update({spec["column"]: spec["unit"] for spec in table.rules["inputs"]})
    call.units.update({spec["column"]: spec["unit"] for spec in table.rules["descriptors"]})
    call.top_level.update(
        lesions=result.lesions, patient=result.patient, table=result.table, schema="phenotype.schema.json"
    )
    call.top_level["context"] = context.record()
