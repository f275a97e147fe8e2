"""DSC reference data: OSIPI curves, generated deconvolution and leakage objects."""

import csv

import numpy as np
import pytest
from dsc_objects import concordance

from BMVascularCore.perfusion import leakage, relaxation
from BMVascularCore.perfusion.deconvolution import Deconvolver


@pytest.fixture(scope="module")
def osipi(shared):
    path = shared / "data/perfusion/osipi_codecollection/DSCmodels/dsc_data.csv"
    with open(path, encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("method", ["osvd", "csvd"])
def test_osipi_blood_volume_and_flow(osipi, method):
    assert len(osipi) == 14
    for row in osipi:
        tissue, arterial = (np.array(row[name].split(), float) for name in ("C_tis", "C_aif"))
        dt, cbv, cbf = (float(row[name]) for name in ("tr", "cbv", "cbf"))
        weights = relaxation.trapezoid_weights(np.arange(len(tissue)) * dt)
        assert 100 * (weights @ tissue) / (weights @ arterial) == pytest.approx(cbv, abs=1 + 0.1 * cbv)
        found = 6000 * Deconvolver(arterial, dt, method).measure(tissue[None]).height_per_s[0]
        assert found == pytest.approx(cbf, abs=15 + 0.1 * cbf), row["label"]


@pytest.mark.parametrize("method", ["osvd", "csvd"])
@pytest.mark.parametrize("snr", ["1e+09", "50"])
def test_flow_and_tmax_over_delay(shared, method, snr):
    data = np.load(shared / f"data/perfusion/generated/dsc_deconv_exp_V2000_snr{snr}.npz")
    delay = data["delay_s"]
    residue = Deconvolver(data["aif"], 1.5, method).measure(data["conc"].astype(float))
    assert np.polyfit(delay, residue.tmax_s, 1)[0] == pytest.approx(1.0, abs=0.05)
    ratio = residue.height_per_s / data["cbf_per_s"]
    parts = [np.median(ratio[(delay >= low) & (delay < low + 2)]) for low in (-3, -1, 1, 3)]
    assert max(parts) / min(parts) - 1 <= 0.04
    assert np.corrcoef(residue.height_per_s, data["cbf_per_s"])[0, 1] > 0.96
    assert 0.70 < np.median(ratio) < 0.90


GATES = {
    "nopreload_fa60": (0.98, 0.98, 1),
    "fullpreload_fa60": (0.92, 0.93, -1),
    "nopreload_fa30": (0.995, 0.997, -1),
}


@pytest.mark.parametrize("name", GATES)
def test_leakage_objects(shared, name):
    data = np.load(shared / f"data/perfusion/generated/dsc_leakage_dro_{name}_te30.npz")
    curves, times = data["delta_r2s"].T.astype(float), data["time_s"].astype(float)
    kind, true = data["tissue_class"], data["true_vp"].astype(float)
    tumour, white = kind == 2, kind == 0
    reference = curves[:, kind < 2].mean(axis=1)
    bolus = relaxation.find_bolus(reference, times)
    window = (bolus.start, len(times))
    volume = relaxation.trapezoid_weights(times, *window) @ curves
    bsw_gate, bidirectional_gate, sign = GATES[name]
    for method, gate in (
        ("bsw", bsw_gate),
        ("bidirectional", bidirectional_gate),
        ("auto", bidirectional_gate),
    ):
        fit = leakage.LeakageModel(reference, times, method, bolus.skip, window).fit(curves)
        corrected = volume + fit.k2 * fit.area_per_k2
        ratio, truth = corrected / corrected[white].mean(), true / true[white].mean()
        assert concordance(ratio[tumour], truth[tumour]) >= gate, method
        assert np.sign(np.median(fit.k2[tumour])) == sign
        if name == "nopreload_fa30" and method != "bsw":
            assert abs(np.median(ratio[tumour] / truth[tumour]) - 1) <= 0.015
    chosen = fit.model[tumour] == leakage.MODEL_BIDIRECTIONAL
    assert chosen.mean() > 0.5
