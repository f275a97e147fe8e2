"""A pair of images at every resolution level; each side is prepared once and may serve many pairs."""

import numpy as np
import SimpleITK as sitk

from BMVascularCore.planning.head_mask import cut_notes, head_mask, is_ct, mask_points, on_grid, prepare
from BMVascularCore.planning.pose_score import PoseScore


class Side:
    """One image of a pair, with its head mask, resampled to levels when asked.

    Parameters
    ----------
    image : SimpleITK.Image
        Float image.
    mask : SimpleITK.Image
        Head mask on a 3 mm grid.
    ct : bool
        The image holds Hounsfield units.
    notes : sequence of str
        What was found odd about the image.
    """

    def __init__(self, image, mask, ct=False, notes=()):
        self.image, self.mask, self.ct, self.notes = image, mask, ct, list(notes)
        self._images = {}
        self._masks = {}
        self._places = {}
        self._cropped = None
        self._probes = None

    @classmethod
    def of_volume(cls, volume):
        """Prepare a Core volume: clamp, find the head.

        Raises
        ------
        InputError
            A flat image, or one without a head.
        """
        ct = is_ct(volume)
        image, notes = prepare(volume)
        mask = head_mask(image, ct, volume.name)
        return cls(image, mask, ct, [*notes, *cut_notes(mask, volume.name)])

    @property
    def head_ml(self):
        """Volume of the head that the image shows."""
        voxel_mm3 = float(np.prod(self.mask.GetSpacing()))
        return float(sitk.GetArrayViewFromImage(self.mask).sum()) * voxel_mm3 / 1000.0

    @property
    def probes(self):
        """Places spread over the head, LPS mm, shape (n, 3)."""
        if self._probes is None:
            self._probes = mask_points(self.mask)
        return self._probes

    def at(self, level):
        """The image around the head at a level's voxel size and smoothing."""
        key = (level.spacing_mm, level.sigma_mm)
        if key not in self._images:
            spacing = max(level.spacing_mm, 0.9 * min(self.image.GetSpacing()))
            if self._cropped is None:
                self._cropped = _crop(self.image, _crop_box(self.mask))
            self._images[key] = on_grid(self._cropped, spacing, level.sigma_mm)
        return self._images[key]

    def mask_at(self, level):
        """The head with 9 mm around it, on :meth:`at`'s grid."""
        key = (level.spacing_mm, level.sigma_mm)
        if key not in self._masks:
            self._masks[key] = nearest_on(sitk.BinaryDilate(self.mask, [3, 3, 3]), self.at(level))
        return self._masks[key]

    def places_at(self, level):
        """Flat indices of the voxels of :meth:`mask_at`."""
        key = (level.spacing_mm, level.sigma_mm)
        if key not in self._places:
            self._places[key] = np.flatnonzero(sitk.GetArrayViewFromImage(self.mask_at(level)).ravel())
        return self._places[key]


class Pyramid:
    """A pair of sides.

    Parameters
    ----------
    fixed_side, moving_side : Side
    """

    def __init__(self, fixed_side, moving_side):
        self.fixed_side, self.moving_side = fixed_side, moving_side
        self._scores = {}

    @property
    def fixed(self):
        """Fixed image at its own resolution."""
        return self.fixed_side.image

    @property
    def moving(self):
        """Moving image at its own resolution."""
        return self.moving_side.image

    @property
    def fixed_mask(self):
        """Head of the fixed image, 3 mm grid."""
        return self.fixed_side.mask

    @property
    def moving_mask(self):
        """Head of the moving image, 3 mm grid."""
        return self.moving_side.mask

    def swapped(self):
        """The same pair with roles exchanged."""
        return Pyramid(self.moving_side, self.fixed_side)

    def images(self, level):
        """Fixed and moving image at a level."""
        return self.fixed_side.at(level), self.moving_side.at(level)

    def mask(self, level):
        """The fixed head with 9 mm around it, on the fixed image of a level."""
        return self.fixed_side.mask_at(level)

    def score(self, level, seed=0):
        """Score of poses at a level (see :class:`pose_score.PoseScore`); the seed says which places are compared."""
        if (level, seed) not in self._scores:
            self._scores[level, seed] = PoseScore(
                *self.images(level), self.fixed_side.places_at(level), level.points, level.bins, seed
            )
        return self._scores[level, seed]


def nearest_on(mask, reference, transform=None):
    """A mask on another image's grid; the transform maps points of that image to points of the mask."""
    return sitk.Resample(
        mask, reference, transform or sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8
    )


def _crop_box(mask, margin_mm=18.0):
    """Physical corners of a mask's box, LPS mm, shape (8, 3)."""
    index = np.argwhere(sitk.GetArrayViewFromImage(mask))
    margin = margin_mm / mask.GetSpacing()[0]
    low, high = index.min(axis=0) - margin, index.max(axis=0) + margin
    corners = np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij")).reshape(3, -1).T
    return np.array([mask.TransformContinuousIndexToPhysicalPoint(c[::-1].tolist()) for c in corners])


def _crop(image, corners_mm):
    index = np.array([image.TransformPhysicalPointToContinuousIndex(c.tolist()) for c in corners_mm])
    size = np.array(image.GetSize())
    low = np.clip(np.floor(index.min(axis=0)), 0, size - 1).astype(int)
    high = np.clip(np.ceil(index.max(axis=0)) + 1, low + 1, size).astype(int)
    return image[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
