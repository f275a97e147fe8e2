"""``bmvascular phenotype``: label each lesion by its blood supply, with stability, coverage and reasons."""

import argparse
import json
from pathlib import Path

from BMVascularCore.errors import InputError
from BMVascularCore.io.images import output_ending, read_labels, read_volume, write_volume
from BMVascularCore.io.tables import read_table, write_table
from BMVascularCore.phenotype import assess_lesions, load_table
from BMVascularCore.phenotype import context as context_module
from BMVascularCore.phenotype.repeatability import read_test_retest
from BMVascularCore.progress import share_of

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
    parser.add_argument("lesions", metavar="LESIONS", help="label image, one value a lesion")
    for key, text in _MAPS.items():
        parser.add_argument(f"--{key}", metavar="FILE", help=text)
        if key in ("rcbv", "ktrans", "vp", "cbf", "pet"):
            parser.add_argument(f"--{key}-se", metavar="FILE", help=f"voxel standard error of {key}")
    parser.add_argument("--compartments", metavar="FILE", help="1 enhancing, 2 core, 3 oedema, 4 haemorrhage")
    parser.add_argument("--context", metavar="JSON", help="histology, treatments, protocol: see below")
    parser.add_argument("--names", metavar="CSV", help="lesions.csv with the columns name and label")
    parser.add_argument("--rules", metavar="FILE", help="own rule set instead of the shipped one")
    parser.add_argument("--evidence", metavar="FILE", help="own evidence table instead of the shipped one")
    parser.add_argument("--test-retest", metavar="CSV", help="own repeatability: metric,subject,test,retest")
    parser.add_argument("--no-habitats", action="store_true", help="labels only")


def run(args, folder, call):
    """Assess the lesions and write ``phenotype.csv``, ``phenotype.json`` and ``habitats``.

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
    context = _context(args, call)
    names = _names(args, call)
    labels = read_labels(call.add_input("lesions", args.lesions))
    maps = _maps(args, call)
    compartments = None
    if args.compartments:
        compartments = read_labels(call.add_input("compartments", args.compartments))
    result = assess_lesions(
        labels,
        maps,
        compartments,
        context,
        table,
        share_of(call.progress, 0.05, 0.95),
        names=names,
        with_habitats=not args.no_habitats,
    )
    for text in result.warnings:
        call.warn(text)
    write_table(folder.file("phenotype.csv"), result.rows)
    _write_habitats(args, folder, call, result)
    _record(call, result, table)
    return {"lesions": len(result.rows), "labels": result.patient["counts"]}


def _context(args, call):
    content = {}
    if args.context:
        path = Path(call.add_input("context", args.context))
        if not path.is_file():
            raise InputError("this file does not exist", path.name, "Check the path.")
        try:
            content = json.loads(path.read_text(encoding="utf-8-sig"))
        except ValueError as error:
            raise InputError(f"is not valid JSON ({error})", path.name, "Mend the file.") from error
    context = context_module.parse_context(content, Path(args.context).name if args.context else "context")
    if args.test_retest:
        context.repeatability |= read_test_retest(call.add_input("test-retest", args.test_retest))
    return context


def _names(args, call):
    if not args.names:
        return None
    rows = read_table(call.add_input("names", args.names), required=("name", "label"))
    names = {}
    for number, row in enumerate(rows, start=2):
        try:
            names[int(float(row["label"]))] = row["name"]
        except ValueError as error:
            fault = f"row {number}, column label: '{row['label']}' is not a whole number"
            raise InputError(fault, Path(args.names).name, "Write the label value.") from error
    return names


def _maps(args, call):
    maps = {}
    for key in _MAPS:
        for suffix in ("", "_se"):
            name = key.replace("-", "_") + suffix
            path = getattr(args, name, None)
            if path:
                maps[name] = read_volume(call.add_input(name, path))
    return maps


def _write_habitats(args, folder, call, result):
    ending = output_ending(args.lesions)
    if result.habitats is not None:
        write_volume(folder.file(f"habitats{ending}"), result.habitats)
        call.units["habitats"] = "label"
    for key, volume in result.memberships.items():
        write_volume(folder.file(f"habitat_membership_{key}{ending}"), volume)
        call.units[f"habitat_membership_{key}"] = "share 0..1"


def _record(call, result, table):
    call.units.update({spec["column"]: spec["unit"] for spec in table.rules["inputs"]})
    call.units.update({spec["column"]: spec["unit"] for spec in table.rules["descriptors"]})
    call.top_level.update(
        lesions=result.lesions, patient=result.patient, table=result.table, schema="phenotype.schema.json"
    )
