"""Arguments that several programs of the evaluation have in common."""

from workflow.scripts.common import program


def add_periods(parser):
    """The config's periods."""
    parser.add_argument("--periods", type=program.from_json, required=True, help="the config's section periods, JSON")


def add_summarizing(parser):
    """What a summary depends on beside the files it is made from."""
    parser.add_argument("--index", required=True, help="AIMIP's Nino3.4 index, CSV")
    add_periods(parser)
    parser.add_argument(
        "--minimum-years", type=int, required=True, help="complete years that trends and regressions need"
    )


def add_experiments(parser):
    """The experiments with their offsets of the sea-surface temperature."""
    parser.add_argument(
        "--experiments", type=program.from_json, required=True, help="{name: entry of the config}, JSON"
    )


def add_evaluation(parser):
    """What the metrics and the figures depend on beside the summaries of simulations; see ``settings_of``."""
    parser.add_argument("--reference", required=True, help="summary of the reference")
    parser.add_argument("--static", required=True, help="static fields of the model grid, with the land fraction")
    add_experiments(parser)
    parser.add_argument(
        "--settings", type=program.from_json, required=True, help="the config's section evaluation, JSON"
    )
    add_periods(parser)
    parser.add_argument("--source", required=True, help="name of our model")
    parser.add_argument("--reference-name", required=True, help="name of the reference, such as ERA5")
    parser.add_argument("--published", nargs="?", help="table of published_results.py, where there is one")


def settings_of(given):
    """Settings for ``evaluate`` and ``Evaluated`` from the arguments of ``add_evaluation``."""
    named = {"periods": given.periods, "reference_name": given.reference_name, "published": given.published}
    return given.settings | named


def add_summaries(parser):
    """Where the summaries of our simulations are; ``summary_paths`` names the files."""
    parser.add_argument("--summaries", required=True, help="folder of our summaries, {experiment}/{member}.nc")
    parser.add_argument("--members", type=int, required=True, help="number of members of each experiment")
