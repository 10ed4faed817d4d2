"""Print rows as a table, as plain text or as Markdown."""

from collections.abc import Iterable

from benchmarks.measure import Row

TITLES = ("work", "cellist", "peer", "peer takes", "ratio", "budget", "")


def figure(value: float | None, unit: str) -> str:
    """Return a figure with its unit; seconds as µs."""
    if value is None:
        return "-"
    if unit != "s":
        return f"{value:,.0f} {unit}".strip()
    micro = value * 1e6
    return f"{micro:,.0f} µs" if micro >= 100 else f"{micro:.1f} µs"


def cells(row: Row) -> tuple[str, ...]:
    """Return the texts of a row."""
    return (
        row.name,
        figure(row.ours, row.unit),
        row.peer or "-",
        figure(row.theirs, row.unit),
        f"{row.ratio:.2f}" if row.ratio is not None else "-",
        row.budget or "-",
        row.verdict,
    )


WIDTHS = (40, 13, 21, 13, 8, 22, 7)
RIGHT = {1, 3, 4}


def line(texts: Iterable[str]) -> str:
    """Return one line of the plain table."""
    padded = (
        text.rjust(width) if place in RIGHT else text.ljust(width)
        for place, (text, width) in enumerate(zip(texts, WIDTHS, strict=True))
    )
    return "  ".join(padded).rstrip()


def plain(rows: list[Row]) -> str:
    """Return the table as plain text."""
    rule = "-" * (sum(WIDTHS) + 2 * len(WIDTHS) - 2)
    return "\n".join([line(TITLES), rule, *(line(cells(row)) for row in rows)])


def markdown(rows: list[Row]) -> str:
    """Return the table in Markdown."""
    aligned = ["--:" if place in RIGHT else "---" for place in range(len(TITLES))]
    lines = [TITLES, aligned, *(cells(row) for row in rows)]
    return "\n".join(f"| {' | '.join(texts)} |" for texts in lines)


def summary(rows: list[Row]) -> str:
    """Return how many rows keep their budget, and name those that do not."""
    over = [row.name for row in rows if row.verdict == "over"]
    judged = sum(row.verdict in {"ok", "over"} for row in rows)
    text = f"{judged - len(over)} of {judged} within their budget"
    return f"{text}; over: {', '.join(over)}." if over else f"{text}."
