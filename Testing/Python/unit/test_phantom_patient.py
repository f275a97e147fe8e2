"""The whole simulated patient in its small size: images, truth, transforms, DICOM."""

import json

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from BMVascularCore.errors import Cancelled, InputError
from BMVascularCore.phantom import anatomy, build_patient, signals, write_dicom, write_study, write_truth
from BMVascularCore.phantom.patient import SIZES
from BMVascularCore.phantom.static import GAIN
from BMVascularCore.phantom.tissue import VP_NAWM
from BMVascularCore.volume import ras_lps

pytest.importorskip("nilearn", reason="the anatomy maps come with nilearn")


@pytest.fixture(scope="module")
def patient():
    return build_patient(3, "small")


@pytest.fixture(scope="module")
def dicom(patient, tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    assert write_dicom(patient, folder) == sum(1 for path in folder.rglob("*.dcm"))
    return folder


def present(timepoint):
    return [row for row in timepoint.truth.lesions if row["present"]]


def at(volume, ras_mm):
    index = np.rint(volume.geometry.index_of(ras_lps(ras_mm))).astype(int)
    return volume.array[tuple(index)]


def test_every_role_is_there(patient):
    first, second = patient.timepoints
    both = {"T1", "T1c", "FLAIR", "SWI", "ADC", "PET", "VFA_2", "VFA_5", "VFA_10", "VFA_15"}
    assert set(first.volumes) == both | {"CT"}
    assert set(second.volumes) == both
    assert set(first.series) == set(second.series) == {"DSC", "DCE"}
    assert all(v.meta["simulated"] for t in patient.timepoints for v in t.volumes.values())
    frames = {role: image.meta["frame_of_reference_uid"] for role, image in first.volumes.items()}
    assert len({uid for role, uid in frames.items() if role != "CT"}) == 1
    assert frames["CT"] != frames["T1c"]
    assert patient.rtdose.meta["frame_of_reference_uid"] == frames["CT"]


def test_the_same_seed_gives_the_same_patient_and_another_another_head(patient):
    again = build_patient(3, "small")
    for role in ("T1c", "CT"):
        assert np.array_equal(
            again.timepoints[0].volumes[role].array, patient.timepoints[0].volumes[role].array
        )
    assert np.array_equal(again.timepoints[1].series["DSC"].array, patient.timepoints[1].series["DSC"].array)
    one, other = (anatomy.Individual.of_seed(np.random.default_rng(seed)) for seed in (3, 4))
    assert not np.allclose(one.to_atlas([[10.0, 20.0, 30.0]]), other.to_atlas([[10.0, 20.0, 30.0]]), atol=0.1)


def test_tissue_looks_as_it_should(patient):
    volumes, truth = patient.timepoints[0].volumes, patient.timepoints[0].truth.volumes
    rcbv, t1 = truth["rcbv"].array, truth["t1"].array
    quiet = truth["labels"].array == 0
    quiet &= truth["fraction_oedema"].array < 0.01
    white, grey, fluid = (quiet & (np.abs(t1 - v) < 0.03) for v in (0.90, 1.45, 4.0))
    white &= np.abs(rcbv - 1.0) < 0.03
    grey &= np.abs(rcbv - 2.2) < 0.05
    means = {role: [volumes[role].array[m].mean() for m in (white, grey, fluid)] for role in ("T1", "T1c")}
    assert means["T1"][0] > 1.15 * means["T1"][1] > 1.8 * means["T1"][2]
    labels = truth["labels"].array
    leaky = (labels > 0) & (truth["ktrans"].array > 0.1)
    assert volumes["T1c"].array[leaky].mean() > 1.6 * means["T1c"][0]


def test_ct_has_air_bone_and_brain(patient):
    hu = patient.timepoints[0].volumes["CT"].array
    assert hu.dtype == np.int16
    assert np.median(hu[:, 0, :]) == pytest.approx(-1000, abs=10)
    assert (hu > 700).mean() > 0.01
    transform = patient.timepoints[0].truth.transforms["ct_to_t1c"]
    centre = transform.GetInverse().TransformPoint((0.0, 20.0, 20.0))
    ct = patient.timepoints[0].volumes["CT"]
    k, j, i = np.rint(ct.geometry.index_of(centre)).astype(int)
    assert 0 < hu[k - 3 : k + 4, j - 3 : j + 4, i - 3 : i + 4].mean() < 60


@pytest.mark.parametrize("index", [0, 1])
def test_each_lesion_has_its_volume_and_seed(patient, index):
    timepoint = patient.timepoints[index]
    labels = timepoint.truth.volumes["labels"]
    rows = present(timepoint)
    assert [seed["name"] for seed in timepoint.seeds] == [row["name"] for row in rows]
    for row in rows:
        shares = row["enhancing_ml"] + row["core_ml"] + row["haemorrhage_ml"]
        assert shares == pytest.approx(row["volume_ml"], rel=0.01)
        assert row["volume_ml"] == pytest.approx(np.pi / 6000 * row["diameter_mm"] ** 3)
        assert (labels.array == row["label"]).sum() * labels.geometry.voxel_ml == pytest.approx(
            row["volume_ml"], rel=0.15
        )
        assert at(labels, row["seed_ras_mm"]) == row["label"]
        assert at(timepoint.truth.volumes["fraction_enhancing"], row["seed_ras_mm"]) > 0.5


def test_lesions_do_not_overlap_and_parameters_are_those_of_the_case(patient):
    for timepoint in patient.timepoints:
        sums = sum(
            timepoint.truth.volumes[f"fraction_{n}"].array for n in ("enhancing", "core", "haemorrhage")
        )
        assert sums.max() <= 1.0 + 1e-5
        for row in present(timepoint):
            if row["diameter_mm"] >= 12:
                assert row["rcbv_median"] == pytest.approx(row["rcbv"], rel=0.12)
                assert row["ktrans_median_per_min"] == pytest.approx(row["ktrans_per_min"], rel=0.12)
            assert row["vp"] == pytest.approx(row["rcbv"] * VP_NAWM)


def test_follow_up_transform_maps_lesions(patient):
    first, second = patient.timepoints
    transform = second.truth.transforms["tp1_to_tp2"]
    later = {row["name"]: row for row in present(second)}
    pairs = [(row, later[row["name"]]) for row in present(first) if row["name"] in later]
    assert len(pairs) >= 3
    for before, after in pairs:
        moved = transform.TransformPoint(ras_lps(before["centre_ras_mm"]).tolist())
        np.testing.assert_allclose(moved, ras_lps(after["centre_ras_mm"]), atol=1e-4)


def test_perfusion_and_ct_transforms_map_lesions(patient):
    timepoint = patient.timepoints[0]
    truth = timepoint.truth
    lesion = truth.volumes["perfusion_lesion"]
    row = next(r for r in present(timepoint) if r["name"] == "M3")
    moved = truth.transforms["t1c_to_perfusion"].TransformPoint(ras_lps(row["centre_ras_mm"]).tolist())
    near = np.linalg.norm(
        lesion.geometry.points_of(np.moveaxis(np.indices(lesion.array.shape), 0, -1)) - moved, axis=-1
    )
    weight = lesion.array * (near < row["diameter_mm"])
    found = np.array([(weight * axis).sum() / weight.sum() for axis in np.indices(weight.shape)])
    np.testing.assert_allclose(lesion.geometry.points_of(found), moved, atol=0.8)
    target = patient.structures["M3"]
    in_t1c = truth.transforms["ct_to_t1c"].TransformPoint(target.centre_mm)
    np.testing.assert_allclose(in_t1c, ras_lps(row["centre_ras_mm"]), atol=1e-4)


def test_flip_angle_scans_obey_the_signal_equation(patient):
    """DESPOT1 by hand in white matter, from the noisy images, against the true T1."""
    timepoint = patient.timepoints[0]
    truth, volumes = timepoint.truth.volumes, timepoint.volumes
    mask = (np.abs(truth["perfusion_t1"].array - 0.90) < 0.02) & (
        np.abs(truth["perfusion_rcbv"].array - 1) < 0.05
    )
    assert mask.sum() > 100
    flips = np.deg2rad([2.0, 5.0, 10.0, 15.0])
    y = np.array([volumes[f"VFA_{f}"].array[mask].mean() for f in (2, 5, 10, 15)])
    tr_s = volumes["VFA_2"].meta["repetition_time_s"]
    slope = np.polyfit(y / np.tan(flips), y / np.sin(flips), 1)[0]
    assert -tr_s / np.log(slope) == pytest.approx(0.90, rel=0.05)


def test_t1c_signal_of_a_voxel_obeys_the_equation(patient):
    """In the sinus, the ratio of T1c to T1 gives back a concentration that blood has after minutes."""
    volumes = patient.timepoints[0].volumes
    rcbv = patient.timepoints[0].truth.volumes["rcbv"].array
    mask = rcbv > 0.95 * rcbv.max()
    ratio = volumes["T1c"].array[mask].mean() / volumes["T1"].array[mask].mean()

    def expected(mM):
        s = [
            signals.spoiled_gradient_echo(1.0, 1 / 1.65 + 4.5 * c, 5.0 * c, 0.009, 0.003, 15.0)
            for c in (0.0, mM)
        ]
        return s[1] / s[0]

    assert expected(0.4) < ratio < expected(0.9)


def test_dsc_areas_without_leak_give_the_true_blood_volume(patient):
    """Grey over white matter, by area of -ln(S/S0)/TE in voxels that do not leak."""
    timepoint = patient.timepoints[0]
    series, truth = timepoint.series["DSC"], timepoint.truth.volumes
    rcbv = truth["perfusion_rcbv"].array
    pure = (truth["perfusion_lesion"].array == 0) & (truth["perfusion_ktrans"].array < 0.00061)
    t1 = truth["perfusion_t1"].array
    areas, true = [], []
    for value, t1_s in ((1.0, 0.90), (2.2, 1.45)):
        mask = pure & (np.abs(rcbv - value) < 0.06 * value) & (np.abs(t1 - t1_s) < 0.08)
        assert mask.sum() > 20
        curve = series.array[:, mask].mean(axis=1, dtype=float)
        rate = -np.log(curve / curve[6:14].mean()) / series.meta["echo_time_s"]
        areas.append(rate[14:].sum())
        true.append(rcbv[mask].mean())
    assert areas[1] / areas[0] == pytest.approx(true[1] / true[0], rel=0.03)


def test_series_have_a_baseline_and_a_bolus(patient):
    size = SIZES["small"]
    for timepoint in patient.timepoints:
        for role, protocol in (("DSC", size.dsc), ("DCE", size.dce)):
            series = timepoint.series[role]
            rcbv = timepoint.truth.volumes["perfusion_rcbv"].array
            vessel = series.array[:, rcbv > 0.8 * rcbv.max()].mean(axis=1)
            before = series.times_s < protocol.arrival_s
            change = vessel / vessel[before][4 if role == "DSC" else 0 :].mean() - 1.0
            assert np.abs(change[before][4 if role == "DSC" else 0 :]).max() < 0.05
            assert np.abs(change).max() > 0.5


def test_one_lesion_switches_one_vanishes_one_is_new(patient):
    first, second = ({row["name"]: row for row in present(t)} for t in patient.timepoints)
    assert {n for n in first if n not in second} and {n for n in second if n not in first}
    switched = [n for n in first if n in second and first[n]["phenotype"] != second[n]["phenotype"]]
    assert [(first[n]["phenotype"], second[n]["phenotype"]) for n in switched] == [
        ("angiogenic-dominant", "VCO-leaning")
    ]
    treatments = patient.timepoints[1].context["treatments"]
    assert all(item["type"] != "anti-VEGF" for item in treatments)


def test_full_case_list_covers_what_is_wanted():
    states = [s for case in SIZES["full"].cases for s in case.states[:1] if s]
    assert len(states) >= 8
    assert min(s.diameter_mm for s in states) == 3
    assert max(s.diameter_mm for s in states) == 30
    assert {s.phenotype for s in states} >= {"angiogenic-dominant", "VCO-leaning", "mixed", "indeterminate"}
    assert any(s.core for s in states) and any(s.haemorrhage for s in states)
    assert any(s.oedema_mm == 0 for s in states) and any(s.oedema_mm > 15 for s in states)


def test_dicom_reads_back_as_the_arrays(patient, dicom):
    timepoint = patient.timepoints[0]
    reader = sitk.ImageSeriesReader()
    for role, folder, tolerance in (("T1c", "15_T1c", 0.5), ("CT", "30_CT", 0.0), ("PET", "20_PET", 1e-3)):
        volume = timepoint.volumes[role]
        image = sitk.ReadImage(reader.GetGDCMSeriesFileNames(str(dicom / "TP1" / folder)))
        assert np.abs(sitk.GetArrayFromImage(image) - volume.array).max() <= tolerance + 1e-4
        np.testing.assert_allclose(image.GetSpacing(), volume.geometry.spacing_mm, atol=1e-5)
        np.testing.assert_allclose(image.GetOrigin(), volume.geometry.origin_mm, atol=1e-5)
        np.testing.assert_allclose(image.GetDirection(), volume.geometry.direction, atol=1e-6)


def test_dynamic_dicom_carries_times(patient, dicom):
    series = patient.timepoints[1].series["DSC"]
    files = sorted((dicom / "TP2" / "06_DSC").iterdir())
    n_slices = series.geometry.shape[0]
    assert len(files) == series.array.shape[0] * n_slices
    frame, k = 7, 5
    ds = pydicom.dcmread(files[frame * n_slices + k])
    first = pydicom.dcmread(files[0])
    assert float(ds.TriggerTime) == pytest.approx(1000 * series.times_s[frame])
    assert ds.TemporalPositionIdentifier == frame + 1
    assert (ds.EchoTime, ds.RepetitionTime, ds.FlipAngle) == (30, 1500, 30)
    assert float(ds.AcquisitionTime) - float(first.AcquisitionTime) == pytest.approx(10.5)
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID != first.SOPInstanceUID
    np.testing.assert_allclose(ds.ImagePositionPatient, series.geometry.points_of((k, 0, 0)), atol=1e-5)
    np.testing.assert_allclose(ds.pixel_array, series.array[frame, k], atol=0.501)
    assert "SIMULATED" in ds.SeriesDescription and ds.PatientName == "Simulated^Patient"


def test_rtdose_reads_back(patient, dicom):
    ds = pydicom.dcmread(dicom / "TP1" / "40_RTDOSE" / "dose.dcm")
    np.testing.assert_allclose(ds.pixel_array * float(ds.DoseGridScaling), patient.rtdose.array, atol=1e-6)
    assert (ds.DoseUnits, ds.DoseType, ds.DoseSummationType) == ("GY", "PHYSICAL", "PLAN")
    ct = pydicom.dcmread(next((dicom / "TP1" / "30_CT").iterdir()))
    assert ds.FrameOfReferenceUID == ct.FrameOfReferenceUID


def test_truth_and_study_files(patient, tmp_path):
    path = write_truth(patient, tmp_path / "truth")
    record = json.loads(path.read_text())
    assert record["simulated"] is True
    for timepoint in record["timepoints"]:
        assert all((path.parent / name).is_file() for name in timepoint["volumes"].values())
        for transform in timepoint["transforms"].values():
            sitk.ReadTransform(str(path.parent / transform["file"]))
    study = json.loads(write_study(patient, tmp_path).read_text())
    assert [t["label"] for t in study["timepoints"]] == ["TP1", "TP2"]
    assert study["timepoints"][0]["seeds"] == patient.seeds[0]


def test_wrong_calls_are_refused():
    with pytest.raises(InputError, match="full or small"):
        build_patient(1, "huge")
    with pytest.raises(InputError, match="whole number"):
        build_patient(1.5, "small")


def test_cancelling_passes_through():
    def stop(fraction, message):
        raise Cancelled

    with pytest.raises(Cancelled):
        build_patient(1, "small", stop)


def test_gain_is_common_to_all_scans(patient):
    assert patient.timepoints[0].volumes["VFA_15"].array.max() < GAIN
