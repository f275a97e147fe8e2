"""Values of lesion segmentation: clicks, one found lesion, the whole result."""

from dataclasses import dataclass, field

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.volume import Volume

ENHANCING, CORE, OEDEMA, HAEMORRHAGE = 1, 2, 3, 4
COMPARTMENT_NAMES = {ENHANCING: "enhancing", CORE: "core", OEDEMA: "oedema", HAEMORRHAGE: "haemorrhage"}


@dataclass(frozen=True)
class Seed:
    """One click.

    Attributes
    ----------
    name : str
        Clicks with the same name belong to one lesion.
    point_lps_mm : sequence of 3 float
    kind : {"include", "exclude"}
        An exclude click cuts what it lies in from the lesion of its name (from every lesion when
        its name is empty).
    """

    name: str
    point_lps_mm: tuple
    kind: str = "include"

    def __post_init__(self):
        if self.kind not in ("include", "exclude"):
            raise InputError(f"kind '{self.kind}' is unknown", self.name, "Use include or exclude.")
        point = np.asarray(self.point_lps_mm, dtype=float)
        if point.shape != (3,) or not np.isfinite(point).all():
            raise InputError("is not a position of three finite numbers", self.name, "Click again.")


@dataclass
class Lesion:
    """One lesion as found from its clicks.

    Attributes
    ----------
    name : str
    label : int
    corner_kji : tuple of int
        Array index of the first voxel of ``fraction`` in the image.
    fraction : ndarray, shape (k, j, i)
        Share of each voxel that lies inside the lesion, 0..1 (sub-voxel boundary).
    inside_level, outside_level, contrast_to_noise : float
        Median T1c inside the enhancing part and just outside, and their difference over the noise.
    confidence : {"good", "low", "drawn"}
    reasons : list of str
        Why the confidence is low.
    shares : ndarray or None
        Like ``fraction``, with the edge voxels of thick slices by their intensity: for the volume,
        while ``fraction`` says which voxels a reader would outline.
    edge_seen : float
        Share of the surface behind which the image turns darker, 0..1.
    """

    name: str
    label: int
    corner_kji: tuple
    fraction: np.ndarray
    inside_level: float
    outside_level: float
    contrast_to_noise: float
    confidence: str = "good"
    reasons: list = field(default_factory=list)
    shares: np.ndarray | None = None
    edge_seen: float = 1.0

    @property
    def measured(self):
        """Share of each voxel for the volume."""
        return self.fraction if self.shares is None else self.shares

    @property
    def window(self):
        """Slices of the image that ``fraction`` covers."""
        return tuple(slice(c, c + n) for c, n in zip(self.corner_kji, self.fraction.shape, strict=True))


@dataclass
class Segmentation:
    """What the clicks gave.

    Attributes
    ----------
    labels : Volume
        int32, label = lesion, in the order of the first clicks.
    compartments : Volume
        uint8: 1 enhancing, 2 non-enhancing core, 3 oedema, 4 haemorrhage.
    oedema_labels : Volume
        int32, the lesion each oedema voxel is counted for (the nearest one).
    lesions : list of Lesion
    rows : list of dict
        Rows of ``lesions.csv``.
    missing : dict
        Name of a lesion that was not found to the reason.
    warnings : list of str
    """

    labels: Volume
    compartments: Volume
    oedema_labels: Volume
    lesions: list
    rows: list
    missing: dict
    warnings: list
