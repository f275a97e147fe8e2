"""Is the printed stability honest, are habitats of the right size, and how long does it take?

``PYTHONPATH=BMVascular python Testing/Benchmarks/bench_phenotype.py [stability] [speed] [habitats]`` prints tables;
all of them by default. Agreement on simulated lesions shows arithmetic, not clinical accuracy.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT / "BMVascular", ROOT / "Testing" / "Benchmarks"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from habitat_patients import compare  # noqa: E402

from BMVascularCore.phenotype import LesionInputs, assess_values, load_table  # noqa: E402
from BMVascularCore.phenotype.explain import input_rows, weigh  # noqa: E402
from BMVascularCore.phenotype.gates import GateResult  # noqa: E402
from BMVascularCore.phenotype.validation import as_markdown, judge, simulate, true_lesions  # noqa: E402

_DISTANCES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.45)


def stability(count=4000):
    """Calibration over all distances from the limits, with inputs missing, and at fixed distances."""
    table = load_table()
    for missing in (0.0, 0.25):
        print(f"\n{count} lesions, {missing:.0%} of the inputs missing\n")
        print(as_markdown(simulate(count, 3, table, missing=missing)))
    print("\nTruth at fixed distances of the balance E from its limits, as many lesions at each of them\n")
    groups = _at_distances(count // len(_DISTANCES), table)
    everything = [
        LesionInputs(f"S{n}", n + 1, lesion.values)
        for n, lesion in enumerate(lesion for found in groups.values() for lesion in found)
    ]
    print(as_markdown(judge(everything, 5, table)))
    print("| distance from the limit | lesions | mean stability | right labels |\n|---|---|---|---|")
    for distance, lesions in groups.items():
        rows = judge(lesions, 5, table).calibration
        total = sum(row["lesions"] for row in rows)
        mean, right = (
            sum(row[key] * row["lesions"] for row in rows) / total for key in ("mean_stability", "right")
        )
        print(f"| {distance:.2f} | {total} | {mean:.2f} | {right:.2f} |")
    print("\nStanding on a limit, half of all measurements fall on the wrong side, whatever is printed.")


def _at_distances(count, table):
    limit = table.rules["decision"]["angiogenic_at"]
    groups, seed = {distance: [] for distance in _DISTANCES}, 0
    while any(len(found) < count for found in groups.values()):
        seed += 1
        for lesion in true_lesions(2000, seed, table):
            rows = input_rows(lesion, GateResult(), table, dict.fromkeys(lesion.values, 0.0))
            away = abs(abs(weigh(rows, table.rules)["e"]) - limit)
            for distance, found in groups.items():
                if abs(away - distance) < 0.01 and len(found) < count:
                    found.append(LesionInputs(f"S{len(found)}", len(found) + 1, lesion.values))
    return groups


def speed(count=100):
    """Seconds for 100 lesions with every input."""
    rules = load_table().rules
    values = {spec["id"]: 0.5 * (spec["lo"] + spec["hi"]) for spec in rules["inputs"]}
    lesions = [LesionInputs(f"M{n}", n, values) for n in range(1, count + 1)]
    started, cpu = time.perf_counter(), time.process_time()
    assess_values(lesions)
    print(
        f"{count} lesions, {len(values)} inputs each: {time.process_time() - cpu:.2f} s of the processor, "
        f"{time.perf_counter() - started:.2f} s on the clock; wanted below 5 s"
    )


def habitats(seeds=(1, 2, 3), size="full"):
    """Volumes of habitats of simulated patients through the real maps, against the truth."""
    print("| seed | lesion | mm | on a split | habitat | mL true | mL | interval | error, % |")
    print("|---|---|---|---|---|---|---|---|---|")
    found = []
    for seed in seeds:
        for row in compare(seed, size):
            # what fills less than a fifth of a lesion is no habitat of its own
            if row["true_ml"] < 0.2 * row["lesion_ml"] or row["diameter_mm"] < 10:
                continue
            row["error"] = 100.0 * (row["found_ml"] / row["true_ml"] - 1.0)
            found.append(row)
            print(
                f"| {seed} | {row['lesion']} | {row['diameter_mm']:.0f} | {row['on_split']:.0%} | {row['habitat']} | "
                f"{row['true_ml']:.2f} | {row['found_ml']:.2f} | {row['low_ml']:.2f} to {row['high_ml']:.2f} | "
                f"{row['error']:+.1f} |",
                flush=True,
            )
    clear = [row for row in found if row["on_split"] < 0.2]
    _sum_up("lesions clear of the splits", clear)
    _sum_up("lesions with a fifth or more within 15 % of a split", [row for row in found if row not in clear])


def _sum_up(name, rows):
    if not rows:
        return
    errors = np.array([abs(row["error"]) for row in rows])
    inside = [
        row["low_ml"] <= 1.05 * row["true_ml"] and 0.95 * row["true_ml"] <= row["high_ml"] for row in rows
    ]
    print(
        f"\n{name}: {errors.size} habitats, median error {np.median(errors):.1f} %, worst {errors.max():.1f} %, "
        f"{np.mean(errors <= 10):.0%} within 10 %; truth (5 % allowed for the outline) within the interval in "
        f"{np.mean(inside):.0%}"
    )


def main():
    """Command line."""
    parts = {"stability": stability, "speed": speed, "habitats": habitats}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*parts, []], default=[])
    for name in parser.parse_args().parts or parts:
        print(f"\n## {name}\n")
        parts[name]()


if __name__ == "__main__":
    main()
