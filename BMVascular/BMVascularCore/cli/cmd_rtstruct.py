"""``rtstruct``: labels as RT Structure Set on the planning series, the segmentation and the registration object."""

from dataclasses import replace
from pathlib import Path

from BMVascularCore.cli.habitat_options import add_habitat_arguments, read_regions
from BMVascularCore.cli.target_options import transform_of
from BMVascularCore.errors import InputError
from BMVascularCore.io import read_table
from BMVascularCore.io.dicom_files import save_dicom
from BMVascularCore.planning.ct_series import read_planning_series
from BMVascularCore.planning.export import trace_structures
from BMVascularCore.planning.preflight import preflight, require_clean
from BMVascularCore.planning.rtstruct import build_rtstruct
from BMVascularCore.planning.seg_export import build_segmentations, structures_on_series
from BMVascularCore.planning.spatial_registration import build_registration
from BMVascularCore.planning.structures import read_structures
from BMVascularCore.progress import share_of

HELP = "Labels as DICOM RT Structure Set on the planning series"


def add_arguments(parser):
    """Options of the command."""
    parser.add_argument(
        "--ct", required=True, metavar="DIR", help="planning series (CT, or MR for Gamma Knife)"
    )
    parser.add_argument("--labels", required=True, metavar="FILE", help="label image or .seg.nrrd")
    parser.add_argument("--names", metavar="CSV", help="name,label and optionally type,colour (r g b)")
    parser.add_argument(
        "--types", metavar="NAME=TYPE", nargs="+", default=[], help="ROI types, for example M1=GTV"
    )
    parser.add_argument(
        "--registration",
        metavar="TFM",
        help="maps planning points to points of the labels' series; or a DICOM spatial registration",
    )
    parser.add_argument("--moving", metavar="DIR", help="the labels' series, for the registration object")
    parser.add_argument(
        "--seg", action="store_true", help="also write a DICOM segmentation on the planning series (seg.dcm)"
    )
    parser.add_argument("--series", metavar="UID", help="which series of --ct, where it holds several")
    parser.add_argument("--allow-thick-slices", action="store_true", help="plan on slices above the limit")
    add_habitat_arguments(
        parser, "habitats as reference structures (type CONTROL, names zREF_..., not for treatment)"
    )


def run(args, folder, call):
    """Write the structure set; returns the summary."""
    call.add_input("planning series", args.ct)
    series = read_planning_series(args.ct, args.series, args.allow_thick_slices)
    for text in series.warnings:
        call.warn(text)
    rows = read_table(call.add_input("names", args.names), ("name", "label")) if args.names else []
    names = {_label(row, args.names): row["name"] for row in rows}
    found = read_structures(call.add_input("labels", args.labels), names)
    if found.from_contours:
        raise InputError(
            "is a structure set already", Path(args.labels).name, "Give a label image or .seg.nrrd."
        )
    if args.moving and not args.registration:
        raise InputError("is given without a registration", "--moving", "Add --registration TFM.")
    moving = (
        read_planning_series(call.add_input("moving", args.moving), allow_thick=True) if args.moving else None
    )
    frames = series.frame_of_reference_uid, moving.frame_of_reference_uid if moving is not None else None
    transform = transform_of(args.registration, call, "registration", *frames)
    structures = [s for s in found.structures if not s.empty]
    for text in found.warnings:
        call.warn(text)
    types = _check_types(_types(args.types, rows), structures)
    regions = read_regions(args, call)
    progress = share_of(call.progress, 0.0, 0.9 if regions is None else 0.5)
    rois, table, warnings = trace_structures(structures, series, transform, types, progress)
    if regions is not None:
        progress = share_of(call.progress, 0.5, 0.9)
        more = trace_structures(regions.structures(), series, None, {}, progress)
        rois, table, warnings = (a + b for a, b in zip((rois, table, warnings), more, strict=True))
    for text in warnings:
        call.warn(text)
    data = build_rtstruct(series, rois)
    masks = {roi.name: row["mask_ml"] for roi, row in zip(rois, table, strict=True)}
    findings = require_clean(preflight(data, series, masks))
    for one in findings:
        call.warn(one.text)
    segments = _segmentation(args, folder, call, series, structures, transform, regions, types)
    save_dicom(folder.file("rtstruct.dcm"), data)
    if moving is not None:
        save_dicom(folder.file("reg.dcm"), build_registration(series, moving, transform))
    return {
        "structures": table,
        "segments": segments,
        "modality": series.modality,
        "slices": len(series.headers),
        "preflight": "passed",
        "frame_of_reference": "kept from the planning series",
    }


def _segmentation(args, folder, call, series, structures, transform, regions, types):
    """Write the same structures as a DICOM segmentation where it is wanted; returns the names of its segments."""
    if not args.seg:
        return []
    typed = [replace(s, kind=types.get(s.name, s.kind)) for s in structures]
    drawn, notes = structures_on_series(typed, series, transform)
    if regions is not None:
        more, others = structures_on_series(regions.structures(), series)
        drawn, notes = drawn + more, notes + others
    for text in notes:
        call.warn(text)
    labels = []
    for number, data in enumerate(build_segmentations(series, drawn), start=1):
        save_dicom(folder.file("seg.dcm" if number == 1 else f"seg_{number}.dcm"), data)
        labels += [str(item.SegmentLabel) for item in data.SegmentSequence]
    return labels


def _label(row, path):
    try:
        return int(float(row["label"]))
    except ValueError as error:
        raise InputError("holds a label that is not a number", Path(path).name, "Mend the row.") from error


def _types(pairs, rows):
    types = {row["name"]: row["type"] for row in rows if row.get("type")}
    for pair in pairs:
        name, equals, kind = pair.rpartition("=")
        if not equals:
            raise InputError(f"'{pair}' is not NAME=TYPE", "--types", "Write for example GTV_01=GTV.")
        types[name] = kind
    return types


def _check_types(types, structures):
    unknown = [name for name in types if name not in {s.name for s in structures}]
    if unknown:
        raise InputError(
            f"no structure is called {unknown[0]}", "--types", "Use the names in the label file."
        )
    return types
