"""One click on simulated patients: overlap, leaks, spread, volume and its interval, candidates.

Run: PYTHONPATH=BMVascular:Testing/Python python Testing/Benchmarks/bench_lesion_patients.py [DRAWS]

Nine patients (seeds, voxel sizes, noise, shading, contrast differ), 11 to 14 lesions of 3 to 30 mm each,
DRAWS (10) random clicks in every lesion. Everything true comes from the phantom's own shares of each
voxel. The last two patients have slices of 3 and 5 mm and stand in rows of their own.
"""

import sys
import time

import numpy as np
from lesion_patients import SETTINGS, THICK, clicks, make_patient, overlap

from BMVascularCore.lesions import Seed, find_candidates, measure_lesions, prepare, segment_one

SIZES = ((0.0, 5.0, 0.65), (5.0, 10.0, 0.80), (10.0, 99.0, 0.90))


def clicked(patient, ready, number, draws):
    """Dice, volume over truth, CPU seconds and z score of the printed interval of each click."""
    true_ml = patient.truth(number)[2]
    out = []
    for index in clicks(patient, number, draws):
        seed = Seed("a", tuple(ready.t1c.geometry.points_of(index)))
        started = time.process_time()
        lesion = segment_one(ready, "a", 1, [seed])
        seconds = time.process_time() - started
        if isinstance(lesion, str):
            out.append((0.0, 0.0, seconds, np.nan))
            continue
        ratio = float(lesion.measured.sum()) * ready.t1c.geometry.voxel_ml / true_ml
        out.append((overlap(patient, number, lesion), ratio, seconds, z_score(ready, lesion, true_ml)))
    return np.array(out)


def z_score(ready, lesion, true_ml):
    """How many of its standard errors a volume is off."""
    labels = np.zeros(ready.t1c.geometry.shape, dtype=np.int32)
    labels[lesion.window][lesion.fraction >= min(0.5, float(lesion.fraction.max()))] = 1
    row = measure_lesions(ready.t1c.like(labels), None, lesions={1: lesion})[0]
    return (row["volume_ml"] - true_ml) / row["volume_se_ml"]


def by_size(table, title):
    print(f"\n{title}")
    print(
        f"{'diameter':>12}{'lesions':>9}{'Dice':>7}{'lowest':>8}{'in spec':>9}{'leaks':>8}{'missed':>8}"
        f"{'volume':>8}{'SD/lesion':>11}{'95 % int.':>11}{'CPU s':>7}"
    )
    for low, high, need in SIZES:
        rows = [values for diameter, values in table if low <= diameter < high]
        if not rows:
            continue
        all_rows = np.concatenate(rows)
        dice, ratio = all_rows[:, 0], all_rows[:, 1]
        spread = max(float(np.std(v[:, 1]) / max(np.mean(v[:, 1]), 1e-9)) for v in rows)
        z = all_rows[:, 3][np.isfinite(all_rows[:, 3])]
        print(
            f"{low:4.0f}-{high:3.0f} mm  {len(rows):8d}{dice.mean():7.3f}{dice.min():8.2f}"
            f"{np.mean(dice >= need):9.1%}{np.mean(ratio > 2):8.1%}{np.mean(ratio == 0):8.1%}"
            f"{ratio[ratio > 0].mean():8.2f}{spread:11.1%}{np.mean(np.abs(z) < 1.96):11.0%}"
            f"{all_rows[:, 2].mean():7.2f}"
        )


def found_candidates(patient, ready):
    """Lesions that a candidate hits, and candidates that hit none."""
    hit, wrong = set(), 0
    started = time.process_time()
    places = find_candidates(ready)
    seconds = time.process_time() - started
    spacing = np.asarray(ready.t1c.geometry.spacing_kji_mm)
    for place in places:
        at = ready.t1c.geometry.index_of(place.point_lps_mm)
        mine = None
        for number, (corner, share) in patient.fractions.items():
            middle = np.argwhere(share > 0.3).mean(0) + corner
            if np.linalg.norm((at - middle) * spacing) <= max(2.0, patient.diameter_mm(number) / 2 + 1.0):
                mine = number
        wrong += mine is None
        hit.add(mine)
    return hit - {None}, wrong, seconds


def candidate_table(patients):
    print("\nCandidates (T1c and T1; T1c alone)")
    for with_t1 in (True, False):
        counts, wrong, seconds = {}, [], []
        for patient in patients:
            ready = prepare(patient.t1c, patient.t1 if with_t1 else None)
            hit, false, took = found_candidates(patient, ready)
            wrong.append(false)
            seconds.append(took)
            for number in patient.fractions:
                size = next(n for n, (_, high, _) in enumerate(SIZES) if patient.diameter_mm(number) < high)
                counts.setdefault(size, []).append(number in hit)
        text = ", ".join(
            f"{SIZES[n][0]:.0f}-{SIZES[n][1]:.0f} mm {np.mean(v):.0%}" for n, v in sorted(counts.items())
        )
        print(
            f"  {'with T1' if with_t1 else 'T1c alone'}: found {text}; "
            f"false ones a patient {np.mean(wrong):.0f} ({min(wrong)} to {max(wrong)}); CPU {np.mean(seconds):.1f} s"
        )


def main(draws=10):
    tables, patients = {"Slices up to 2 mm": [], "Slices of 3 mm": [], "Slices of 5 mm": []}, []
    for setting in (*SETTINGS, *THICK):
        patient = make_patient(setting)
        started = time.process_time()
        ready = prepare(patient.t1c, patient.t1, patient.flair, patient.swi)
        print(
            f"{setting.name:22}{len(patient.fractions):4d} lesions, prepared in {time.process_time() - started:.1f} s CPU"
        )
        thick = max(patient.t1c.geometry.spacing_mm)
        title = f"Slices of {thick:.0f} mm" if thick > 2.5 else "Slices up to 2 mm"
        tables[title] += [
            (patient.diameter_mm(n), clicked(patient, ready, n, draws)) for n in patient.fractions
        ]
        if thick <= 2.5:
            patients.append(patient)
    for title, table in tables.items():
        by_size(table, title)
    candidate_table(patients)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
