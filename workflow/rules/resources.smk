"""What jobs ask for: memory and time that grow, slots for requests, and what profiles set for rules in blocks."""

from workflow.growth import lengthening, memory_at, minutes_at, read_rules

# What rules took at 1.5 degrees, and which of them grow with the cells of the model's grid and the months of training.
MEASURED = read_rules()
LONGER = lengthening(config["periods"])


def grown(first):
    """Resource of a job: ``first`` (MB or minutes) in the first attempt, as much again in each further one."""
    return lambda wildcards, attempt: first * attempt


def memory(rule, first):
    """``grown`` MB of a rule that grows with the grid; ``first`` is for grids and periods up to those measured."""
    return grown(memory_at(config["grid"]["resolution"], first, MEASURED[rule], LONGER))


def minutes(rule, first):
    """``grown`` minutes of a rule that grows with the grid; ``first`` is for grids up to 1.5 degrees."""
    return grown(minutes_at(config["grid"]["resolution"], first, MEASURED[rule]))


def request_slot(dataset):
    """1 for a request to the CDS for that dataset, else 0: Snakemake counts them against download.in_flight."""
    return lambda wildcards: int(config["source"] == "cds" and dict(wildcards).get("dataset", dataset) == dataset)


# How long a download waits for its server: resources and not params, like all that changes no byte of a file, so that a
# change reruns nothing.
WAITING = {name: str(config["download"][name]) for name in ("first_wait", "patience", "outage")}
WAITING_OPTIONS = " --first-wait {resources.first_wait} --patience {resources.patience} --outage {resources.outage}"


def download_minutes():
    """Time limit of a download: all the patience that the config has with the CDS, and four hours of transfer.

    It does not grow: a further attempt finds the request that the one before left in the queue.
    """
    return int(60 * (config["download"]["patience"] + config["download"]["outage"])) + 240


def blocks():
    """Members in blocks of fixed size and place, so that one more member touches one block only."""
    size = config["rollout"]["block"]
    return {start // size + 1: MEMBERS[start : start + size] for start in range(0, len(MEMBERS), size)}


# Whatever the command line or a profile says, no more requests than this are under way per dataset.
for dataset in DATASETS:
    workflow.global_resources[f"cds_{dataset.replace('-', '_')}"] = config["download"]["in_flight"]

# What a profile sets for "rollout" holds for the rule of every block.
for settings in (workflow.resource_settings.overwrite_resources, workflow.resource_settings.overwrite_threads):
    for block in blocks() if "rollout" in settings else []:
        settings.setdefault(f"rollout_{block}", settings["rollout"])
