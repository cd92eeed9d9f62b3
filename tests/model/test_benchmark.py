"""The benchmark measures what it says, on a small grid."""

import json
import subprocess
import sys


def test_benchmark_prints_json_with_every_form_and_ratio():
    command = [sys.executable, "-m", "model.benchmark", "--json", "--grid", "13", "24", "--members", "1"]
    done = subprocess.run([*command, "--batches", "2"], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert result["grid"] == [13, 24]
    assert result["rollout"].keys() == {"1"} and result["training"].keys() == {"2"}
    for found in (*result["rollout"].values(), *result["training"].values()):
        assert found.keys() == {"plain", "v0p9", "defaults"}
        for form, values in found.items():
            assert values["seconds"] == sum(values["parts"].values()) > 0
            # More than the interpreter with torch alone, less than the machine.
            assert 100 < values["memory_mb"] < 5000
            if form != "plain":
                assert values["times_as_fast_as_plain"] == found["plain"]["seconds"] / values["seconds"]
