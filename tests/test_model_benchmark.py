"""The benchmark measures what it says, on a small grid."""

import json
import subprocess
import sys


def test_benchmark_prints_json_with_every_ratio():
    command = [
        sys.executable,
        "-m",
        "model.benchmark",
        "--json",
        "--grid",
        "13",
        "24",
        "--members",
        "2",
        "--batches",
        "2",
    ]
    result = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert result["grid"] == [13, 24]
    assert result["ratio"].keys() == {"member_month", "member_month_in_equal_chunks", "training_step"}
    for recipe in ("v0p9", "defaults"):
        times = result[recipe]["member_month_s"]["2"]
        assert times.keys() == {"total", "conditions", "sampling", "decoding"}
        assert all(isinstance(seconds, float) for seconds in times.values())
        assert isinstance(result[recipe]["training_step_s"]["2"], float)
    plain, fast = result["plain"]["member_month_s"]["2"], result["v0p9"]["member_month_s"]["2"]["total"]
    assert result["ratio"]["member_month"]["2"] == plain / fast
