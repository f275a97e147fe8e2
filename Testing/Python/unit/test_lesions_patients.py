"""Random clicks on a simulated patient, rings with gaps, sinuses, and distances to cortex and ventricles.

The whole study (nine patients) is ``Testing/Benchmarks/bench_lesion_patients.py``.
"""

import csv
import json

import numpy as np
import pytest
from lesion_heads import Shape, dice, grid, make_head
from lesion_patients import Setting, clicks, make_patient, overlap
from scipy import ndimage

from BMVascularCore.cli import main
from BMVascularCore.io import write_volume
from BMVascularCore.lesions import (
    Seed,
    find_candidates,
    lesions_from_labels,
    measure_lesions,
    prepare,
    segment_one,
)
from BMVascularCore.lesions.anatomy import find_anatomy

SETTING = Setting("gate", 11, diameters_mm=(3.4, 4.4, 5.5, 8.0, 11.0, 16.0))


@pytest.fixture(scope="module")
def patient():
    return make_patient(SETTING)


@pytest.fixture(scope="module")
def ready(patient):
    return prepare(patient.t1c, patient.t1, patient.flair, patient.swi)


def test_random_clicks_keep_what_the_project_promises(patient, ready):
    """Mean Dice 0.90 from 10 mm, 0.80 from 5 mm, 0.65 from 3 mm; no leak; one volume from every click.

    The 16 mm lesion lies against the choroid plexus and takes a part of it (Dice 0.88): no single click
    may be worse than 0.05 below what its size class has to reach on average.
    """
    classes = {}
    for number in patient.fractions:
        diameter, true_ml = patient.diameter_mm(number), patient.truth(number)[2]
        need = 0.9 if diameter >= 10 else 0.8 if diameter >= 5 else 0.65
        volumes = []
        for index in clicks(patient, number, 3):
            lesion = segment_one(ready, "a", 1, [Seed("a", tuple(ready.t1c.geometry.points_of(index)))])
            assert not isinstance(lesion, str), lesion
            score = overlap(patient, number, lesion)
            assert score >= need - 0.05
            classes.setdefault(need, []).append(score)
            volumes.append(float(lesion.measured.sum()) * ready.t1c.geometry.voxel_ml)
        assert max(volumes) < 2 * true_ml
        assert np.mean(volumes) == pytest.approx(true_ml, rel=0.3)
        if diameter >= 10:
            assert np.std(volumes) / np.mean(volumes) < 0.05
    for need, scores in classes.items():
        assert np.mean(scores) >= need


def test_small_volumes_are_not_too_small(patient, ready):
    """Edge voxels count by their intensity: a boundary between voxel centres lost a fifth below 5 mm."""
    ratios = []
    for number in patient.fractions:
        if patient.diameter_mm(number) < 6.0:
            seed = Seed("a", tuple(ready.t1c.geometry.points_of(clicks(patient, number, 1)[0])))
            volume_ml = float(segment_one(ready, "a", 1, [seed]).measured.sum()) * ready.t1c.geometry.voxel_ml
            ratios.append(volume_ml / patient.truth(number)[2])
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.1)


def test_candidates_hit_the_lesions(patient, ready):
    places = [ready.t1c.geometry.index_of(c.point_lps_mm) for c in find_candidates(ready)]
    spacing = np.asarray(ready.t1c.geometry.spacing_kji_mm)
    missed = 0
    for number, (corner, share) in patient.fractions.items():
        middle = np.argwhere(share > 0.3).mean(0) + corner
        reach = max(2.0, patient.diameter_mm(number) / 2 + 1.0)
        missed += not any(np.linalg.norm((p - middle) * spacing) <= reach for p in places)
    assert missed <= 1
    # vessels and sinuses run on, so few of their places are left
    assert len(places) <= len(patient.fractions) + 18


def test_brain_surface_and_ventricles(patient, ready):
    """Against the tissue shares of the same head: a deep place is deep, the ventricle is at its own place."""
    place = find_anatomy(ready)
    brain_ml = (place.to_surface_mm > 0).sum() * 8.0 / 1000
    assert 1200 < brain_ml < 1900
    pool = place.to_ventricle_mm == 0
    dark = patient.t1.array[::2, ::2, ::2][pool]
    tissue = patient.t1.array[::2, ::2, ::2][place.to_surface_mm > 10]
    assert np.median(dark) < 0.7 * np.median(tissue)
    assert 2.0 < pool.sum() * 8.0 / 1000 < 60.0


def test_drawn_lesions_get_compartments_from_the_images(patient, ready):
    labels = np.zeros(patient.t1c.geometry.shape, dtype=np.int32)
    for number in patient.fractions:
        corner, mask, _ = patient.truth(number)
        labels[tuple(slice(c, c + n) for c, n in zip(corner, mask.shape, strict=True))][mask] = number
    result = lesions_from_labels(patient.t1c.like(labels, "labels"), ready=ready)
    assert [row["label"] for row in result.rows] == sorted(patient.fractions)
    for row in result.rows:
        truth = patient.parts[row["label"]]
        body = truth["enhancing"] + truth["core"] + truth["haemorrhage"]
        assert row["volume_ml"] == pytest.approx(body, rel=0.25, abs=0.01)
        if truth["core"] > 0.1:
            assert row["core_ml"] == pytest.approx(truth["core"], rel=0.4)
        assert row["distance_to_cortex_mm"] is not None
        assert row["confidence"] == "drawn"


