"""Dose reading, histograms and indices against closed forms."""

import numpy as np
import planning_cases as cases
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from BMVascularCore.errors import InputError
from BMVascularCore.io.dicom_files import save_dicom
from BMVascularCore.planning.bed import bed_gy, bed_table, eqd2_gy
from BMVascularCore.planning.brain_dose import TargetsInBrain
from BMVascularCore.planning.dose import DoseField, DoseGrid, read_dose
from BMVascularCore.planning.dvh import compute_dvh
from BMVascularCore.planning.indices import conformity_metrics
from BMVascularCore.planning.membership import Membership
from BMVascularCore.planning.oar import constraint_table, surface_distances
from BMVascularCore.planning.review import review_plan
from BMVascularCore.planning.rules import constraint_rows, dose_by_size_rows
from BMVascularCore.planning.sampling import sample_contours, sample_mask
from BMVascularCore.planning.setup_error import rotation_margins
from BMVascularCore.planning.structures import Structure, StructureSet
from BMVascularCore.volume import Volume


def dose_of(geometry, function):
    """Dose grid of a function of LPS points (..., 3)."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in geometry.shape], indexing="ij"), axis=-1)
    return DoseGrid(Volume(function(geometry.points_of(index)).astype(np.float32), geometry, "dose"))


def rtdose(path, array, scale=1e-3, **changes):
    """Write an RTDOSE of integer values (k, j, i)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.2"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Modality, data.DoseUnits, data.DoseType, data.DoseSummationType = "RTDOSE", "GY", "PHYSICAL", "PLAN"
    data.FrameOfReferenceUID = "1.2.3.4"
    data.NumberOfFrames, data.Rows, data.Columns = array.shape
    data.ImagePositionPatient, data.ImageOrientationPatient = [-10.0, -20.0, -30.0], [1, 0, 0, 0, 1, 0]
    data.PixelSpacing = [2.0, 1.5]
    data.GridFrameOffsetVector = [3.0 * n for n in range(array.shape[0])]
    data.FrameIncrementPointer = 0x3004000C
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 32
    data.HighBit, data.PixelRepresentation = 31, 0
    data.DoseGridScaling = scale
    data.PixelData = array.astype("<u4").tobytes()
    for key, value in changes.items():
        if value is None:
            delattr(data, key)
        else:
            setattr(data, key, value)
    save_dicom(path, data)
    return path


ARRAY = np.arange(4 * 5 * 6).reshape(4, 5, 6) * 100


def test_scaling_and_places_of_a_non_square_grid(tmp_path):
    dose = read_dose(rtdose(tmp_path / "d.dcm", ARRAY))
    assert dose.volume.array == pytest.approx(ARRAY * 1e-3)
    assert dose.geometry.points_of((3, 4, 5)) == pytest.approx((-10 + 5 * 1.5, -20 + 4 * 2.0, -30 + 3 * 3.0))


def test_absolute_frame_offsets_mean_the_same(tmp_path):
    relative = read_dose(rtdose(tmp_path / "r.dcm", ARRAY))
    absolute = read_dose(
        rtdose(tmp_path / "a.dcm", ARRAY, GridFrameOffsetVector=[-30.0, -27.0, -24.0, -21.0])
    )
    assert absolute.geometry.matches(relative.geometry)
    assert np.array_equal(absolute.volume.array, relative.volume.array)


def test_falling_frame_offsets_turn_the_stack(tmp_path):
    falling = read_dose(rtdose(tmp_path / "f.dcm", ARRAY, GridFrameOffsetVector=[0.0, -3.0, -6.0, -9.0]))
    where = falling.geometry.index_of((-10.0, -20.0, -39.0))
    assert falling.volume.array[tuple(np.rint(where).astype(int))] == pytest.approx(ARRAY[3, 0, 0] * 1e-3)


