"""Options that several commands share: habitats and permeability of the lesions as reference regions."""

from pathlib import Path

from BMVascularCore.cli.cmd_targets import names_by_label
from BMVascularCore.errors import InputError
from BMVascularCore.io import read_labels, read_volume
from BMVascularCore.planning.contours import rigid_transform
from BMVascularCore.planning.reference import reference_regions, regions_in_plan


def add_habitat_arguments(parser, title):
    """Add the group of options."""
    group = parser.add_argument_group(title)
    group.add_argument("--habitats", metavar="FILE", help="habitats of the phenotype command")
    group.add_argument("--ktrans", metavar="FILE", help="Ktrans in 1/min, for the permeable part")
    group.add_argument("--lesions", metavar="FILE", help="label image of the lesions, on the habitats' grid")
    group.add_argument("--lesion-names", metavar="CSV", help="name,label of --lesions")
    group.add_argument(
        "--lesions-registration", metavar="TFM", help="maps planning points to points of --lesions"
    )


def read_regions(args, call):
    """Reference regions in planning space; None where no option asks for them.

    Raises
    ------
    InputError
        Options that miss another, or files that do not fit.
    """
    if not (args.habitats or args.ktrans):
        if args.lesions or args.lesions_registration:
            raise InputError(
                "is given without habitats", "--lesions", "Add --habitats FILE or --ktrans FILE."
            )
        return None
    if not args.lesions:
        raise InputError("is missing", "--lesions", "Give the label image of the lesions of the habitats.")
    lesions = read_labels(call.add_input("lesions", args.lesions))
    names = names_by_label(call.add_input("lesion names", args.lesion_names))
    habitats = read_labels(call.add_input("habitats", args.habitats)) if args.habitats else None
    ktrans = read_volume(call.add_input("ktrans", args.ktrans)) if args.ktrans else None
    found = reference_regions(lesions, names, habitats, ktrans)
    for text in found.notes:
        call.warn(text)
    if not args.lesions_registration:
        return found
    path = Path(call.add_input("lesions registration", args.lesions_registration))
    return regions_in_plan(found, rigid_transform(path))
