"""Matching of 20 lesions across simulated follow-ups: share of right matches by what registration left over.

Run: PYTHONPATH=BMVascular:Testing/Python python Testing/Benchmarks/bench_lesion_tracking.py [PATIENTS]

Each follow-up: 6 lesions stay, 3 grow threefold, 4 shrink to a tenth, 3 vanish, 2 get a new neighbour, 2 merge, 1
splits. The truth is how the follow-up was made.
"""

import sys
import time

from lesion_followups import make_follow_up, score

from BMVascularCore.lesions import match_lesions

ERRORS = ((0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (3.0, 0.0), (1.0, 1.0), (2.0, 2.0), (3.0, 3.0))
GRIDS = ((1.0, 1.0, 1.0), (0.8, 0.8, 3.0))


def main(patients=20):
    print(
        f"{'shift mm':>9}{'turn deg':>9}  {'later voxels mm':18}{'right':>8}{'wrong but certain':>19}{'CPU s':>7}"
    )
    for spacing in GRIDS:
        for shift_mm, turn_deg in ERRORS:
            total, seconds = [0, 0, 0], 0.0
            for seed in range(patients):
                case = make_follow_up(seed, shift_mm, turn_deg, after_spacing=spacing)
                started = time.process_time()
                matches = match_lesions(case.before, case.after)
                seconds += time.process_time() - started
                total = [a + b for a, b in zip(total, score(case, matches), strict=True)]
            right, every, sure = total
            text = " x ".join(f"{s:g}" for s in spacing)
            print(
                f"{shift_mm:9.0f}{turn_deg:9.0f}  {text:18}{right / every:8.1%}{sure:10d} of {every:5d}"
                f"{seconds / patients:7.2f}"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
