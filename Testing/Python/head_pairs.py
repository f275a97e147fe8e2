"""Heads scanned twice, with known truth: planning CT with devices, and MRI in another pose.

A head is painted once on a fine grid (tissue shares of the simulated patient, varied in size and shape) and then
scanned through exact rigid poses, so that the transform between the two scans is known without measuring.
"""

from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from BMVascularCore.phantom.anatomy import Individual, head_fractions
from BMVascularCore.phantom.sampling import average_onto
from BMVascularCore.phantom.signals import add_rician
from BMVascularCore.phantom.tissue import static_tissue
from BMVascularCore.volume import Geometry, Volume, resample

AIR_HU = -1000.0
# relative signal of each tissue by weighting; contrast agent brightens vessels, dura and choroid in T1c
SIGNALS = {
    "T1c": {"gm": 55, "wm": 75, "csf": 22, "artery": 120, "vein": 150, "choroid": 130, "dura": 110, "fat": 170,
            "muscle": 60, "marrow": 120, "bone": 8, "vitreous": 25, "lesion": 140},
    "T1": {"gm": 55, "wm": 75, "csf": 22, "artery": 40, "vein": 40, "choroid": 45, "dura": 30, "fat": 170,
           "muscle": 60, "marrow": 120, "bone": 8, "vitreous": 25, "lesion": 50},
    "T2": {"gm": 80, "wm": 58, "csf": 200, "artery": 15, "vein": 25, "choroid": 120, "dura": 20, "fat": 110,
           "muscle": 35, "marrow": 80, "bone": 5, "vitreous": 200, "lesion": 110},
    "FLAIR": {"gm": 85, "wm": 65, "csf": 15, "artery": 20, "vein": 30, "choroid": 60, "dura": 40, "fat": 60,
              "muscle": 50, "marrow": 50, "bone": 5, "vitreous": 18, "lesion": 115},
}  # fmt: skip


@dataclass
class Head:
    """One head on a fine grid, in its own coordinates (LPS mm).

    Attributes
    ----------
    geometry : Geometry
    hu : ndarray
    signals : dict of str to ndarray
        Relative MR signal by weighting.
    skin_mm : ndarray
        Signed distance to the skin.
    brain : ndarray of bool
    lesions : ndarray, shape (n, 3)
        Centres, LPS mm.
    diameters_mm : ndarray, shape (n,)
    """

    geometry: Geometry
    hu: np.ndarray
    signals: dict
    skin_mm: np.ndarray
    brain: np.ndarray
    lesions: np.ndarray
    diameters_mm: np.ndarray

    def brain_points(self, count=300, seed=0):
        """Places spread over the brain, LPS mm, shape (count, 3)."""
        index = np.argwhere(self.brain)
        chosen = np.random.default_rng(seed).choice(len(index), count, replace=False)
        return self.geometry.points_of(index[chosen])


@dataclass
class Pair:
    """Planning CT and MRI of one head.

    Attributes
    ----------
    ct, mr : Volume
    true : SimpleITK.Euler3DTransform
        CT points to MR points, LPS mm.
    brain, lesions : ndarray, shape (n, 3)
        Places in the CT, LPS mm.
    """

    ct: Volume
    mr: Volume
    true: object
    brain: np.ndarray
    lesions: np.ndarray
    facts: dict = field(default_factory=dict)

    def errors_mm(self, transform, points=None):
        """Distance between where a transform puts places and where they belong, shape (n,)."""
        points = self.brain if points is None else points
        there = [
            np.subtract(transform.TransformPoint(p), self.true.TransformPoint(p)) for p in points.tolist()
        ]
        return np.linalg.norm(there, axis=1)

    def displaced(self, rotation_deg, shift_mm):
        """The same images after the patient moved in the MR scanner: another pose in the header."""
        moved = rigid(rotation_deg, shift_mm, self.true.TransformPoint(self.brain.mean(axis=0).tolist()))
        mr = Volume(self.mr.array, self.mr.geometry.moved(moved), self.mr.name, self.mr.meta)
        return Pair(self.ct, mr, chained(self.true, moved), self.brain, self.lesions, self.facts)


