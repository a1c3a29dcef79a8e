"""SQL over the lake: by Athena on AWS, by DuckDB over the same files on this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from consumers.lake.queries import QUERIES, NamedQuery
from consumers.lake.tables import DAY, PREFIX, TABLES, TableName
from producers.errors import did_you_mean
from stream_infra import names
from stream_infra.operations.errors import FailedError, InputError

if TYPE_CHECKING:
    from datetime import date

    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

Value = str | int | float | bool | None
_READS = ("select", "with", "show", "describe", "explain", "values")
_VALUE = re.compile(r"[\w./^=@-]{1,200}")
_WAIT_SECONDS = 0.5
_RUN_SECONDS = 20
_REFRESH_EMPTY = (
    "the lake holds nothing yet: `stock-monitor sql --refresh` writes it now, the monitor once an hour"
)


@dataclass(frozen=True)
class Answer:
    """What a query found: at most as many rows as were asked for.

    Attributes
    ----------
    has_more
        Whether there are more.
    read_bytes
        What Athena read, and bills $5 a terabyte for; None by DuckDB.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Value, ...]]
    has_more: bool = False
    read_bytes: int | None = None


def text_of(query: str, values: Sequence[str], today: date) -> str:
    """Return the SQL of what was typed: a named query with its values, or SQL itself.

    Raises
    ------
    InputError
        It is neither, a value is missing or none, or it would change something.
    """
    if not re.search(r"\s", query.strip()):
        return _filled(query, values, today)
    if values:
        said = "left out: only named queries take values"
        raise InputError(f"values after SQL: {' '.join(values)}", allowed=said)
    words = re.sub(r"(?m)^\s*--.*$", "", query).split()
    if not words or words[0].lower().lstrip("(") not in _READS:
        first = repr(words[0]) if words else "missing"
        raise InputError(f"the first word of the SQL is {first}", allowed=f"one of {', '.join(_READS)}")
    return query


def _filled(name: str, values: Sequence[str], today: date) -> str:
    query = QUERIES.get(name)
    if query is None:
        raise InputError(
            f"{name!r} is neither SQL nor a named query{did_you_mean(name, QUERIES)}",
            allowed=f"one of {', '.join(QUERIES)}, or SQL",
        )
    if len(values) > len(query.parameters):
        raise InputError(f"{len(values)} values for {name}", allowed=usage(name, query))
    given = [*values, *([None] * (len(query.parameters) - len(values)))]
    parts = query.sql.split("?")
    text = parts[0]
    for parameter, value, part in zip(query.parameters, given, parts[1:], strict=True):
        text += f"'{_value(name, query, parameter.default, value, today)}'{part}"
    return text


def _value(name: str, query: NamedQuery, default: str | None, value: str | None, today: date) -> str:
    from datetime import timedelta  # noqa: PLC0415  --help must not pay for it

    if value is None and default is not None:
        return str(today if default == "today" else today - timedelta(days=7))
    if value is None or not _VALUE.fullmatch(value):
        raise InputError(
            f"{value!r} for {name}" if value else f"{name} needs more", allowed=usage(name, query)
        )
    return value


def usage(name: str, query: NamedQuery) -> str:
    """Return how a named query is typed.

    Examples
    --------
    >>> usage("worst-spreads", QUERIES["worst-spreads"])
    'worst-spreads [SINCE] [UNTIL]'
    """
    values = (
        f"[{one.name.upper()}]" if one.default is not None else one.name.upper() for one in query.parameters
    )
    return " ".join([name, *values])


def refresh(client: LambdaClient) -> int:
    """Let the lake take in what is new; return how many blocks that were.

    Raises
    ------
    FailedError
        The function failed.
    """
    blocks = 0
    while True:
        said = _run(client)
        blocks += int(said["blocks"]) + int(said["late_blocks"])
        if said["is_done"]:
            return blocks


def _run(client: LambdaClient) -> Mapping[str, Any]:
    # A client waits for a minute: several short runs are as one.
    payload = json.dumps({"seconds": _RUN_SECONDS}).encode()
    answer = client.invoke(FunctionName=names.LAKE, Qualifier=names.LIVE, Payload=payload)
    said: Any = json.loads(answer["Payload"].read() or b"null")
    if "FunctionError" in answer:
        reason = said.get("errorMessage", said) if isinstance(said, dict) else said
        raise FailedError(f"{names.LAKE} failed: {reason}; its log: aws logs tail /aws/lambda/{names.LAKE}")
    return dict(said)


