"""The scorecard for people: plain text for the terminal, and a table for the front page of the report."""

from html import escape
from textwrap import wrap

from workflow.scripts.common.skill import CLIMATOLOGY
from workflow.scripts.evaluate.display import number
from workflow.scripts.evaluate.scorecard.baselines import ERRORS, SPREAD, spread_word

SHORT = {
    CLIMATOLOGY: "climat.",
    "persistence": "persist.",
    "regression": "regress.",
    "regression+residuals": "+resid.",
    "no-diffusion": "no diff.",
}
SIGNS = {"better": "+", "worse": "-", "even": "=", "": ""}

STYLE = """<style>
.scorecard table {font-size: 10px; line-height: 1.15; border-collapse: collapse; margin: 2px 0; width: 100%}
.scorecard table th, .scorecard table td {padding: 0 4px; text-align: right; white-space: nowrap; border: 0}
.scorecard table th:first-child, .scorecard table td:first-child, .scorecard table th:nth-child(2),
.scorecard table td:nth-child(2) {text-align: left}
.scorecard table .section th {text-align: left; padding-top: 3px; border-bottom: 1px solid #999}
.scorecard .better {color: #0072B2; font-weight: bold}
.scorecard .worse {color: #D55E00; font-weight: bold}
.scorecard .published {color: #777}
.scorecard p {font-size: 10px; line-height: 1.2; margin: 2px 0}
</style>"""


def span(row):
    """``[lowest, highest]`` member of a line."""
    return f"[{number(row['low'])}, {number(row['high'])}]"


def closing(card):
    """The sentences below the lines: the criterion's verdict, and each metric that was skipped with its reason."""
    failed = [f"{field}: {', '.join(names)}" for field, names in card["criterion"].items() if names]
    verdict = "met" if card["criterion_met"] else f"not met ({'; '.join(failed) or 'none of its fields can be judged'})"
    first = f"Skill criterion (fields with *: lower CRPS than every baseline over the test period): {verdict}"
    reasons = {}
    for name, reason in card["skipped"].items():
        reasons.setdefault(reason, []).append(name)
    return [first, *(f"Skipped: {', '.join(names)}: {reason}." for reason, names in reasons.items())]


def heading(card):
    """The card's title."""
    return f"Scorecard of {card['source']}, {card['experiment']}, {card['members']} members: median [lowest, highest]"


def baseline_heading(card):
    """The title of the table of baselines, with the meaning of its signs."""
    low, high = SPREAD
    return (
        f"Ours beside reference forecasts, test {card['periods']['test']} (CRPS: monthly 15-degree means)",
        f"+ better, - worse, = even within {ERRORS} standard errors; spread/error is right from {low} to {high}",
    )


def spread_text(row):
    """``0.95 right``, or nothing where a spread is not known."""
    return "" if row["spread"] is None else f"{row['spread']:.2f} {spread_word(row['spread'])}"


def baselines_text(card):
    """Lines of the table of baselines, of at most 100 columns."""
    columns = card["baselines"]["columns"]
    names = "".join(f"{SHORT[name]:>8} " for name in columns)
    out = [*baseline_heading(card), f"  {'':<25}{'units':<7}{'ours':>8}{names} spread"]
    for row in card["baselines"]["rows"]:
        cells = [row["baselines"].get(name, {"value": None, "sign": ""}) for name in columns]
        others = "".join(f"{number(cell['value']):>8}{SIGNS[cell['sign']]:1}" for cell in cells)
        ours = f"  {row['name']:<25}{row['units']:<7}{number(row['ours']):>8}"
        out.append(f"{ours}{others} {spread_text(row)}".rstrip())
    return out


def baselines_html(card):
    """The table of baselines as HTML."""
    columns = card["baselines"]["columns"]
    names = "".join(f"<th>{escape(name)}</th>" for name in ("", "units", "ours", *columns, "spread/error"))
    rows = [f"<tr>{names}</tr>"]
    for row in card["baselines"]["rows"]:
        cells = [f"<td>{escape(text)}</td>" for text in (row["name"], row["units"], number(row["ours"]))]
        for name in columns:
            cell = row["baselines"].get(name, {"value": None, "sign": ""})
            text = f"{number(cell['value'])} {SIGNS[cell['sign']]}".strip()
            cells.append(f'<td class="{cell["sign"] or "plain"}">{escape(text)}</td>')
        rows.append(f"<tr>{''.join(cells)}<td>{escape(spread_text(row))}</td></tr>")
    notes = "\n".join(f"<p>{escape(sentence)}</p>" for sentence in baseline_heading(card))
    return "\n".join([notes, "<table>", *rows, "</table>"])