def test_labels_and_candidates_through_the_command_line(patient, tmp_path, capsys):
    labels = np.zeros(patient.t1c.geometry.shape, dtype=np.int32)
    corner, mask, _ = patient.truth(5)
    labels[tuple(slice(c, c + n) for c, n in zip(corner, mask.shape, strict=True))][mask] = 1
    image, drawn = tmp_path / "t1c.nrrd", tmp_path / "labels.nrrd"
    write_volume(image, patient.t1c)
    write_volume(drawn, patient.t1c.like(labels, "labels"))
    out = tmp_path / "out"
    assert main(["segment", str(image), "--labels", str(drawn), "--candidates", "--out", str(out)]) == 0
    with open(out / "lesions.csv", encoding="utf-8") as stream:
        assert len(list(csv.DictReader(stream))) == 1
    with open(out / "candidates.csv", encoding="utf-8") as stream:
        assert next(csv.DictReader(stream))["score"]
    assert json.loads((out / "segment.json").read_text())
    assert (
        main(["segment", str(image), "--labels", str(drawn), "--seed", "1,2,3", "--out", str(tmp_path / "x")])
        == 2
    )
    assert "--labels" in capsys.readouterr().err


def ring_head(gap_deg=60.0, sinus=False):
    """A thin ring with a dark core whose rim is open towards one side; a bright slab beside it if wanted."""
    shape = Shape((0, 0, 0), (12, 12, 12), core=0.8)
    head = make_head([shape], grid((90, 100, 100), (1, 1, 1)), seed=6, vessels=False, head_mm=(48, 49, 44))
    index = np.stack(np.meshgrid(*[np.arange(n) for n in head.t1c.array.shape], indexing="ij"), -1)
    points = head.t1c.geometry.points_of(index)
    array = head.t1c.array.copy()
    length = np.linalg.norm(points, axis=-1)
    toward = points[..., 0] / np.maximum(length, 1e-6) > np.cos(np.deg2rad(gap_deg / 2))
    rim = (length > 9.0) & (length < 12.8) & toward
    array[rim] = np.median(array[(length > 16) & (length < 22)])
    if sinus:
        slab = (
            (np.abs(points[..., 1] - 15.5) < 3.5)
            & (np.abs(points[..., 0]) < 28)
            & (np.abs(points[..., 2]) < 8)
        )
        array[slab & (head.truth == 0)] = np.percentile(array[head.truth == 1], 95)
    return head, array


def whole(head):
    return ndimage.binary_fill_holes(head.truth == 1)


@pytest.mark.parametrize("at", [(-10.8, 0, 0), (0, 10.8, 0), (0, 0, -10.8)])
def test_ring_with_a_gap_is_closed(at):
    head, array = ring_head()
    lesion = segment_one(prepare(head.t1c.like(array)), "r", 1, [Seed("r", at)])
    mask = np.zeros(array.shape, dtype=bool)
    mask[lesion.window] = lesion.fraction >= 0.5
    assert dice(mask, whole(head)) >= 0.85


def test_sinus_beside_a_lesion_stays_outside():
    head, array = ring_head(gap_deg=0.0, sinus=True)
    lesion = segment_one(prepare(head.t1c.like(array)), "r", 1, [Seed("r", (0, -10.8, 0))])
    mask = np.zeros(array.shape, dtype=bool)
    mask[lesion.window] = lesion.fraction >= 0.5
    assert dice(mask, whole(head)) >= 0.85


def test_distance_to_ventricles_does_not_depend_on_the_order(patient):
    """A dark pool is planted deep in the brain and drawn as a lesion: it is no ventricle, measured first or last.

    Expected is the distance on the same head without the pool.
    """
    geometry = patient.t1c.geometry
    steps = np.asarray(geometry.spacing_kji_mm)
    place = find_anatomy(prepare(patient.t1c))
    coarse = np.minimum(place.to_surface_mm, place.to_ventricle_mm)
    middle = np.array(np.unravel_index(int(np.argmax(coarse)), coarse.shape)) * place.steps
    axes = np.ogrid[tuple(slice(0, n) for n in geometry.shape)]
    away = np.sqrt(sum(((a - m) * s) ** 2 for a, m, s in zip(axes, middle, steps, strict=True)))
    dark = patient.t1c.array.copy()
    dark[away <= 8.0] *= 0.3
    labels = np.zeros(geometry.shape, np.int32)
    labels[away <= 11.0] = 2
    beside = np.rint(middle + (16.0 / steps) * (0, 1, 0)).astype(int)
    labels[tuple(slice(b - 2, b + 3) for b in beside)] = 1

    def to_ventricle(image, *orders):
        ready, found = prepare(patient.t1c.like(image, "t1c")), {}
        for only in orders:
            rows = measure_lesions(patient.t1c.like(labels), None, ready=ready, only=only)
            found.update({row["label"]: row["distance_to_ventricle_mm"] for row in rows})
        return found

    expected = to_ventricle(patient.t1c.array, [1, 2])
    alone = prepare(patient.t1c.like(dark, "t1c"))
    first = measure_lesions(patient.t1c.like(np.where(labels == 1, 1, 0)), None, ready=alone)[0]
    # without the outline of the pool it counts as a ventricle: the check can fail
    assert first["distance_to_ventricle_mm"] < expected[1] - 4.0
    again = measure_lesions(patient.t1c.like(labels), None, ready=alone)
    assert [row["distance_to_ventricle_mm"] for row in again] == pytest.approx(
        [expected[1], expected[2]], abs=2.0
    )
    assert to_ventricle(dark, [2], [1]) == to_ventricle(dark, [1], [2])
