"""The synthetic planet's exact response to a warmer sea, on the model grid: the truth that E5 has nowhere else.

Output (netCDF4): ``response`` (experiment, field, lat, lon), mean over all months of the simulation of the fields with
the experiment's SST offset less those without, internal modes and noise left out; fields as in the submission.
"""

import netCDF4
import numpy as np
from atomic import atomic_path
from grids import centres
from months import month_range
from planet import Planet
from summarize import field_order, write_labels, year_slices
from summarize_reference import cmor_fields
from tables import read_variables


def planet_truth(output, variables, seed, resolution, simulation, experiments):
    """Write the truth of every experiment but the control.

    variables: the variables table (CSV); seed: the planet's; resolution: of the model grid, degrees; simulation: first
    and last month; experiments: {name: {sst_offset: K}}.
    """
    planet, variables = Planet(seed), read_variables(variables, role="field")
    lat, lon = centres(resolution)
    months = month_range(*simulation)
    offsets = {name: value["sst_offset"] for name, value in experiments.items() if value["sst_offset"] != 0}
    means = {offset: {} for offset in {0, *offsets.values()}}
    for offset, fields in means.items():
        for span in year_slices(months):
            state = dict(planet.fields(months[span], lat, lon, sst_anomaly=offset, noise=False, modes={}))
            for name, (values, _) in cmor_fields(state, variables).items():
                fields[name] = fields.get(name, 0) + values.sum(0, dtype=np.float64) / len(months)
    names = sorted(means[0], key=field_order)
    with atomic_path(output) as temporary, netCDF4.Dataset(temporary, "w") as data:
        data.title = f"forced response of the synthetic planet of seed {seed}"
        write_labels(data, "experiment", list(offsets))
        write_labels(data, "field", names)
        for name, values in (("lat", lat), ("lon", lon)):
            data.createDimension(name, len(values))
            data.createVariable(name, "f8", (name,))[:] = values
        response = data.createVariable("response", "f4", ("experiment", "field", "lat", "lon"), zlib=True, complevel=1)
        for number, offset in enumerate(offsets.values()):
            response[number] = np.stack([means[offset][name] - means[0][name] for name in names])


if __name__ == "__main__":
    import runlog

    runlog.start(snakemake.log[0])
    params = snakemake.params
    arguments = params.seed, params.resolution, params.simulation, params.experiments
    planet_truth(snakemake.output[0], snakemake.input.variables, *arguments)
