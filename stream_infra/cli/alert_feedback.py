"""``stock-monitor alerts useful|noise|quality``: what people say of incidents, and what follows of it."""

from __future__ import annotations

import getpass
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from stream_infra.cli import options
from stream_infra.operations import times
from stream_infra.operations.endpoints import resolve

if TYPE_CHECKING:
    from stream_infra.operations.alert_quality import Quality

app = typer.Typer()
Incident = Annotated[str, typer.Argument(help="Id of an anomaly or an incident.", metavar="ID")]
SinceOption = Annotated[
    str,
    typer.Option("--since", help="From then on: 7d, or a time (UTC unless it names a zone).", metavar="WHEN"),
]


@app.command()
def useful(id_: Incident, as_json: options.AsJson = False, aws: options.Aws = False) -> None:
    """Say that an incident was useful.

    Example: stock-monitor alerts useful AAPL-1763996400123-price_spike
    """
    _print(id_, useful=True, as_json=as_json, aws=aws)


@app.command()
def noise(id_: Incident, as_json: options.AsJson = False, aws: options.Aws = False) -> None:
    """Say that an incident was noise.

    Example: stock-monitor alerts noise AAPL-1763996400123-price_spike
    """
    _print(id_, useful=False, as_json=as_json, aws=aws)


@app.command()
def quality(since: SinceOption = "30d", as_json: options.AsJson = False, aws: options.Aws = False) -> None:
    """Show the precision of each kind and ticker by feedback, and thresholds that would have left noise out.

    Example: stock-monitor alerts quality --since 90d
    """
    from stream_infra.operations import alert_quality  # noqa: PLC0415  --help must not pay for it

    now = datetime.now(UTC)
    found = alert_quality.quality(resolve(aws), times.moment(since, now), now)
    typer.echo(_json(found) if as_json else text(found))


def _print(id_: str, *, useful: bool, as_json: bool, aws: bool) -> None:
    from api.alerts import feedback_row  # noqa: PLC0415
    from stream_infra.operations import alert_quality  # noqa: PLC0415

    said = alert_quality.record_feedback(
        resolve(aws), id_, useful=useful, by=getpass.getuser(), now=datetime.now(UTC)
    )
    row = {"incident_id": said.incident, **feedback_row(said)}
    word = "useful" if said.useful else "noise"
    typer.echo(
        json.dumps(row) if as_json else f"{said.anomaly} of incident {said.incident} is noted as {word}."
    )


def _json(found: Quality) -> str:
    return json.dumps(
        {
            "since": found.since,
            "precision": [{**asdict(one), "precision": one.share} for one in found.precision],
            "proposals": [asdict(one) for one in found.proposals],
            "after": [asdict(one) for one in found.after],
        }
    )


def text(found: Quality) -> str:
    """Return the precision of each kind and ticker, what the price did, and the proposals, for people."""
    from stream_infra.cli.text import table_text, time_of  # noqa: PLC0415

    if not found.precision:
        return (
            f"No feedback on incidents since {time_of(found.since)}. Give it with `stock-monitor alerts useful ID` or"
            " `stock-monitor alerts noise ID`, on the dashboard, or by the links of a message."
        )
    rows = [
        (one.kind, one.ticker or "all", f"{one.share:.0%}", str(one.useful), str(one.noise))
        for one in found.precision
    ]
    lines = [table_text(rows, header=("KIND", "TICKER", "PRECISION", "USEFUL", "NOISE"), right=(2, 3, 4))]
    if found.after:
        lines += ["", "Median size of the price move afterwards:"]
        lines.append(
            table_text(
                [
                    (one.kind, "useful" if one.useful else "noise", f"{one.minutes} min",
                     f"{one.move * 100:.2f}%", str(one.of))
                    for one in found.after
                ],
                header=("KIND", "SAID", "AFTER", "MOVE", "OF"),
                right=(2, 3, 4),
            )
        )  # fmt: skip
    lines.append("")
    for one in found.proposals:
        lines += [
            f"{one.kind}: threshold {one.threshold:g} instead of {one.now:g}.",
            f"  It would leave out {one.noise_gone} of {one.noise} rated noise, 0 of {one.useful} rated useful,",
            f"  and {one.anomalies_gone:,} of all {one.anomalies:,} anomalies of the kind.",
        ]
    if found.proposals:
        lines.append(
            "Each anomaly counts by the score at which it began; one that grows beyond the threshold is found later."
        )
    else:
        lines.append(
            "No threshold is proposed: there is too little feedback, or no threshold separates noise from the rest."
        )
    return "\n".join(lines)
