"""The commands hold little more than the series itself; measured in processes of their own."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Benchmarks"))
import bench_whole_case as case

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process from /proc")


@pytest.mark.parametrize("kind", ["dsc", "dce"])
def test_memory_is_bounded(tmp_path, kind):
    if kind == "dsc":
        call, size, _ = case.write_dsc(tmp_path, 112, 24)
    else:
        call, size, _, _ = case.write_dce(tmp_path, size=160, slices=24)
    _, _, peak = case.run_child([*call, "--out", str(tmp_path / "out"), "--quiet"])
    assert peak - case.idle_memory(tmp_path, kind) <= case.LIMIT_MEMORY * 4.0 * size
