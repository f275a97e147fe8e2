"""``bmvascular segment``: one click, one lesion."""

from BMVascularCore.errors import InputError
from BMVascularCore.io import read_volume, write_table, write_volume
from BMVascularCore.io.images import output_ending
from BMVascularCore.io.points import read_points
from BMVascularCore.lesions import (
    COLUMNS,
    COMPARTMENT_NAMES,
    Seed,
    find_candidates,
    lesions_from_labels,
    prepare,
    segment_lesions,
)
from BMVascularCore.lesions.same_head import refuse_ct
from BMVascularCore.progress import share_of

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
    parser.add_argument(
        "--seeds",
        metavar="FILE",
        help="clicks from a file: Slicer point list (.mrk.json, .fcsv) or CSV with name, r_mm, a_mm, s_mm; points of "
        "one name belong to one lesion, the description 'exclude' makes an exclude click",
    )
    parser.add_argument(
        "--labels",
        metavar="FILE",
        help="lesions drawn elsewhere in place of clicks: NIfTI, NRRD, .seg.nrrd or DICOM SEG",
    )
    parser.add_argument(
        "--candidates",
        action="store_true",
        help="write candidates.csv, places worth a click (about 96 %% of simulated lesions with T1, 88 %% "
        "without; 12 and 1 false ones a patient); never lesions",
    )
    for role, text in (("t1", "T1 before contrast"), ("flair", "FLAIR"), ("swi", "SWI or T2*")):
        parser.add_argument(f"--{role}", metavar="FILE", help=text)
    parser.add_argument("--max-radius-mm", type=float, default=30.0, metavar="MM", help="largest radius (30)")
    parser.add_argument(
        "--allow-empty", action="store_true", help="go on when nothing enhances at some of the clicks"
    )


def run(args, folder, call):
    """Segment and write ``lesions``, ``compartments`` and ``lesions.csv``; or candidates alone."""
    clicked = args.seed or args.seeds
    if args.labels and (clicked or args.exclude_seed):
        raise InputError("is given together with clicks", "--labels", "Give one of them.")
    if not 0 < args.max_radius_mm < 200:
        raise InputError(
            f"{args.max_radius_mm:g} is no radius of a lesion", "--max-radius-mm", "Give 1 to 80 mm."
        )
    seeds = [] if args.labels or (args.candidates and not clicked) else _seeds(args, call)
    images = {
        role: read_volume(call.add_input(role, path)) if path else None
        for role, path in (("t1c", args.t1c), ("t1", args.t1), ("flair", args.flair), ("swi", args.swi))
    }
    refuse_ct({role.upper() if role != "t1c" else "T1c": volume for role, volume in images.items()})
    work = call.progress
    ready = prepare(images["t1c"], images["t1"], images["flair"], images["swi"], share_of(work, 0.0, 0.3))
    summary = {}
    if args.candidates:
        summary["candidates"] = _write_candidates(ready, folder, share_of(work, 0.3, 0.5))
    if args.labels:
        result = lesions_from_labels(
            call.add_input("labels", args.labels), ready=ready, progress=share_of(work, 0.5, 1.0)
        )
        result.warnings[:0] = ready.warnings
    elif seeds:
        result = segment_lesions(
            ready,
            seeds,
            max_radius_mm=args.max_radius_mm,
            allow_empty=args.allow_empty,
            progress=share_of(work, 0.5, 1.0),
        )
    else:
        for text in ready.warnings:
            call.warn(text)
        return summary
    for text in result.warnings:
        call.warn(text)
    ending = output_ending(args.t1c)
    write_volume(folder.file(f"lesions{ending}"), result.labels)
    write_volume(folder.file(f"compartments{ending}"), result.compartments)
    write_table(folder.file("lesions.csv"), result.rows, COLUMNS)
    call.units.update({"lesions": "label", "compartments": "code"})
    call.units.update({name: name.rsplit("_", 1)[1] for name in COLUMNS if name.endswith(("_ml", "_mm"))})
    return summary | _summary(result)


def _write_candidates(ready, folder, progress):
    """Write ``candidates.csv``; returns how many there are."""
    rows = []
    for number, found in enumerate(find_candidates(ready, progress=progress), start=1):
        left, posterior, superior = found.point_lps_mm
        rows.append(
            {
                "candidate": number,
                "r_mm": round(-left, 1),
                "a_mm": round(-posterior, 1),
                "s_mm": round(superior, 1),
                "score": round(found.score, 2),
                "radius_mm": found.radius_mm,
            }
        )
    write_table(
        folder.file("candidates.csv"), rows, ("candidate", "r_mm", "a_mm", "s_mm", "score", "radius_mm")
    )
    return len(rows)


def _summary(result):
    return {
        "lesions": [
            {"name": x.name, "label": x.label, "confidence": x.confidence, "reasons": x.reasons}
            for x in result.lesions
        ]
        or [{"name": row["name"], "label": row["label"]} for row in result.rows],
        "not_found": result.missing,
        "compartment_codes": {str(code): name for code, name in COMPARTMENT_NAMES.items()},
        "total_volume_ml": sum(row["volume_ml"] for row in result.rows),
    }


def _seeds(args, call):
    if not (args.seed or args.seeds):
        raise InputError(
            "no click was given",
            "--seed",
            "Give at least one, for example --seed=-32,14,60=M1, or --seeds FILE.",
        )
    points = read_points(call.add_input("seeds", args.seeds), args.lps) if args.seeds else []
    listed = [(place, name or None) for name, place, said in points if said.lower() != "exclude"]
    given = [call.point_lps(text) for text in args.seed]
    seeds = _named(listed + given)
    taken = {seed.name for seed in seeds}
    # an exclude point of a file that carries another name (Slicer numbers its points) cuts from all lesions
    excluded = [
        (place, name if name in taken else None) for name, place, said in points if said.lower() == "exclude"
    ]
    for point, name in excluded + [call.point_lps(text, "--exclude-seed") for text in args.exclude_seed]:
        if name is not None and name not in taken:
            raise InputError(f"no --seed is named {name}", "--exclude-seed", "Use the name of a lesion.")
        seeds.append(Seed(name or "", tuple(point), "exclude"))
    return seeds


def _named(points):
    """Include clicks; those without a name get the next free L and number."""
    taken, seeds = {name for _, name in points if name}, []
    for point, name in points:
        if name is None:
            number = 1
            while f"L{number}" in taken:
                number += 1
            name = f"L{number}"
            taken.add(name)
        seeds.append(Seed(name, tuple(point)))
    return seeds
