"""``bmvascular track``: the same lesions at a later time point, with the ids that stay."""

from BMVascularCore.errors import InputError
from BMVascularCore.io import read_volume, write_table, write_volume
from BMVascularCore.io.images import output_ending
from BMVascularCore.io.transforms import write_transform
from BMVascularCore.lesions import COLUMNS
from BMVascularCore.lesions.follow import MATCH_COLUMNS, follow, read_confirmed, read_side
from BMVascularCore.planning.registration import register_rigid
from BMVascularCore.planning.registration_start import read_given
from BMVascularCore.progress import share_of

HELP = "which lesions of two time points are the same: shrunk, grown, new, vanished, merged, split"


def add_arguments(parser):
    """Options of ``track``."""
    parser.add_argument(
        "earlier",
        metavar="EARLIER",
        help="results folder of segment or track, or a label file, of the first scan",
    )
    parser.add_argument("later", metavar="LATER", help="the same of the later scan")
    parser.add_argument("--t1c-earlier", metavar="FILE", help="T1c of the first scan, to register both")
    parser.add_argument("--t1c-later", metavar="FILE", help="T1c of the later scan")
    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        "--transform", metavar="FILE",
        help="a registration that is known (EARLIER to LATER points, LPS): ITK or Slicer transform, DICOM REG",
    )  # fmt: skip
    way.add_argument("--registered", action="store_true", help="both scans lie in one space already")
    parser.add_argument(
        "--confirmed", metavar="CSV",
        help="matches that a reader confirmed or changed: the matches.csv of an earlier call with "
        "'confirmed' under decision, or a table with the columns earlier and later",
    )  # fmt: skip


def run(args, folder, call):
    """Match the lesions and write ``matches.csv``, ``lesions`` and ``lesions.csv`` with the ids that stay."""
    images = _images(args, call)
    sides = [
        read_side(call.add_input(key, getattr(args, key)), None if image is None else image.geometry)
        for key, image in zip(("earlier", "later"), images, strict=True)
    ]
    confirmed = []
    if args.confirmed:
        confirmed = read_confirmed(call.add_input("confirmed", args.confirmed), *sides)
    transform, verdict = _transform(args, call, images)
    found = follow(*sides, transform, confirmed, None not in images, verdict != "fail")
    if verdict == "fail":
        call.warn("The registration failed its checks: look at every match.")
    if all(match.status in ("new", "vanished", "not imaged") for match in found.matches):
        call.warn("No lesion was found again: check that both scans are of one patient.")
    if transform is not None:
        write_transform(folder.file("transform.tfm"), transform)
    write_table(folder.file("matches.csv"), found.rows, MATCH_COLUMNS)
    write_volume(folder.file(f"lesions{output_ending(args.later)}"), found.labels)
    columns = ("name", "segmented_as", *(c for c in COLUMNS if c != "name"))
    write_table(folder.file("lesions.csv"), found.lesions, columns)
    call.units.update(
        {name: name.rsplit("_", 1)[1] for name in MATCH_COLUMNS if name.endswith(("_ml", "_mm"))}
    )
    call.units.update(lesions="label", volume_change_percent="%", overlap="fraction of the smaller lesion")
    statuses = [match.status for match in found.matches]
    return {
        "registration": verdict,
        "lesions": {status: statuses.count(status) for status in dict.fromkeys(statuses)},
        "to_look_at": [row["identity"] for row in found.rows if row["decision"] == "look"],
    }


def _images(args, call):
    given = (args.t1c_earlier, args.t1c_later)
    if not (args.transform or args.registered) and None in given:
        raise InputError(
            "nothing tells how the two scans lie to one another",
            "--t1c-earlier, --t1c-later",
            "Give both T1c, or --transform FILE, or --registered.",
        )
    keys = ("t1c_earlier", "t1c_later")
    return [
        read_volume(call.add_input(key, path)) if path else None
        for key, path in zip(keys, given, strict=True)
    ]


def _transform(args, call, images):
    """Earlier to later points, and the verdict on it."""
    if args.registered:
        return None, "given"
    if args.transform:
        uids = [None if v is None else v.meta.get("frame_of_reference_uid") for v in images]
        return read_given(call.add_input("transform", args.transform), *uids), "given"
    found = register_rigid(*images, progress=share_of(call.progress, 0.0, 0.95))
    for reason in found.reasons if found.verdict != "pass" else ():
        call.warn(f"registration: {reason}")
    call.top_level["registration_reasons"] = found.reasons
    return found.transform, found.verdict
