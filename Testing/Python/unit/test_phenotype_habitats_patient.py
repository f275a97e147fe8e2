"""Habitats of a simulated patient through the real perfusion maps; more seeds in bench_phenotype.py."""

from pathlib import Path

import numpy as np
import pytest

from BMVascularCore.phenotype.partial_volume import corrected_values
from BMVascularCore.phenotype.scan import Scan
from BMVascularCore.volume import Geometry, Volume, resample

BENCHMARKS = Path(__file__).resolve().parents[2] / "Benchmarks"


def test_habitat_volumes_of_a_simulated_patient(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from habitat_patients import compare

    rows = compare(1, "small", true_outlines=True)
    rows = [row for row in rows if row["true_ml"] >= 0.2 * row["lesion_ml"] and row["on_split"] < 0.2]
    assert len({row["lesion"] for row in rows}) >= 4 and {row["diameter_mm"] >= 10 for row in rows} == {True}
    for row in rows:
        assert row["found_ml"] == pytest.approx(row["true_ml"], rel=0.10), row
        assert row["low_ml"] <= row["found_ml"] <= row["high_ml"] + 0.01


# ----- partial volume against a closed form: coarse voxels as means of fine ones


def ring(noise=0.0, seed=0):
    """A ring of 1.0 around a core of 0.1 in tissue of 0.3, sampled at 1 mm; and its 3 mm map."""
    fine = Geometry((48, 48, 48))
    places = np.stack(np.indices(fine.shape), -1) - 23.5
    radius = np.linalg.norm(places, axis=-1)
    core, rim = radius < 9, (radius >= 9) & (radius < 14)
    truth = np.select([core, rim], [0.1, 1.0], 0.3).astype(np.float32)
    coarse = truth.reshape(16, 3, 16, 3, 16, 3).mean(axis=(1, 3, 5))
    coarse = coarse * np.exp(noise * np.random.default_rng(seed).standard_normal(coarse.shape))
    native = Volume(coarse.astype(np.float32), Geometry((16, 16, 16), (3, 3, 3), (1, 1, 1)), "ktrans")
    labels = (core | rim).astype(np.int32)
    shown = resample(native, fine).array
    scan = Scan(labels, fine, None, {"ktrans": shown}, {"ktrans": native})
    return scan, core, rim, truth


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_mixing_at_the_borders_is_undone(noise):
    scan, core, rim, truth = ring(noise)
    box = (slice(6, 42),) * 3
    found = corrected_values(scan, "ktrans", box, [core[box], rim[box]])
    for mask in (core[box], rim[box]):
        before = np.abs(np.median(scan.maps["ktrans"][box][mask]) / np.median(truth[box][mask]) - 1)
        after = np.abs(np.median(found[mask]) / np.median(truth[box][mask]) - 1)
        assert after < 0.08 and after < before
    outside = ~core[box] & ~rim[box]
    assert np.array_equal(found[outside], scan.maps["ktrans"][box][outside])


def test_what_varies_within_a_region_stays():
    scan, core, rim, _ = ring()
    half = np.arange(16)[None, None, :] >= 8
    array = np.where(half, 0.5, 1.0) * scan.native["ktrans"].array
    native = scan.native["ktrans"].like(array.astype(np.float32))
    scan = Scan(
        scan.labels,
        scan.geometry,
        None,
        {"ktrans": resample(native, scan.geometry).array},
        {"ktrans": native},
    )
    box = (slice(6, 42),) * 3
    found = corrected_values(scan, "ktrans", box, [core[box], rim[box]])
    left, right = rim[box].copy(), rim[box].copy()
    left[..., 16:], right[..., :20] = False, False
    assert np.median(found[right]) / np.median(found[left]) == pytest.approx(0.5, abs=0.03)


def test_a_map_as_fine_as_the_labels_stays():
    scan, core, rim, _ = ring()
    scan.native["ktrans"] = Volume(scan.maps["ktrans"], scan.geometry, "ktrans")
    box = (slice(6, 42),) * 3
    found = corrected_values(scan, "ktrans", box, [core[box], rim[box]])
    assert np.array_equal(found, scan.maps["ktrans"][box])


def test_gaps_and_lesions_at_the_edge_of_the_map():
    scan, core, rim, _ = ring()
    scan.native["ktrans"].array[:8] = np.nan
    scan.maps["ktrans"] = resample(scan.native["ktrans"], scan.geometry).array
    box = (slice(6, 42),) * 3
    found = corrected_values(scan, "ktrans", box, [core[box], rim[box]])
    assert np.array_equal(np.isfinite(found), np.isfinite(scan.maps["ktrans"][box]))
    scan.native["ktrans"].array[:] = np.nan
    assert not np.isfinite(corrected_values(scan, "ktrans", box, [core[box], rim[box]])[rim[box]]).all()
