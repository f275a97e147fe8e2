"""A tiny DSC series with a known answer, for self-tests."""

import numpy as np

from BMVascularCore.volume import Geometry, Series
from BMVascularLib.studyNodes import addImage


def addExampleSeries(scene, echo_time_s=0.03):
    """Add a series of normal tissue with a block (j, i from 4 to 8) of twice the blood volume.

    Parameters
    ----------
    scene : vtkMRMLScene
    echo_time_s : float or None
        What the series states about itself.

    Returns
    -------
    vtkMRMLSequenceNode
    """
    times = 1.5 * np.arange(40)
    after = np.maximum(times - 15.0, 0.0)
    bolus = after**3 * np.exp(-after / 1.5)
    bolus /= bolus.max()
    volume = np.ones((4, 24, 24))
    volume[:, 4:8, 4:8] = 2.0
    rng = np.random.default_rng(1)
    signal = 500.0 * np.exp(-0.03 * 8.0 * volume * bolus[:, None, None, None])
    signal += rng.normal(0.0, 2.0, signal.shape)
    signal[:, :, [0, -1]] = signal[:, :, :, [0, -1]] = 2.0
    geometry = Geometry.of_affine(np.diag([4.0, 4.0, 5.0, 1.0]), volume.shape)
    meta = {"flip_deg": 60.0, "times_source": "self-test"}
    if echo_time_s is not None:
        meta["echo_time_s"] = echo_time_s
    series = Series(signal.astype(np.float32), times, geometry, "DSC", meta)
    return addImage(scene, series, "DSC", "TP1", "made by the self-test")