def published_text(card):
    """Lines of the table of published submissions, a model a line, of at most 100 columns; none without rows."""
    published = card["published"]
    if not published["rows"]:
        return []
    ours = {} if published["rows"][0]["ours"] is None else {"ours": [row["ours"] for row in published["rows"]]}
    models = {model: [row["values"].get(model) for row in published["rows"]] for model in published["columns"]}
    keys = (f"({place}) {row['name']}, {row['units']}" for place, row in enumerate(published["rows"], 1))
    heads = "".join(f"{f'({place})':>7}" for place in range(1, len(published["rows"]) + 1))
    out = ["", *wrap(published["title"], 100), *wrap("; ".join(keys), 98, initial_indent="  ", subsequent_indent="  ")]
    out.append(f"{'':<16}{heads}")
    return out + [
        f"{name:<16}" + "".join(f"{number(value):>7}" for value in row) for name, row in (ours | models).items()
    ]


def published_html(card):
    """The table of published submissions as HTML, in grey."""
    published = card["published"]
    if not published["rows"]:
        return ""
    ours = [] if published["rows"][0]["ours"] is None else ["ours"]
    names = "".join(f"<th>{escape(name)}</th>" for name in ("", "units", *ours, *published["columns"]))
    rows = [f"<tr>{names}</tr>"]
    for row in published["rows"]:
        values = {"ours": row["ours"], **row["values"]}
        cells = "".join(f"<td>{escape(text)}</td>" for text in (row["name"], row["units"]))
        cells += "".join(f"<td>{escape(number(row['ours']))}</td>" for _ in ours)
        cells += "".join(
            f'<td class="published">{escape(number(values.get(name)))}</td>' for name in published["columns"]
        )
        rows.append(f"<tr>{cells}</tr>")
    return "\n".join([f"<p>{escape(published['title'])}</p>", "<table>", *rows, "</table>"])


def format_table(title, lines, spread="members"):
    """Lines of a card as text of at most 100 columns; spread: what their lowest and highest value are of."""
    out, section = [title], None
    for row in lines:
        if row["section"] != section:
            section = row["section"]
            head = [f"  {'':<34}{'units':<9}{'reference':>9}{'ours':>10}  {spread}"] if len(out) == 1 else []
            out += ["", *head, section]
        numbers = f"{number(row['reference']):>9}{number(row['median']):>10}"
        out.append(f"  {row['name']:<34}{row['units']:<9}{numbers}  {span(row):<20} {row['verdict']}".rstrip())
    return "\n".join(out)


def format_text(card):
    """The scorecard as text of at most 100 columns, the closing sentences aside."""
    parts = [
        format_table(heading(card), card["lines"]),
        "",
        *baselines_text(card),
        *published_text(card),
        "",
        *closing(card),
    ]
    return "\n".join(parts) + "\n"


def format_html(card):
    """The scorecard as a fragment of HTML that carries its own style: compact tables and the closing sentences."""
    names = "".join(f"<th>{name}</th>" for name in ("", "units", "reference", "ours", "members", ""))
    rows, section = [f"<tr>{names}</tr>"], None
    for row in card["lines"]:
        if row["section"] != section:
            section = row["section"]
            rows.append(f'<tr class="section"><th colspan="6">{escape(section)}</th></tr>')
        cells = [row["name"], row["units"], number(row["reference"]), number(row["median"]), span(row)]
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        kind = row["verdict"] if row["verdict"] in ("better", "worse") else "plain"
        rows.append(f'<tr>{cells}<td class="{kind}">{escape(row["verdict"])}</td></tr>')
    table = "\n".join(["<table>", *rows, "</table>"])
    notes = "\n".join(f"<p>{escape(sentence)}</p>" for sentence in closing(card))
    parts = [STYLE, f"<p>{escape(heading(card))}</p>", table, baselines_html(card), published_html(card), notes]
    return "\n".join(['<div class="scorecard">', *parts, "</div>"]) + "\n"
