"""``bmvascular segment``: one click, one lesion."""

from BMVascularCore.errors import InputError
from BMVascularCore.io import read_volume, write_table, write_volume
from BMVascularCore.io.images import output_ending
from BMVascularCore.lesions import COLUMNS, COMPARTMENT_NAMES, Seed, segment_lesions

HELP = "metastases from one click each: enhancing tumour, core, oedema, haemorrhage, and their sizes"


def add_arguments(parser):
    """Options of ``segment``."""
    parser.add_argument("t1c", metavar="T1C", help="contrast-enhanced T1 (image file or DICOM folder)")
    parser.add_argument(
        "--seed",
        action="append",
        default=[],
        metavar="R,A,S[=NAME]",
        help="a click in a lesion, mm; the same NAME again adds a click to that lesion",
    )
    parser.add_argument(
        "--exclude-seed",
        action="append",
        default=[],
        metavar="R,A,S[=NAME]",
        help="a click on what is not lesion (of NAME, or of all)",
    )
    for role, text in (("t1", "T1 before contrast"), ("flair", "FLAIR"), ("swi", "SWI or T2*")):
        parser.add_argument(f"--{role}", metavar="FILE", help=text)
    parser.add_argument("--max-radius-mm", type=float, default=30.0, metavar="MM", help="largest radius (30)")
    parser.add_argument(
        "--allow-empty", action="store_true", help="go on when nothing enhances at some of the clicks"
    )


def run(args, folder, call):
    """Segment and write ``lesions``, ``compartments`` and ``lesions.csv``."""
    seeds = _seeds(args, call)
    images = {
        role: read_volume(call.add_input(role, path)) if path else None
        for role, path in (("t1c", args.t1c), ("t1", args.t1), ("flair", args.flair), ("swi", args.swi))
    }
    result = segment_lesions(
        images["t1c"],
        seeds,
        t1=images["t1"],
        flair=images["flair"],
        swi=images["swi"],
        max_radius_mm=args.max_radius_mm,
        allow_empty=args.allow_empty,
        progress=call.progress,
    )
    for text in result.warnings:
        call.warn(text)
    ending = output_ending(args.t1c)
    write_volume(folder.file(f"lesions{ending}"), result.labels)
    write_volume(folder.file(f"compartments{ending}"), result.compartments)
    write_table(folder.file("lesions.csv"), result.rows, COLUMNS)
    call.units.update({"lesions": "label", "compartments": "code"})
    call.units.update({name: name.rsplit("_", 1)[1] for name in COLUMNS if name.endswith(("_ml", "_mm"))})
    return _summary(result)


def _summary(result):
    return {
        "lesions": [
            {"name": x.name, "label": x.label, "confidence": x.confidence, "reasons": x.reasons}
            for x in result.lesions
        ],
        "not_found": result.missing,
        "compartment_codes": {str(code): name for code, name in COMPARTMENT_NAMES.items()},
        "total_volume_ml": sum(row["volume_ml"] for row in result.rows),
    }


def _seeds(args, call):
    if not args.seed:
        raise InputError(
            "no click was given", "--seed", "Give at least one, for example --seed=-32,14,60=M1."
        )
    parsed = [call.point_lps(text) for text in args.seed]
    taken = {name for _, name in parsed if name}
    seeds = []
    for point, name in parsed:
        if name is None:
            number = 1
            while f"L{number}" in taken:
                number += 1
            name = f"L{number}"
            taken.add(name)
        seeds.append(Seed(name, tuple(point)))
    for text in args.exclude_seed:
        point, name = call.point_lps(text, "--exclude-seed")
        if name is not None and name not in taken:
            raise InputError(f"no --seed is named {name}", "--exclude-seed", "Use the name of a lesion.")
        seeds.append(Seed(name or "", tuple(point), "exclude"))
    return seeds