def rigid(rotation_deg=(0, 0, 0), shift_mm=(0, 0, 0), centre_mm=(0, 0, 0)):
    """Rigid transform from angles in degrees, a shift and a centre."""
    transform = sitk.Euler3DTransform()
    transform.SetCenter([float(v) for v in centre_mm])
    transform.SetRotation(*np.radians(np.asarray(rotation_deg, float)).tolist())
    transform.SetTranslation([float(v) for v in shift_mm])
    return transform


def chained(first, second):
    """One transform that does the first and then the second."""
    chain = sitk.CompositeTransform([second, first])
    origin = np.array(chain.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.column_stack([np.subtract(chain.TransformPoint(e), origin) for e in np.eye(3).tolist()])
    out = sitk.Euler3DTransform()
    u, _, v = np.linalg.svd(matrix)
    out.SetMatrix((u @ v).ravel().tolist(), 1e-6)
    out.SetTranslation(origin.tolist())
    return out


def simulate_head(seed, voxel_mm=1.0, lesion_count=8):
    """A head of its own size and shape with lesions of 4 to 18 mm."""
    rng = np.random.default_rng([seed, 401])
    scale = np.array([0.94, 0.93, 0.95]) * rng.uniform(0.90, 1.06) * (1 + rng.uniform(-0.04, 0.04, 3))
    individual = Individual(scale, rng.uniform(0.6, 2.6, (3, 3)), rng.uniform(0, 2 * np.pi, (3, 3)))
    extent = np.array([204.0, 252.0, 216.0])
    shape = tuple(int(n) for n in np.round(extent / voxel_mm).astype(int)[::-1])
    origin = -np.array([102.0, 118.0, 122.0]) + voxel_mm / 2
    geometry = Geometry(shape, (voxel_mm,) * 3, tuple(origin.tolist()))
    shares, fields = head_fractions(geometry, sitk.Euler3DTransform(), individual)
    tissue = ndimage.gaussian_filter(shares["gm"] + shares["wm"], 2.0 / voxel_mm)
    lesions, diameters = _place(tissue, geometry, rng, lesion_count)
    ball = _balls(geometry, lesions, diameters)
    hu = sum(np.float32(static_tissue(n).hu - AIR_HU) * s for n, s in shares.items())
    hu = (1 - ball) * hu + ball * np.float32(38.0 - AIR_HU) + np.float32(AIR_HU)
    signals = {}
    for name, values in SIGNALS.items():
        image = sum(np.float32(values.get(n, 0)) * s for n, s in shares.items())
        signals[name] = ((1 - ball) * image + ball * np.float32(values["lesion"])).astype(np.float32)
    brain = (shares["gm"] + shares["wm"] + shares["csf"] > 0.5) & (tissue > 0.2)
    return Head(geometry, hu.astype(np.float32), signals, fields["surface_mm"], brain, lesions, diameters)


def _place(tissue, geometry, rng, count):
    centres, diameters = [], rng.uniform(4.0, 18.0, count)
    candidates = np.argwhere(tissue > 0.8)
    while len(centres) < count:
        point = geometry.points_of(candidates[rng.integers(len(candidates))])
        if all(np.linalg.norm(point - other) > 20.0 for other in centres):
            centres.append(point)
    return np.array(centres), diameters


def _balls(geometry, centres, diameters):
    """Share of each voxel inside the lesions, with a soft edge of a voxel."""
    index = np.indices(geometry.shape, np.float32)
    share = np.zeros(geometry.shape, np.float32)
    step = geometry.spacing_mm[0]
    for centre, diameter in zip(geometry.index_of(centres), diameters, strict=True):
        away = np.sqrt(sum((axis - np.float32(c)) ** 2 for axis, c in zip(index, centre, strict=True))) * step
        share = np.maximum(share, np.clip(0.5 + (diameter / 2 - away) / step, 0, 1))
    return share


def grid_around(centre_mm, extent_mm, spacing_mm, rotation_deg=(0, 0, 0)):
    """A grid of a given extent around a place, turned if wanted."""
    extent_mm, spacing_mm = np.asarray(extent_mm, float), np.asarray(spacing_mm, float)
    counts = np.maximum(np.round(extent_mm / spacing_mm).astype(int), 1)
    direction = np.reshape(rigid(rotation_deg).GetMatrix(), (3, 3))
    origin = np.asarray(centre_mm, float) - direction @ ((counts - 1) * spacing_mm / 2)
    return Geometry(
        tuple(int(n) for n in counts[::-1]), tuple(spacing_mm.tolist()), tuple(origin.tolist()),
        tuple(direction.ravel().tolist()),
    )  # fmt: skip


def scan_ct(
    head, pose, grid, rng, devices=("mask", "rest", "couch"), contrast=False, noise_hu=12.0, shift_hu=0
):
    """CT of the head.

    Parameters
    ----------
    pose : SimpleITK.Transform
        Head points to CT points.
    grid : Geometry
        In CT coordinates.
    devices : sequence of {"mask", "rest", "couch", "frame"}
    contrast : bool
        Iodine in vessels and lesions.
    shift_hu : float
        Added at the end: 1024 for scanners that store an offset.
    """
    inverse = pose.GetInverse()
    hu = head.hu
    if contrast:
        gain = np.clip((head.signals["T1c"] - head.signals["T1"]) / 100.0, 0.0, 1.0)
        hu = hu + np.float32(110.0) * gain * (hu > -50)
    hu = resample(Volume(hu - AIR_HU, head.geometry), grid, inverse).array + np.float32(AIR_HU)
    skin = resample(Volume(head.skin_mm, head.geometry), grid, inverse, outside=60.0).array
    _add_devices(hu, skin, grid, np.array(pose.TransformPoint((0.0, 0.0, 0.0))), devices)
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    hu += np.float32(noise_hu) * noise + np.float32(shift_hu)
    return Volume(
        np.clip(np.rint(hu), -1024, 3071 + shift_hu).astype(np.int16), grid, "CT", {"modality": "CT"}
    )


def _add_devices(hu, skin, grid, centre, devices):
    k, j, i = grid.shape
    x, y, z = (
        (grid.origin_mm[a] + np.arange(n) * grid.spacing_mm[a] - centre[a]).astype(np.float32)
        for a, n in enumerate((i, j, k))
    )
    x, y, z = x[None, None], y[None, :, None], z[:, None, None]
    outside = skin > 0.8

    def put(where, value):
        hu[where & outside] = np.maximum(hu[where & outside], value)

    if "mask" in devices:
        holes = np.sin(0.9 * (x + 0.4 * z)) + np.sin(0.9 * (z - 0.4 * x)) > 1.1
        put((skin > 1.4) & (skin < 4.2) & (y < 35.0) & ~holes, 60.0)
    if "rest" in devices:
        trough = 96.0 - 0.0045 * x**2
        put((y > trough) & (y <= trough + 22.0) & (np.abs(x) < 75.0) & (z > -300), -920.0)
        put((y > trough + 22.0) & (y < trough + 25.0) & (np.abs(x) < 75.0) & (z > -300), 120.0)
    if "couch" in devices:
        put((np.abs(x) < 210.0) & (y > 124.0) & (y < 146.0) & (z > -300), -960.0)
        put(
            (np.abs(x) < 210.0) & (((y > 124) & (y < 126.5)) | ((y > 143.5) & (y < 146))) & (z > -300), -150.0
        )
    if "frame" in devices:
        ring = np.maximum(np.abs(x), np.abs(y - 5.0))
        put((ring > 118.0) & (ring < 128.0) & (np.abs(z + 70.0) < 9.0), 2500.0)
        for sx in (-1, 1):
            for sy in (-1, 1):
                along = np.hypot(x - sx * 88.0, y - 5.0 - sy * 92.0)
                put((along < 7.0) & (z < 20.0) & (z > -70.0), 1500.0)


def scan_mr(
    head, pose, grid, rng, weighting="T1c", noise=0.03, shading=0.3, stripped=False, gain=8.0, warp_mm=0.0
):
    """MRI of the head.

    Parameters
    ----------
    pose : SimpleITK.Transform
        Head points to MR points.
    noise : float
        Rician, relative to white matter.
    shading : float
        Half the range of the coil's sensitivity.
    stripped : bool
        Only the brain, as after skull stripping.
    warp_mm : float
        Radial distortion at 100 mm from the scanner's centre, growing with the cube.
    """
    source = head.signals[weighting]
    if stripped:
        source = source * ndimage.binary_dilation(head.brain, iterations=1)
    if warp_mm:
        source = _warped(head, source, warp_mm)
    image = average_onto(source, head.geometry, grid, pose.GetInverse())
    index = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in grid.shape], indexing="ij"))
    a, b, c = rng.uniform(-1, 1, 3)
    field_ = 1.0 + shading * (
        0.5 * a * index[0] + 0.6 * b * index[1] + 0.5 * c * index[2] + 0.6 * (index**2).sum(0) - 0.4
    )
    image = image * np.clip(field_, 0.1, None).astype(np.float32)
    image = add_rician(image, np.float32(75.0 * noise), rng)
    if stripped:
        image *= average_onto((source > 0).astype(np.float32), head.geometry, grid, pose.GetInverse()) > 0.5
    return Volume((gain * image).astype(np.float32), grid, "MR", {"modality": "MR"})


