"""Images as arrays with a place in space.

Arrays are ordered ``(k, j, i)`` = (slice, row, column), as SimpleITK and Slicer give them; a time
series puts time first: ``(t, k, j, i)``. Positions are millimetres, LPS (DICOM, ITK). Functions
that take RAS say so.
"""

from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk

from BMVascularCore.errors import GeometryMismatchError, InputError


def ras_lps(points_mm):
    """Turn RAS points into LPS points or back (the same flip of x and y).

    Parameters
    ----------
    points_mm : array_like, shape (..., 3)

    Returns
    -------
    ndarray, shape (..., 3)
    """
    return np.asarray(points_mm, dtype=float) * (-1.0, -1.0, 1.0)


@dataclass(frozen=True)
class Geometry:
    """Voxel grid: where array index (k, j, i) lies in LPS millimetres.

    Attributes
    ----------
    shape : tuple of int
        Array shape (k, j, i).
    spacing_mm, origin_mm : tuple of float
        In (x, y, z) = (i, j, k) order, LPS, as in SimpleITK.
    direction : tuple of 9 float
        Row-major direction cosines, LPS, as in SimpleITK.
    """

    shape: tuple
    spacing_mm: tuple = (1.0, 1.0, 1.0)
    origin_mm: tuple = (0.0, 0.0, 0.0)
    direction: tuple = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    @classmethod
    def of_sitk(cls, image):
        """Geometry of a 3D ``SimpleITK.Image``."""
        return cls(image.GetSize()[::-1], image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    @classmethod
    def of_affine(cls, affine_lps, shape):
        """Geometry from a 4x4 matrix that maps (i, j, k, 1) to LPS mm, and an array shape (k, j, i)."""
        affine_lps = np.asarray(affine_lps, dtype=float)
        spacing = np.linalg.norm(affine_lps[:3, :3], axis=0)
        direction = affine_lps[:3, :3] / spacing
        return cls(
            tuple(int(n) for n in shape),
            tuple(spacing.tolist()),
            tuple(affine_lps[:3, 3].tolist()),
            tuple(direction.ravel().tolist()),
        )

    @property
    def affine_lps(self):
        """4x4 matrix from (i, j, k, 1) to LPS mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.reshape(self.direction, (3, 3)) * self.spacing_mm
        matrix[:3, 3] = self.origin_mm
        return matrix

    @property
    def voxel_ml(self):
        """Volume of one voxel in mL."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    @property
    def spacing_kji_mm(self):
        """Spacing in array order (k, j, i), for ``scipy.ndimage`` sampling arguments."""
        return tuple(self.spacing_mm[::-1])

    def points_of(self, index_kji):
        """LPS mm of (fractional) array indices, shape (..., 3) in (k, j, i) order."""
        ijk = np.asarray(index_kji, dtype=float)[..., ::-1]
        return ijk @ self.affine_lps[:3, :3].T + self.affine_lps[:3, 3]

    def index_of(self, points_lps_mm):
        """Fractional array indices (k, j, i) of LPS mm points, shape (..., 3)."""
        inverse = np.linalg.inv(self.affine_lps)
        ijk = np.asarray(points_lps_mm, dtype=float) @ inverse[:3, :3].T + inverse[:3, 3]
        return ijk[..., ::-1]

    def contains(self, points_lps_mm):
        """True for points that lie within a half voxel of the grid, shape (...)."""
        index = self.index_of(points_lps_mm)
        return np.all((index >= -0.5) & (index <= np.asarray(self.shape) - 0.5), axis=-1)

    def moved(self, transform):
        """The grid after a rigid motion of every point.

        Parameters
        ----------
        transform : SimpleITK.Transform
            Rigid; maps old points to new points, LPS mm.

        Returns
        -------
        Geometry
        """
        origin = np.asarray(transform.TransformPoint([float(v) for v in self.origin_mm]))
        axes = np.reshape(self.direction, (3, 3)).T
        ends = [transform.TransformPoint((np.asarray(self.origin_mm) + axis).tolist()) for axis in axes]
        direction = (np.asarray(ends) - origin).T
        return Geometry(
            self.shape, self.spacing_mm, tuple(origin.tolist()), tuple(direction.ravel().tolist())
        )

    def matches(self, other, tolerance_mm=0.01):
        """True when both grids have the same shape and their corners agree within the tolerance."""
        if tuple(self.shape) != tuple(other.shape):
            return False
        corners = np.array([(0, 0, 0), *np.diag(np.asarray(self.shape) - 1), np.asarray(self.shape) - 1])
        return bool(np.abs(self.points_of(corners) - other.points_of(corners)).max() <= tolerance_mm)


@dataclass
class Volume:
    """A 3D image.

    Attributes
    ----------
    array : ndarray, shape (k, j, i)
    geometry : Geometry
    name : str
        What messages call it; never a path or a patient's name.
    meta : dict
        Free facts such as ``echo_time_s``, ``flip_deg``, ``modality``, ``frame_of_reference_uid``.
    """

    array: np.ndarray
    geometry: Geometry
    name: str = "volume"
    meta: dict = field(default_factory=dict)

    def __post_init__(self):
        if tuple(self.array.shape) != tuple(self.geometry.shape):
            raise ValueError(f"array {self.array.shape} does not fit geometry {self.geometry.shape}")

    @classmethod
    def of_sitk(cls, image, name="volume", meta=None):
        """Volume that owns a copy of a 3D ``SimpleITK.Image``."""
        return cls(sitk.GetArrayFromImage(image), Geometry.of_sitk(image), name, dict(meta or {}))

    def like(self, array, name=None):
        """Another image on the same grid."""
        return Volume(array, self.geometry, name or self.name)

    def to_sitk(self):
        """A ``SimpleITK.Image``; booleans become uint8."""
        return to_sitk(self.array, self.geometry)


@dataclass
class Series:
    """A 3D image over time.

    Attributes
    ----------
    array : ndarray, shape (t, k, j, i)
    times_s : ndarray, shape (t,), seconds from the first frame, strictly increasing
    geometry : Geometry
    name, meta
        As in :class:`Volume`. ``meta["times_source"]`` says where the times come from.
    """

    array: np.ndarray
    times_s: np.ndarray
    geometry: Geometry
    name: str = "series"
    meta: dict = field(default_factory=dict)

    def __post_init__(self):
        if tuple(self.array.shape[1:]) != tuple(self.geometry.shape):
            raise ValueError(f"array {self.array.shape} does not fit geometry {self.geometry.shape}")
        if len(self.times_s) != self.array.shape[0]:
            raise InputError(
                f"{len(self.times_s)} frame times for {self.array.shape[0]} frames",
                self.name,
                "Give one time in seconds for each frame.",
            )

    def frame(self, index):
        """One frame as a :class:`Volume`."""
        return Volume(self.array[index], self.geometry, f"{self.name} frame {index}", dict(self.meta))

    def mean(self, frames=slice(None)):
        """Mean over some frames as a float32 :class:`Volume`."""
        return Volume(
            self.array[frames].mean(axis=0, dtype=np.float32), self.geometry, self.name, dict(self.meta)
        )


def to_sitk(array, geometry):
    """``SimpleITK.Image`` of a (k, j, i) array on a grid; booleans become uint8."""
    array = np.ascontiguousarray(array)
    image = sitk.GetImageFromArray(array.astype(np.uint8) if array.dtype == bool else array)
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin(geometry.origin_mm)
    image.SetDirection(geometry.direction)
    return image


def require_same_grid(geometry, other, name, other_name):
    """Raise unless two grids match.

    Raises
    ------
    GeometryMismatchError
        With both names and shapes, and what to do.
    """
    if not geometry.matches(other):

        def size(g):
            return "x".join(str(n) for n in g.shape[::-1])

        raise GeometryMismatchError(
            f"does not lie on the voxel grid of {other_name} ({size(geometry)} against {size(other)} voxels, "
            "or another place in space)",
            name,
            f"Resample it to {other_name} first.",
        )


_INTERPOLATORS = {
    "nearest": sitk.sitkNearestNeighbor,
    "linear": sitk.sitkLinear,
    "bspline": sitk.sitkBSpline3,
}


def resample(volume, geometry, transform=None, interpolation="linear", outside=0.0):
    """Resample an image onto another grid.

    Parameters
    ----------
    volume : Volume
    geometry : Geometry
        The wanted grid.
    transform : SimpleITK.Transform, optional
        Maps points of the wanted grid to points of ``volume`` (ITK's direction), LPS mm.
    interpolation : {"linear", "nearest", "bspline"}
    outside : float
        Value where ``volume`` gives none.

    Returns
    -------
    Volume
        Floating images stay float32; nearest keeps the type.
    """
    moving = volume.to_sitk()
    if interpolation != "nearest" and volume.array.dtype != np.float32:
        moving = sitk.Cast(moving, sitk.sitkFloat32)
    reference = sitk.Image([int(n) for n in geometry.shape[::-1]], sitk.sitkUInt8)
    reference.SetSpacing(geometry.spacing_mm)
    reference.SetOrigin(geometry.origin_mm)
    reference.SetDirection(geometry.direction)
    moved = sitk.Resample(
        moving,
        reference,
        transform or sitk.Transform(3, sitk.sitkIdentity),
        _INTERPOLATORS[interpolation],
        float(outside),
        moving.GetPixelID(),
    )
    return Volume(sitk.GetArrayFromImage(moved), geometry, volume.name, dict(volume.meta))