def test_feet_first_frames_run_along_their_own_normal(tmp_path):
    dose = read_dose(rtdose(tmp_path / "f.dcm", ARRAY, ImageOrientationPatient=[-1, 0, 0, 0, 1, 0]))
    # x falls along the row and the normal points to the feet
    where = dose.geometry.index_of((-10.0 - 5 * 1.5, -20.0, -30.0 - 9.0))
    assert dose.volume.array[tuple(np.rint(where).astype(int))] == pytest.approx(ARRAY[3, 0, 5] * 1e-3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"DoseUnits": "RELATIVE"}, "RELATIVE"),
        ({"DoseUnits": None}, "units are missing"),
        ({"DoseSummationType": "BEAM"}, "dose of a BEAM"),
        ({"DoseSummationType": "FRACTION"}, "dose of a FRACTION"),
        ({"DoseType": "ERROR"}, "differences"),
        ({"GridFrameOffsetVector": [0.0, 3.0, 7.0, 10.0]}, "uneven"),
        ({"GridFrameOffsetVector": None}, "where its frames lie"),
        ({"GridFrameOffsetVector": [5.0, 8.0, 11.0, 14.0]}, "do not fit its image position"),
        ({"DoseGridScaling": None}, "grid scaling"),
    ],
)
def test_dose_that_must_not_be_reviewed_is_refused(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        read_dose(rtdose(tmp_path / "d.dcm", ARRAY, **changes))


def test_gray_that_looks_like_centigray_is_said_and_caught(tmp_path):
    dose = read_dose(rtdose(tmp_path / "d.dcm", ARRAY, scale=1.0))
    assert any("cGy" in text for text in dose.warnings)
    structures = StructureSet([Structure("GTV_01", "GTV", cases.sphere_contours(5))])
    dose.frame_of_reference_uid = None
    with pytest.raises(InputError, match="does not fit a dose"):
        review_plan(dose, structures, 20.0)


def test_uniform_dose_gives_a_step():
    geometry = cases.grid((20, 20, 20))
    field = DoseField(dose_of(geometry, lambda p: np.full(p.shape[:-1], 18.0)))
    dvh = compute_dvh("s", sample_mask(cases.sphere(geometry, 10), geometry), field)
    for share in (0.98, 0.5, 0.02):
        assert dvh.dose_at_share(share) == pytest.approx(18.0, rel=1e-5)
    assert dvh.mean_gy == pytest.approx(18.0, rel=1e-5)
    assert dvh.volume_at_ml(17.9) == pytest.approx(dvh.total_mm3 / 1000)
    assert dvh.volume_at_ml(18.1) == 0.0


def solid_radius(shape, z):
    """Radius of a solid of 24 mm height at heights within it."""
    if shape == "sphere":
        return np.sqrt(np.maximum(144.0 - z**2, 0.0))
    return np.full(len(z), 10.0) if shape == "cylinder" else 0.5 * (z + 12.0)


def share_above(shape, x):
    """Closed-form share of a solid beyond x, by its chords."""
    fine = np.linspace(-12.0, 12.0, 961)
    radius = solid_radius(shape, np.linspace(-12.0, 12.0, 601))
    area = np.array([np.sqrt(np.maximum(radius**2 - u**2, 0.0)).mean() for u in fine])
    return np.array([area[fine >= u].sum() for u in x]) / area.sum()


@pytest.mark.parametrize("step", [1.0, 2.0])
def test_linear_gradient_agrees_with_the_closed_form(step):
    geometry = cases.grid((40, 40, 40))
    field = DoseField(dose_of(geometry, lambda p: 16.0 + p[..., 0]))
    # slabs that end where the solids end, so that no end-cap rule comes in
    heights = np.arange(-12.0 + step / 2, 12.0, step)
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    x = np.linspace(-11.5, 11.5, 47)
    off = []
    for shape in ("sphere", "cylinder", "cone"):
        rings = [
            np.c_[r * np.cos(angle), r * np.sin(angle), np.full(120, z)]
            for r, z in zip(solid_radius(shape, heights), heights, strict=True)
        ]
        dvh = compute_dvh(shape, sample_contours(rings, shape), field)
        exact = share_above(shape, x)
        ours = np.array([dvh.volume_at_ml(16.0 + u) for u in x]) * 1000.0 / dvh.total_mm3
        assert np.abs(ours - exact).max() < 0.005
        inner = (exact > 0.001) & (exact < 0.999)
        dose = np.array([dvh.dose_at_share(share) for share in exact[inner]])
        off += (np.abs(dose / (16.0 + x[inner]) - 1.0) > 0.03).tolist()
    assert np.mean(off) <= 0.03


@pytest.mark.parametrize("source", ["contours", "mask"])
@pytest.mark.parametrize(("one", "other", "apart"), [(8, 8, 0.0), (8, 8, 4.0), (10, 5, 0.0), (20, 8, 9.0)])
def test_targets_that_overlap_count_once(one, other, apart, source):
    """The union of two balls is their volumes less their lens."""
    centre = np.array((0.31, -0.22, 0.4))
    places = [(one, centre), (other, centre + np.array((0.6, -0.64, 0.48)) * apart)]
    if source == "contours":
        samples = [sample_contours(cases.sphere_contours(d, 1.0, c)) for d, c in places]
    else:
        fine = cases.grid((90, 90, 90), (0.5, 0.5, 0.5))
        samples = [sample_mask(cases.sphere(fine, d, c), fine) for d, c in places]
    field = DoseField(dose_of(cases.grid((50, 50, 50)), lambda p: np.full(p.shape[:-1], 20.0)))
    brain = Membership(Structure("Brain", "ORGAN", cases.sphere_contours(44, 1.0)))
    both = cases.sphere_ml(one) + cases.sphere_ml(other) - cases.lens_ml(other / 2, one / 2, apart)
    found = TargetsInBrain(samples, brain, field)
    assert found.hot_ml(12.0, [0, 1]) == pytest.approx(both, rel=0.015)
    assert found.hot_ml(12.0, [1]) == pytest.approx(cases.sphere_ml(other), rel=0.015)
    assert found.hot_ml(21.0, [0, 1]) == 0.0


CASES = [(d, 1.3 + (0.5 + 0.14) * d) for d in (3, 5, 7, 10)]


def review_sphere(diameter, r50, source):
    centre = np.array((0.31, -0.22, 0.4))
    geometry = cases.grid((44, 44, 44))
    dose_at, _ = cases.peaked_dose(diameter, r50)
    dose = dose_of(geometry, lambda p: dose_at(np.maximum(np.linalg.norm(p - centre, axis=-1), 1e-9)))
    if source == "contours":
        structure = Structure("GTV_01", "GTV", cases.sphere_contours(diameter, 1.0, centre))
    else:
        fine = cases.grid((88, 88, 88), (0.5, 0.5, 0.5))
        structure = Structure("GTV_01", "GTV", [], Volume(cases.sphere(fine, diameter, centre), fine))
    return review_plan(dose, StructureSet([structure]), 20.0)


@pytest.mark.parametrize(("diameter", "r50"), CASES)
def test_indices_of_a_sphere(diameter, r50):
    dose_at, radius_at = cases.peaked_dose(diameter, r50)
    (row,) = review_sphere(diameter, r50, "contours").rows
    limit = {3: 0.025}.get(diameter, 0.01)
    exact = {
        "volume_ml": cases.sphere_ml(diameter),
        "piv_ml": cases.sphere_ml(diameter),
        "v12_ml": cases.sphere_ml(2 * radius_at(12.0)),
        "v10_ml": cases.sphere_ml(2 * r50),
        "gradient_index": (2 * r50 / diameter) ** 3,
        "d50_gy": dose_at(diameter / 2 * 0.5 ** (1 / 3)),
        "d2_gy": dose_at(diameter / 2 * 0.02 ** (1 / 3)),
    }
    for name, value in exact.items():
        assert row[name] == pytest.approx(value, rel=limit), name
    assert row["d98_gy"] == pytest.approx(dose_at(diameter / 2 * 0.98 ** (1 / 3)), rel=0.015)
    assert row["paddick_ci"] > 0.95
    assert row["inverse_paddick_ci"] == pytest.approx(1 / row["paddick_ci"])


@pytest.mark.parametrize("diameter", [5, 10])
def test_a_mask_gives_the_same_as_contours(diameter):
    r50 = dict(CASES)[diameter]
    dose_at, _ = cases.peaked_dose(diameter, r50)
    (row,) = review_sphere(diameter, r50, "mask").rows
    assert row["d98_gy"] == pytest.approx(dose_at(diameter / 2 * 0.98 ** (1 / 3)), rel=0.02)
    assert row["d50_gy"] == pytest.approx(dose_at(diameter / 2 * 0.5 ** (1 / 3)), rel=0.015)


def two_targets(gap):
    geometry = cases.grid((40, 40, 64))
    centres = np.array([(-gap / 2, 0.0, 0.0), (gap / 2, 0.0, 0.0)])
    dose_at, _ = cases.peaked_dose(8, 6.5)

    def total(points):
        return np.max(
            [dose_at(np.maximum(np.linalg.norm(points - c, axis=-1), 1e-9)) for c in centres], axis=0
        )

    structures = [
        Structure(f"GTV_{n:02d}", "GTV", cases.sphere_contours(8, 1.0, c)) for n, c in enumerate(centres, 1)
    ]
    return dose_of(geometry, total), structures


def test_merged_isodoses_are_shared_out():
    dose, structures = two_targets(11.0)
    rows = review_plan(dose, StructureSet(structures), 20.0).rows
    assert [row["bridged"] for row in rows] == ["yes", "yes"]
    assert rows[0]["piv50_ml"] == pytest.approx(rows[1]["piv50_ml"], rel=0.02)
    # two spheres of radius 6.5 at 11 mm: each keeps its half up to the plane between them
    cap = np.pi * (6.5 - 5.5) ** 2 * (3 * 6.5 - (6.5 - 5.5)) / 3.0 / 1000.0
    assert rows[0]["piv50_ml"] == pytest.approx(cases.sphere_ml(13) - cap, rel=0.02)
    apart = review_plan(*(lambda d, s: (d, StructureSet(s)))(*two_targets(24.0)), 20.0).rows
    assert [row["bridged"] for row in apart] == ["no", "no"]


def test_brain_minus_targets():
    dose, structures = two_targets(24.0)
    fine = cases.grid((40, 40, 60))
    brain = Structure(
        "Brain",
        "ORGAN",
        [],
        Volume(
            cases.sphere(fine, 56)
            & (np.abs(fine.points_of(np.stack(np.indices(fine.shape), -1))[..., 2]) < 19),
            fine,
        ),
    )
    rows = {
        r["structure"]: r for r in review_plan(dose, StructureSet([*structures, brain]), 20.0, "Brain").rows
    }
    _, radius_at = cases.peaked_dose(8, 6.5)
    whole = 2 * cases.sphere_ml(2 * radius_at(12.0))
    assert rows["Brain"]["v12_ml"] == pytest.approx(whole, rel=0.01)
    assert rows["Brain"]["v12_minus_gtv_ml"] == pytest.approx(whole - 2 * cases.sphere_ml(8), rel=0.02)


@pytest.mark.parametrize(
    ("diameter", "away", "as_mask"),
    [(6.0, 29.0, False), (11.0, 31.5, False), (8.0, 12.0, False), (11.0, 31.5, True)],
)
def test_a_target_at_the_edge_of_the_brain_takes_its_share_only(diameter, away, as_mask):
    """Brain, target and isodose are balls: what they have in common is a lens."""
    centre = np.array((0.6, -0.64, 0.48)) * away
    r50 = diameter / 2 + 2.5
    dose_at, radius_at = cases.peaked_dose(diameter, r50)
    dose = dose_of(
        cases.grid((96, 96, 96)), lambda p: dose_at(np.maximum(np.linalg.norm(p - centre, axis=-1), 1e-9))
    )
    brain = Structure("Brain", "ORGAN", cases.sphere_contours(60, 1.5, (0.0, 0.0, 0.0), 180))
    if as_mask:
        fine = cases.grid((86, 86, 86), (0.75, 0.75, 0.75))
        brain = Structure("Brain", "ORGAN", [], Volume(cases.sphere(fine, 60), fine))
    drawn = [Structure("GTV", "GTV", cases.sphere_contours(diameter, 1.0, centre)),
             Structure("PTV", "PTV", cases.sphere_contours(diameter + 2, 1.0, centre))]  # fmt: skip
    rows = {r["structure"]: r for r in review_plan(dose, StructureSet([*drawn, brain]), 20.0, "Brain").rows}
    for level in (12, 10):
        reach = radius_at(float(level))
        whole = cases.lens_ml(reach, 30.0, away)
        # voxels of 0.75 mm cut the edge coarsely
        limit = (0.02 if as_mask else 0.01) * whole
        assert rows["Brain"][f"v{level}_ml"] == pytest.approx(whole, abs=limit)
        for name, radius in (("gtv", diameter / 2), ("targets", diameter / 2 + 1)):
            left = whole - cases.lens_ml(min(reach, radius), 30.0, away)
            assert rows["Brain"][f"v{level}_minus_{name}_ml"] == pytest.approx(left, abs=limit)


def test_a_gtv_in_its_ptv_is_one_lesion():
    dose, structures = two_targets(24.0)
    ptv = Structure("PTV_01", "PTV", cases.sphere_contours(10, 1.0, (-12.0, 0.0, 0.0)))
    rows = {r["structure"]: r for r in review_plan(dose, StructureSet([*structures, ptv]), 20.0).rows}
    assert rows["PTV_01"]["piv_ml"] == pytest.approx(rows["GTV_01"]["piv_ml"])
    assert rows["GTV_01"]["bridged"] == "no"


def test_outside_the_dose_grid_is_said_and_left_empty():
    dose, structures = two_targets(24.0)
    away = Structure("GTV_03", "GTV", cases.sphere_contours(6, 1.0, (31.5, 0.0, 0.0)))
    review = review_plan(dose, StructureSet([structures[0], away]), 20.0)
    row = next(r for r in review.rows if r["structure"] == "GTV_03")
    assert np.isnan(row["d98_gy"]) and np.isnan(row["dmean_gy"])
    assert 0.3 < row["dose_covered"] < 0.7
    assert any("GTV_03" in text and "inside the dose grid" in text for text in review.warnings)


@pytest.mark.parametrize("prescription", [0.0, -20.0, float("nan"), 2000.0, 0.2])
def test_prescriptions_that_cannot_be_are_refused(prescription):
    dose, structures = two_targets(24.0)
    with pytest.raises(InputError, match="prescription"):
        review_plan(dose, StructureSet(structures), prescription)


def test_a_crossing_contour_keeps_both_lobes():
    eight = np.array([(0, 0), (10, 10), (10, 0), (0, 10)], float)
    rings = [np.c_[eight, np.full(4, z)] for z in (0.0, 1.0, 2.0)]
    samples = sample_contours(rings, "M1")
    assert samples.volume_ml == pytest.approx(0.150, rel=0.03)
    assert "crosses itself" in samples.warnings[0]


def test_another_frame_of_reference_is_refused():
    dose, structures = two_targets(24.0)
    dose.frame_of_reference_uid = "1.2.3"
    with pytest.raises(InputError, match="different frames of reference"):
        review_plan(dose, StructureSet(structures, "1.2.4"), 20.0)


def test_formulas_of_conformity():
    found = conformity_metrics(2.0, 1.8, 2.5, 8.0)
    assert found["coverage"] == pytest.approx(0.9)
    assert found["selectivity"] == pytest.approx(0.72)
    assert found["paddick_ci"] == pytest.approx(0.648)
    assert found["rtog_ci"] == pytest.approx(1.25)
    assert found["gradient_index"] == pytest.approx(3.2)
    assert np.isnan(conformity_metrics(2.0, 0.0, 0.0, 1.0)["gradient_index"])


def test_biological_dose():
    assert bed_gy(20, 1, 10) == pytest.approx(60) and bed_gy(20, 1, 2) == pytest.approx(220)
    assert bed_gy(27, 3, 10) == pytest.approx(51.3) and bed_gy(30, 5, 2) == pytest.approx(120)
    assert eqd2_gy(20, 1, 10) == pytest.approx(50)
    assert "caution" in bed_table(20, 1) and "caution" not in bed_table(30, 5)
    with pytest.raises(InputError):
        bed_gy(20, 0, 10)


def test_rotation_margin():
    (one,) = rotation_margins(["M1"], [(60.0, 0, 0)], [10.0], 1.0, 0.5, (0, 0, 0))
    assert one.displacement_mm == pytest.approx(1.047, abs=1e-3)
    assert one.margin_mm == pytest.approx(np.hypot(1.047, 0.5), abs=1e-3)


def test_surface_distances_of_spheres():
    def samples(diameter, centre):
        return sample_contours(cases.sphere_contours(diameter, 1.0, centre))

    lesions = {"M1": samples(8, (0, 0, 0))}
    organs = {
        "near": samples(10, (14, 0, 0)),
        "far": samples(12, (12.0, 9.0, 16.0)),
        "in": samples(20, (5, 0, 0)),
    }
    found = {d.organ: d for d in surface_distances(lesions, organs)}
    assert found["near"].distance_mm == pytest.approx(14 - 4 - 5, abs=0.3)
    assert found["far"].distance_mm == pytest.approx(np.sqrt(144 + 81 + 256) - 10, abs=0.3)
    assert found["in"].overlap and found["in"].distance_mm == 0.0


@pytest.mark.parametrize("height", [0.499, 0.495, 0.48, 0.2, 0.0])
@pytest.mark.parametrize("diameter", [3, 4, 5, 7, 8])
def test_a_last_contour_smaller_than_a_sample_loses_no_volume(diameter, height):
    rings = cases.sphere_contours(diameter, 1.0, (0.2, -0.3, height))
    assert sample_contours(rings).volume_ml == pytest.approx(cases.sphere_ml(diameter), rel=0.005)


def test_no_sample_lies_outside_its_sphere():
    """Half a sub-slice (a third of the slices of 1 mm) is the most that the surface can be off at a pole."""
    rng = np.random.default_rng(3)
    for diameter in (3, 4, 5, 6, 8):
        for height in (*rng.uniform(-0.5, 0.5, 6), 0.0, 0.002, 0.498):
            centre = np.array((*rng.uniform(-0.5, 0.5, 2), height))
            samples = sample_contours(cases.sphere_contours(diameter, 1.0, centre))
            assert np.linalg.norm(samples.points_lps_mm - centre, axis=1).max() < diameter / 2 + 0.15
            assert np.linalg.norm(samples.surface_lps_mm - centre, axis=1) == pytest.approx(
                diameter / 2, abs=0.17
            )


def test_distances_hold_in_every_direction():
    rng = np.random.default_rng(5)
    organ = sample_contours(cases.sphere_contours(40, 1.0, (0.3, -0.2, 0.4)))
    ways = [(0, 0, 1), (0, 0, -1), *rng.normal(size=(6, 3))]
    lesions, exact = {}, {}
    for n, way in enumerate(ways):
        gap = rng.uniform(1.0, 15.0)
        centre = np.array((0.3, -0.2, 0.4)) + np.array(way) / np.linalg.norm(way) * (20.0 + 4.0 + gap)
        lesions[f"M{n}"], exact[f"M{n}"] = sample_contours(cases.sphere_contours(8, 1.0, centre)), gap
    for found in surface_distances(lesions, {"organ": organ}):
        assert found.distance_mm == pytest.approx(exact[found.lesion], abs=0.2)


def test_reference_tables_carry_their_sources():
    for row in constraint_rows():
        assert row["source"] and row["year"] and isinstance(row["verified"], bool)
    assert any(not row["verified"] for row in constraint_rows())
    assert all(row["verified"] for row in constraint_rows(1, include_unverified=False))
    assert {row["text"] for row in dose_by_size_rows(25.0)} == {
        "18 Gy in 1 fraction", "18 Gy in 1 fraction, or 27 Gy in 3, 30 Gy in 5 (conditional)",
    }  # fmt: skip
    geometry = cases.grid((20, 20, 20))
    field = DoseField(dose_of(geometry, lambda p: np.full(p.shape[:-1], 13.0)))
    dvh = compute_dvh("OpticChiasm", sample_mask(cases.sphere(geometry, 10), geometry), field)
    table = constraint_table([dvh], 1)
    assert {row["within"] for row in table if row["metric"] == "D0.035mL"} == {False}
