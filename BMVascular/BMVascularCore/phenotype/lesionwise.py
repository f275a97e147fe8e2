"""From a label image and maps to the assessment of every lesion, habitats included."""

from BMVascularCore.errors import InputError
from BMVascularCore.phenotype.assess import assess_values
from BMVascularCore.phenotype.context import check_names, parse_context
from BMVascularCore.phenotype.extract import lesion_inputs, settle_units
from BMVascularCore.phenotype.habitats import HABITATS, find_habitats
from BMVascularCore.phenotype.inputs import LesionInputs
from BMVascularCore.phenotype.rules import load_table
from BMVascularCore.phenotype.scan import OEDEMA, build_scan
from BMVascularCore.progress import share_of, silent

MAP_KEYS = ("rcbv", "ktrans", "vp", "ve", "cbf", "pet", "adc", "swi", "flair", "wash_in", "t1c")


def assess_lesions(
    labels, maps, compartments=None, context=None, table=None, progress=None, names=None, with_habitats=True
):
    """Assess every lesion of a label image.

    Parameters
    ----------
    labels : Volume
        Whole numbers; each value above 0 is a lesion.
    maps : dict of Volume
        Any of :data:`MAP_KEYS`, each on its own grid, and ``<key>_se`` for voxel standard errors in the same
        unit: ``rcbv`` (ratio to white matter), ``ktrans`` (1/min), ``vp``, ``ve`` (fraction), ``cbf`` (ratio,
        or mL/100 g/min, which is then set against the mirrored side), ``pet`` (tumour-to-background ratio),
        ``adc``, ``swi``, ``flair``, ``wash_in`` (slope over that of the sagittal sinus), ``t1c`` (for the midline).
    compartments : Volume, optional
        1 enhancing, 2 non-enhancing core, 3 oedema, 4 haemorrhage.
    context : dict or Context, optional
        See :mod:`BMVascularCore.phenotype.context`.
    table : Table, optional
    progress : callable, optional
    names : dict, optional
        Label value to name; ``M<label>`` by default.
    with_habitats : bool

    Returns
    -------
    Assessment

    Raises
    ------
    InputError
        No lesions, an unknown map, a map without overlap, a context that cannot be.
    """
    progress = progress or silent
    table = table or load_table()
    context = parse_context(context)
    _check_maps(maps)
    scan = build_scan(labels, maps, compartments, table.rules, share_of(progress, 0.0, 0.3))
    names = _names(scan.numbers, names)
    check_names(context, [LesionInputs(name, number) for number, name in names.items()])
    asked = settle_units(scan, context, table.rules)
    has_flair = "flair" in maps or (
        scan.compartments is not None and bool((scan.compartments == OEDEMA).any())
    )
    inputs = []
    for done, number in enumerate(scan.numbers):
        progress(0.3 + 0.3 * done / len(names), f"measuring {names[number]}")
        inputs.append(lesion_inputs(scan, number, names[number], table.rules, asked, has_flair))
    settled = _without_units(context)
    result = assess_values(inputs, settled, table, share_of(progress, 0.6, 0.8))
    result.warnings += [text for text in asked.values() if text not in result.warnings]
    result.warnings += _scan_warnings(scan, inputs)
    if with_habitats:
        _add_habitats(result, scan, inputs, labels, table.rules, share_of(progress, 0.8, 1.0))
    return result


def _add_habitats(result, scan, inputs, labels, rules, progress):
    maps = find_habitats(scan, inputs, labels, rules, progress)
    result.habitats, result.memberships = maps.labels, maps.memberships
    for lesion, row in zip(result.lesions, result.rows, strict=True):
        habitats = maps.lesions[lesion["label"]]
        lesion["habitats"] = habitats
        row["spatially_mixed"] = habitats["lesion"]["spatially_mixed"] if habitats["assessable"] else None
        volumes = habitats["lesion"]["habitats"] if habitats["assessable"] else ()
        found = {part["habitat"]: part["volume_ml"] for part in volumes}
        # every row has every column: the first row names the columns of the table
        row.update({f"habitat_{key}_ml": found.get(key) for key in HABITATS})


def _check_maps(maps):
    for key in maps:
        if key.removesuffix("_se") not in MAP_KEYS:
            raise InputError(f"the map '{key}' is not known", "maps", f"Known: {', '.join(MAP_KEYS)}.")


def _names(numbers, given):
    given = {int(number): str(name) for number, name in (given or {}).items()}
    names = {number: given.get(number) or f"M{number}" for number in numbers}
    doubles = [name for name in names.values() if list(names.values()).count(name) > 1]
    if doubles:
        raise InputError(f"the name '{doubles[0]}' occurs twice", "names", "Give each lesion its own name.")
    return names


def _without_units(context):
    # maps were converted already
    return type(context)(**{**vars(context), "units": {}})


def _scan_warnings(scan, inputs):
    warnings = []
    if scan.plane is None and {"vp", "cbf", "rcbv"} & set(scan.maps):
        warnings.append(
            "No plane of symmetry was found: ratios to the mirrored side and habitats are not measurable."
        )
    for lesion in inputs:
        partial = sorted(
            f"{key} {value.share:.0%}"
            for key, value in lesion.values.items()
            if hasattr(value, "share") and value.share < 0.995
        )
        if partial:
            warnings.append(f"{lesion.name}: only part of the lesion is covered ({', '.join(partial)}).")
        missed = sorted(key for key, why in lesion.set_aside.items() if "covers" in why)
        if missed:
            warnings.append(f"{lesion.name}: {', '.join(missed)} not measurable, the map misses most of it.")
        negative = sorted(key for key, why in lesion.set_aside.items() if "negative" in why)
        if negative:
            warnings.append(f"{lesion.name}: {', '.join(negative)} not measurable, the median is below 0.")
    return warnings
