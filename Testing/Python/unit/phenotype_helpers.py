"""Simulated scans and a small JSON Schema check for the tests of the phenotype."""

import re

import numpy as np

from BMVascularCore.volume import Geometry, Volume

PROTOCOL = {"protocol": {"preload": True, "leakage_correction": True, "flip_deg": 60}}
_TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "null": type(None),
}

# centre (LPS mm), radius mm, oedema width mm, Ktrans 1/min, rCBV
LESIONS = (
    ((35, 20, 10), 10, 18, 0.13, 3.5),
    ((-40, -20, 5), 9, 3, 0.012, 1.1),
    ((20, -50, -10), 9, 4, 0.015, 3.5),
)


def head_scan(spacing_mm=2.0, noise=0.15, seed=0, lesions=LESIONS):
    """A symmetric head with spherical lesions.

    Returns
    -------
    labels, compartments : Volume
    maps : dict of Volume
    """
    rng = np.random.default_rng(seed)
    extent = np.array((160.0, 190.0, 120.0))
    shape = tuple(int(n) for n in (extent / spacing_mm)[::-1])
    geometry = Geometry(shape, (spacing_mm,) * 3, tuple(-extent / 2))
    places = geometry.points_of(np.stack(np.indices(shape), -1))
    brain = ((places / (75, 90, 55)) ** 2).sum(-1) < 1
    labels, parts = np.zeros(shape, np.int32), np.zeros(shape, np.uint8)
    truth = {"rcbv": 1.0 * brain, "ktrans": 0.002 * brain, "vp": 0.02 * brain}
    folds = 1 + 0.3 * np.sin(np.abs(places[..., 0]) / 8) * np.cos(places[..., 1] / 11)
    flair = 100.0 * brain * folds
    for number, (centre, radius, width, ktrans, rcbv) in enumerate(lesions, start=1):
        distance = np.linalg.norm(places - centre, axis=-1)
        inside = distance < radius
        parts[(distance < radius + width) & brain & (parts == 0)] = 3
        labels[inside], parts[inside] = number, 1
        parts[distance < 0.4 * radius] = 2
        truth["ktrans"][inside], truth["rcbv"][inside], truth["vp"][inside] = ktrans, rcbv, 0.02 * rcbv
    flair[parts == 3] *= 1.5
    maps = {
        key: Volume((value * np.exp(noise * rng.standard_normal(shape))).astype(np.float32), geometry, key)
        for key, value in truth.items()
    }
    maps["flair"] = Volume(flair.astype(np.float32), geometry, "flair")
    return Volume(labels, geometry, "lesions"), Volume(parts, geometry, "compartments"), maps


def schema_faults(value, schema, where="$"):
    """Faults of a JSON value against the keywords that our schemas use."""
    kinds = schema.get("type")
    if kinds is not None:
        kinds = [kinds] if isinstance(kinds, str) else kinds
        fits = [
            isinstance(value, _TYPES[k]) and (k == "boolean" or not isinstance(value, bool)) for k in kinds
        ]
        if not any(fits):
            return [f"{where}: {value!r} is not {kinds}"]
    faults = []
    if "enum" in schema and value not in schema["enum"]:
        faults.append(f"{where}: {value!r} is not allowed")
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = schema.get("minimum", -np.inf), schema.get("maximum", np.inf)
        if not low - 1e-12 <= value <= high + 1e-12:
            faults.append(f"{where}: {value} is outside {low}..{high}")
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        faults.append(f"{where}: {value!r} does not match")
    if isinstance(value, dict):
        faults += [f"{where}: lacks {key}" for key in schema.get("required", ()) if key not in value]
        for key, part in schema.get("properties", {}).items():
            if key in value:
                faults += schema_faults(value[key], part, f"{where}.{key}")
    if isinstance(value, list) and "items" in schema:
        for n, item in enumerate(value):
            faults += schema_faults(item, schema["items"], f"{where}[{n}]")
    return faults
