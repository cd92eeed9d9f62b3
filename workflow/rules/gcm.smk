"""A general circulation model, SPEEDY: data that anyone can make, for source local, and its response to warmer seas.

INPUTS   none; jcm, in an interpreter of its own (GCM_PYTHON), brings SPEEDY's boundary data
OUTPUTS  results/gcm/{experiment}/single-levels/{year}.nc, pressure-levels/{year}.nc   monthly means, 3.75 degrees
         results/gcm/{experiment}/static.nc, forcing.nc                                 AIMIP-shaped, month starts
         results/gcm/{experiment}/restart/{year}.npz, spin_up.npz                       what the next year starts from

A year is a job, and hands its state on to the next: more years at the end rerun none. Nothing else needs these files.
"""

# One thread, and sums in one order: the same bytes however often a run is stopped.
GCM_FLAGS = "--xla_cpu_multi_thread_eigen=false --xla_gpu_deterministic_ops=true"


# As CMOR's, the interpreter is no param, so it reruns nothing.
rule gcm_fixed:
    input:
        variables=VARIABLES,
        modules=scripts("gcm/fixed.py"),
    output:
        static="results/gcm/{experiment}/static.nc",
        forcing="results/gcm/{experiment}/forcing.nc",
    log:
        "logs/gcm_fixed/{experiment}.log",
    benchmark:
        "benchmarks/gcm_fixed/{experiment}.tsv"
    conda:
        "../../envs/gcm.yaml"
    resources:
        # 0.3 GB, 5 s.
        mem_mb=grown(1000),
        runtime=grown(10),
    params:
        project=BASE,
        period=[f"{GCM_YEARS[0]}-01", f"{GCM_YEARS[-1]}-12"],
        sst_offset=gcm_offset,
    message:
        "Writing static fields and forcing of the GCM's {wildcards.experiment}"
    shell:
        'PYTHONPATH={params.project:q} "${{GCM_PYTHON:-python}}" -m workflow.scripts.gcm.fixed'
        " --period {params.period} --offset={params.sst_offset} --variables {input.variables:q}"
        " --static {output.static:q} --forcing {output.forcing:q} --log {log:q}"


rule gcm_spin_up:
    input:
        modules=scripts("gcm/run.py"),
    output:
        "results/gcm/{experiment}/restart/spin_up.npz",
    log:
        "logs/gcm_spin_up/{experiment}.log",
    benchmark:
        "benchmarks/gcm_spin_up/{experiment}.tsv"
    conda:
        "../../envs/gcm.yaml"
    threads: 1
    resources:
        # As gcm_year.
        mem_mb=grown(3000),
        runtime=grown(60),
    params:
        project=BASE,
        flags=GCM_FLAGS,
        period=[f"{GCM_YEARS[0]}-{13 - config['gcm']['spin_up']:02d}", f"{GCM_YEARS[0]}-12"],
        sst_offset=gcm_offset,
    message:
        "Spinning up the GCM's {wildcards.experiment}"
    shell:
        "PYTHONPATH={params.project:q} OMP_NUM_THREADS={threads} XLA_FLAGS={params.flags:q}"
        ' "${{GCM_PYTHON:-python}}" -m workflow.scripts.gcm.run'
        " --period {params.period} --offset={params.sst_offset} --restart {output:q} --log {log:q}"


rule gcm_year:
    input:
        state=gcm_state,
        variables=VARIABLES,
        modules=scripts("gcm/run.py"),
    output:
        expand("results/gcm/{{experiment}}/{dataset}/{{year}}.nc", dataset=DATASETS),
        restart="results/gcm/{experiment}/restart/{year}.npz",
    log:
        "logs/gcm_year/{experiment}/{year}.log",
    benchmark:
        "benchmarks/gcm_year/{experiment}/{year}.tsv"
    conda:
        "../../envs/gcm.yaml"
    threads: 1
    resources:
        # 1.4 GB; 5 to 7 minutes of one core, half a minute of them to compile.
        mem_mb=grown(3000),
        runtime=grown(60),
    params:
        project=BASE,
        flags=GCM_FLAGS,
        sst_offset=gcm_offset,
    message:
        "Running the GCM's {wildcards.experiment} through {wildcards.year}"
    shell:
        "PYTHONPATH={params.project:q} OMP_NUM_THREADS={threads} XLA_FLAGS={params.flags:q}"
        ' "${{GCM_PYTHON:-python}}" -m workflow.scripts.gcm.run'
        " --period {wildcards.year}-01 {wildcards.year}-12 --offset={params.sst_offset} --state {input.state:q}"
        " --restart {output.restart:q} --variables {input.variables:q} --out results/gcm/{wildcards.experiment:q}"
        " --log {log:q}"
