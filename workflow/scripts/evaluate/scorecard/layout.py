"""The scorecard for people: plain text for the terminal, and a table for the front page of the report."""

from html import escape

from workflow.scripts.evaluate.display import number

STYLE = """<style>
.scorecard table {font-size: 10px; line-height: 1.15; border-collapse: collapse; margin: 2px 0; width: 100%}
.scorecard table th, .scorecard table td {padding: 0 4px; text-align: right; white-space: nowrap; border: 0}
.scorecard table th:first-child, .scorecard table td:first-child, .scorecard table th:nth-child(2),
.scorecard table td:nth-child(2) {text-align: left}
.scorecard table .section th {text-align: left; padding-top: 3px; border-bottom: 1px solid #999}
.scorecard .better {color: #0072B2; font-weight: bold}
.scorecard .worse {color: #D55E00; font-weight: bold}
.scorecard p {font-size: 10px; line-height: 1.2; margin: 2px 0}
</style>"""


def span(row):
    """``[lowest, highest]`` member of a line."""
    return f"[{number(row['low'])}, {number(row['high'])}]"


def closing(card):
    """The sentences below the lines: the criterion's verdict, and each metric that was skipped with its reason."""
    failed = [name for name, met in card["criterion"].items() if not met]
    verdict = "met" if card["criterion_met"] else f"not met ({', '.join(failed) or 'the data are too short to judge'})"
    first = f"Skill criterion (lines with *: better than climatology over the test period): {verdict}"
    reasons = {}
    for name, reason in card["skipped"].items():
        reasons.setdefault(reason, []).append(name)
    return [first, *(f"Skipped: {', '.join(names)}: {reason}." for reason, names in reasons.items())]


def heading(card):
    """The card's title."""
    return f"Scorecard of {card['source']}, {card['experiment']}, {card['members']} members: median [lowest, highest]"


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
    return "\n".join([format_table(heading(card), card["lines"]), "", *closing(card)]) + "\n"


def format_html(card):
    """The scorecard as a fragment of HTML that carries its own style: one compact table and the closing sentences."""
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
    return f'<div class="scorecard">\n{STYLE}\n<p>{escape(heading(card))}</p>\n{table}\n{notes}\n</div>\n'