def by_duckdb(client: S3Client, bucket: str, sql: str, limit: int) -> Answer:
    """Return what a query finds in the files of a bucket; they are fetched into a folder of their own before.

    Raises
    ------
    FailedError
        DuckDB is not installed, there is no lake, or the query cannot be run.
    """
    try:
        import duckdb  # noqa: PLC0415  an optional extra
    except ModuleNotFoundError as error:
        raise FailedError("sql needs the package duckdb: pip install duckdb") from error
    with TemporaryDirectory() as folder, duckdb.connect() as connection:
        wanted = [name for name in TABLES if re.search(rf"\b{name}\b", sql, re.IGNORECASE)]
        there = {name: _fetch(client, bucket, name, Path(folder)) for name in wanted}
        if wanted and not any(there.values()):
            raise FailedError(_REFRESH_EMPTY)
        for name, files in there.items():
            connection.execute(f"CREATE VIEW {name} AS {_view(name, folder, is_there=files > 0)}")
        try:
            # Nothing of this machine but the files of the lake, and nothing of the network.
            connection.execute(f"SET allowed_directories = ['{folder}']")
            connection.execute("SET enable_external_access = false")
            found = connection.execute(sql)
            rows = found.fetchmany(limit + 1)
            columns = tuple(column[0] for column in found.description or ())
        except duckdb.Error as error:
            raise FailedError(f"the query cannot be run: {error}") from error
    return Answer(columns, [tuple(map(_plain, row)) for row in rows[:limit]], len(rows) > limit)


def _fetch(client: S3Client, bucket: str, table: TableName, folder: Path) -> int:
    """Fetch the files of a table; return how many."""
    count = 0
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{PREFIX}{table}/"):
        for one in page.get("Contents", []):
            file = folder / one["Key"].removeprefix(PREFIX)
            file.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(bucket, one["Key"], str(file))
            count += 1
    return count


def _view(table: TableName, folder: str, *, is_there: bool) -> str:
    if is_there:
        days = f"hive_partitioning = true, hive_types = {{'{DAY}': VARCHAR}}"
        return f"SELECT * FROM read_parquet('{folder}/{table}/*/*.parquet', {days})"  # noqa: S608  names of ours
    types = {**TABLES[table].columns, DAY: "string"}
    columns = ", ".join(
        f'CAST(NULL AS {"varchar" if of == "string" else of}) AS "{name}"' for name, of in types.items()
    )
    return f"SELECT {columns} WHERE false"


def _plain(value: Any) -> Value:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def by_athena(client: Any, sql: str, limit: int, sleep: Callable[[float], None]) -> Answer:
    """Return what Athena finds; a query that is interrupted is stopped there too.

    Raises
    ------
    FailedError
        Athena rejected or stopped the query; says why.
    """
    started = client.start_query_execution(
        QueryString=sql,
        QueryExecutionContext={"Database": names.LAKE_DATABASE},
        WorkGroup=names.WORKGROUP,
    )["QueryExecutionId"]
    try:
        done = _awaited(client, started, sleep)
    except KeyboardInterrupt:
        client.stop_query_execution(QueryExecutionId=started)
        raise
    status = done["Status"]
    if status["State"] != "SUCCEEDED":
        reason = status.get("StateChangeReason", "no reason given")
        raise FailedError(f"the query was {status['State'].lower()}: {reason}", where=f"Athena, {started}")
    read = done.get("Statistics", {}).get("DataScannedInBytes")
    return _results(client, started, limit, read)


def _awaited(client: Any, started: str, sleep: Callable[[float], None]) -> Any:
    while True:
        found = client.get_query_execution(QueryExecutionId=started)["QueryExecution"]
        if found["Status"]["State"] not in {"QUEUED", "RUNNING"}:
            return found
        sleep(_WAIT_SECONDS)


def _results(client: Any, started: str, limit: int, read: int | None) -> Answer:
    columns: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    rows: list[tuple[Value, ...]] = []
    is_first = True
    for page in client.get_paginator("get_query_results").paginate(QueryExecutionId=started):
        found = page["ResultSet"]
        about = found["ResultSetMetadata"]["ColumnInfo"]
        columns, types = tuple(one["Name"] for one in about), tuple(one["Type"] for one in about)
        texts = [tuple(cell.get("VarCharValue") for cell in row["Data"]) for row in found["Rows"]]
        if is_first and texts and texts[0] == columns:
            texts = texts[1:]  # of a SELECT, the first row holds the names of the columns
        is_first = False
        rows += [tuple(map(_typed, row, types)) for row in texts]
        if len(rows) > limit:
            break
    return Answer(columns, rows[:limit], len(rows) > limit, read)


def _typed(text: str | None, of: str) -> Value:
    if text is None:
        return None
    if of in {"tinyint", "smallint", "integer", "bigint"}:
        return int(text)
    if of in {"double", "float", "real"}:
        return float(text)
    return text == "true" if of == "boolean" else text