def _warped(head, source, warp_mm):
    index = np.indices(head.geometry.shape, np.float32)
    points = np.stack(
        [index[2 - a] * head.geometry.spacing_mm[a] + head.geometry.origin_mm[a] for a in range(3)]
    )
    radius = np.sqrt((points**2).sum(0)) / 100.0
    factor = 1.0 + warp_mm / 100.0 * radius**2
    at = [(points[a] * factor - head.geometry.origin_mm[a]) / head.geometry.spacing_mm[a] for a in (2, 1, 0)]
    return ndimage.map_coordinates(source, at, order=1)


def random_motion(rng, shift_mm, turn_deg):
    """A shift and rotation vector, each of a random length up to the limit."""
    axes = rng.normal(size=(2, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return axes[0] * turn_deg * rng.uniform() ** 0.5, axes[1] * shift_mm * rng.uniform() ** 0.5


def make_pair(head, seed=0, ct_spacing=(0.7, 0.7, 1.0), mr_spacing=(1.0, 1.0, 1.0), ct_extent=(260, 300, 210),
              mr_extent=(230, 250, 210), ct_shift=(0, 15, 0), mr_shift=(0, 0, 0), mr_turn=(0, 0, 0), motion=None,
              mr_head=None, **options):  # fmt: skip
    """Both scans of a head.

    Parameters
    ----------
    head : Head
    ct_shift, mr_shift : array_like
        Where the field of view lies relative to the head, mm: a shift of z cuts the vertex or the neck off.
    mr_turn : array_like
        Oblique acquisition, degrees about x, y, z.
    motion : (rotation_deg, shift_mm), optional
        Pose of the head in the MR scanner relative to the CT; a random one by default.
    mr_head : Head, optional
        Somebody else in the MR.
    options
        Of :func:`scan_ct` and :func:`scan_mr`; names are distinct.
    """
    rng = np.random.default_rng([seed, 402])
    turn, shift = motion if motion is not None else random_motion(rng, 25.0, 15.0)
    ct_pose = rigid(rng.uniform(-4, 4, 3), (3.0, -210.0, 830.0))
    ct_centre = np.array(ct_pose.TransformPoint((0.0, 0.0, 0.0)))
    mr_pose = rigid(turn, shift)
    keys = ("devices", "contrast", "noise_hu", "shift_hu")
    ct_options = {k: options.pop(k) for k in keys if k in options}
    ct = scan_ct(head, ct_pose, grid_around(ct_centre + ct_shift, ct_extent, ct_spacing), rng, **ct_options)
    mr_grid = grid_around(np.asarray(mr_shift, float), mr_extent, mr_spacing, mr_turn)
    mr = scan_mr(mr_head or head, mr_pose, mr_grid, rng, **options)
    true = chained(ct_pose.GetInverse(), mr_pose)
    to_ct = lambda points: np.array([ct_pose.TransformPoint(p) for p in points.tolist()])  # noqa: E731
    return Pair(ct, mr, true, to_ct(head.brain_points()), to_ct(head.lesions))
