"""Rollouts: one job per experiment and block of members, one file per member.

INPUTS   results/train/checkpoint.zip or the config's model.checkpoint, results/normalize/initial.nc,
         results/normalize/forcing/{experiment}.nc
OUTPUTS  results/rollout/{experiment}/r{member}.nc    every field of every month in physical units
"""

# Outputs cannot be a function of wildcards, so each block of members is a rule: one more member touches its block only.
for block, members in blocks().items():

    rule:
        name:
            f"rollout_{block}"
        input:
            checkpoint=CHECKPOINT,
            initial="results/normalize/initial.nc",
            forcing="results/normalize/forcing/{experiment}.nc",
            modules=modules("model/rollout.py"),
        output:
            expand("results/rollout/{{experiment}}/r{member}.nc", member=members),
        log:
            f"logs/rollout/{{experiment}}/block{block}.log",
        benchmark:
            f"benchmarks/rollout/{{experiment}}/block{block}.tsv"
        conda:
            "../../envs/model.yaml"
        threads: 1
        resources:
            # Members share the buffers. A GPU's libraries as in train.
            mem_mb=memory("rollout", 8000),
            runtime=minutes("rollout", 60),
            gpu=1,
        params:
            project=BASE,
            members=members,
            seed=config["seed"],
        message:
            "Rolling out {wildcards.experiment}, members {params.members}"
        shell:
            "PYTHONPATH={params.project:q} OMP_NUM_THREADS={threads} python -m model.rollout --checkpoint {input.checkpoint:q}"
            " --initial {input.initial:q} --forcing {input.forcing:q} --members {params.members} --seed {params.seed}"
            " --experiment {wildcards.experiment:q}"
            " --out 'results/rollout/{wildcards.experiment}/r{{member}}.nc' --log {log:q}"
