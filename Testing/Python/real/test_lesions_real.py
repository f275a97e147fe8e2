"""One click on real tumours: a Gamma Knife exam and a head with 6.5 mm slices."""

import json
import zipfile

import numpy as np
import pytest
import SimpleITK as sitk
from lesion_heads import dice
from scipy import ndimage

from BMVascularCore.lesions import Seed, prepare, segment_one
from BMVascularCore.volume import Volume


def lesion_mask(ready, *indices):
    geometry = ready.t1c.geometry
    lesion = segment_one(ready, "TV", 1, [Seed("TV", tuple(geometry.points_of(i))) for i in indices])
    assert not isinstance(lesion, str), lesion
    mask = np.zeros(geometry.shape, dtype=bool)
    mask[lesion.window] = lesion.fraction >= 0.5
    return mask, float(lesion.fraction.sum()) * geometry.voxel_ml


def polygon_mask(contours, geometry):
    """Slices filled by the even-odd rule at the pixel centres."""
    mask = np.zeros(geometry.shape, dtype=bool)
    columns = np.arange(geometry.shape[2])
    for contour in contours:
        index = geometry.index_of(contour)
        k, y, x = round(index[0, 0]), index[:, 1], index[:, 2]
        for row in range(int(y.min()), int(y.max()) + 2):
            y2, x2 = np.roll(y, -1), np.roll(x, -1)
            cross = (y <= row) != (y2 <= row)
            where = x[cross] + (row - y[cross]) / (y2[cross] - y[cross]) * (x2[cross] - x[cross])
            mask[k, row] ^= (where[:, None] < columns).sum(0) % 2 == 1
    return mask


@pytest.fixture(scope="module")
def gamma_knife(shared, tmp_path_factory):
    folder = shared / "data" / "real" / "vs_seg_001_gk"
    if not folder.is_dir():
        pytest.skip("vs_seg_001_gk is absent")
    dicom = tmp_path_factory.mktemp("dicom")
    with zipfile.ZipFile(folder / "T1c_dicom.zip") as archive:
        archive.extractall(dicom)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(dicom)))
    volume = Volume.of_sitk(reader.Execute(), "t1c")
    contours = json.loads((folder / "sub-001_contours_space-individual_T1w.json").read_text())
    target = next(c for c in contours if c["structure_name"] == "TV")
    return prepare(volume), polygon_mask(target["LPS_contour_points"], volume.geometry)


def test_gamma_knife_contour_wherever_the_click_falls(gamma_knife):
    ready, truth = gamma_knife
    places = np.argwhere(truth)
    volumes = []
    for index in places[np.random.default_rng(7).choice(len(places), 10, replace=False)]:
        mask, volume_ml = lesion_mask(ready, index)
        assert dice(mask, truth) >= 0.85
        assert volume_ml == pytest.approx(3.44, rel=0.12)
        volumes.append(volume_ml)
    assert np.std(volumes) / np.mean(volumes) < 0.05


@pytest.fixture(scope="module")
def thick(shared):
    """A head with slices of 6.5 mm and its label: a frontal and a temporal focus, 12 mm apart."""
    folder = shared / "data" / "real" / "pyradiomics_brain"
    if not folder.is_dir():
        pytest.skip("pyradiomics_brain is absent")
    volume = Volume.of_sitk(sitk.ReadImage(str(folder / "brain1_image.nrrd")), "t1c")
    truth = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "brain1_label.nrrd"))) > 0
    return prepare(volume), truth


def test_thick_slices(thick):
    ready, truth = thick
    mask, _ = lesion_mask(ready, (16, 89, 185), (11, 136, 200))
    assert dice(mask, truth) >= 0.8


def test_each_focus_of_thick_slices_from_one_click(thick):
    """Deepest point and ten clicks anywhere in the brighter half of each focus."""
    ready, truth = thick
    foci, count = ndimage.label(truth)
    assert count == 2
    rng = np.random.default_rng(17)
    for number in (1, 2):
        focus = foci == number
        depth = ndimage.distance_transform_edt(focus, sampling=ready.t1c.geometry.spacing_kji_mm)
        bright = np.argwhere(focus & (ready.t1c.array > np.median(ready.t1c.array[focus])))
        clicks = [np.unravel_index(depth.argmax(), depth.shape), *rng.choice(bright, 10, replace=False)]
        for index in clicks:
            mask, _ = lesion_mask(ready, index)
            assert dice(mask, focus) >= 0.8
