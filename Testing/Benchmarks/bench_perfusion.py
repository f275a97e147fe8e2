"""All perfusion benchmarks in one go: fits, deconvolution, leakage, and one examination from files to maps.

python Testing/Benchmarks/bench_perfusion.py
"""

import bench_dce
import bench_dsc
import bench_whole_case

if __name__ == "__main__":
    print("## DCE\n")
    bench_dce.main()
    print("\n## DSC\n")
    bench_dsc.main()
    print("\n## One examination through the command line\n")
    bench_whole_case.in_temporary_folder()
