"""The simulated patient where nilearn is absent, as inside Slicer."""

import numpy as np
import pytest

from BMVascularCore.phantom import anatomy, build_patient


@pytest.fixture(scope="module")
def without_nilearn():
    """The simulated patient's anatomy as on a machine without nilearn."""
    patch = pytest.MonkeyPatch()
    patch.setattr(anatomy.importlib.util, "find_spec", lambda name: None)
    anatomy.atlas.cache_clear()
    yield
    patch.undo()
    anatomy.atlas.cache_clear()


def test_the_brain_has_a_plausible_size(without_nilearn):
    maps = anatomy.atlas()
    volume_ml = {
        name: float(maps[name][0].sum()) * np.prod(maps[name][1].spacing_mm) / 1000 for name in ("gm", "wm")
    }
    assert 400 < volume_ml["gm"] < 900
    assert 400 < volume_ml["wm"] < 900
    assert 1200 < sum(volume_ml.values()) < 1700


def test_no_voxel_holds_more_tissue_than_fits(without_nilearn):
    maps = anatomy.atlas()
    both = maps["gm"][0] + maps["wm"][0]
    assert both.min() >= 0
    assert both.max() <= 1 + 1e-5


def test_every_lesion_finds_its_place(without_nilearn):
    patient = build_patient(seed=3, size="small")
    assert patient.anatomy == "closed shapes"
    point = patient.timepoints[0]
    names = [row["name"] for row in point.truth.lesions if row["present"]]
    assert [seed["name"] for seed in point.seeds] == names
    places = np.array([seed["ras"] for seed in point.seeds])
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1) + 1e3 * np.eye(len(places))
    assert apart.min() > 10
    assert {"T1", "T1c", "FLAIR", "CT"} <= set(point.volumes)
