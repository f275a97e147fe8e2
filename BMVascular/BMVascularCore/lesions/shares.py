"""The sub-voxel boundary of all lesions as one image, for what is drawn from it (targets, contours)."""

import numpy as np

from BMVascularCore.volume import Volume


def share_image(segmentation):
    """Share of every voxel that lies inside a lesion.

    Parameters
    ----------
    segmentation : Segmentation

    Returns
    -------
    Volume
        float32, 0..1, on the grid of the labels. Lesions without a sub-voxel boundary (labels of another
        tool) hold whole voxels.
    """
    labels = segmentation.labels.array
    shares = np.zeros(labels.shape, np.float32)
    known = {lesion.label: lesion for lesion in segmentation.lesions}
    for label in (int(row["label"]) for row in segmentation.rows):
        lesion = known.get(label)
        if lesion is None:
            shares[labels == label] = 1.0
            continue
        window = lesion.window
        # voxels of a touching lesion belong to that one
        own = (labels[window] == label) | (labels[window] == 0)
        shares[window] = np.where(own, np.maximum(shares[window], lesion.measured), shares[window])
    return Volume(shares, segmentation.labels.geometry, "shares")
