"""``stock-monitor login``: sign in to a private API on AWS."""

from __future__ import annotations

from typing import Annotated

import typer

from stream_infra.cli import options
from stream_infra.operations.endpoints import resolve
from stream_infra.operations.errors import InputError

app = typer.Typer()


@app.command()
def login(
    *,
    print_token: Annotated[
        bool, typer.Option("--print-token", help="Print the token of the present sign-in, for curl.")
    ] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Forget the sign-in on this machine.")] = False,
    browser: Annotated[
        bool, typer.Option(help="Open the browser; --no-browser only prints the address.")
    ] = True,
    aws: options.Aws = False,
) -> None:
    """Sign in with a browser on this machine, as on the dashboard; commands with --aws then send the token.

    Programs with AWS credentials need no sign-in: they read tables and topics.

    Example: curl -H "Authorization: $(stock-monitor login --aws --print-token)" "$API/anomalies"
    """
    from stream_infra.operations.sign_in import TokenFile, sign_in, token  # noqa: PLC0415

    address = resolve(aws).sign_in
    if address is None:
        raise InputError("this monitor has no sign-in", allowed="the one on AWS, with --aws")
    file = TokenFile()
    if forget:
        file.write(address, None)
    elif print_token:
        found = token(address, file)
        if found is None:
            raise InputError("nobody has signed in here: stock-monitor login --aws")
        typer.echo(found)
    else:
        sign_in(address, file, _open if browser else _show)
        typer.secho("Signed in.", fg="green")


def _open(url: str) -> None:
    import webbrowser  # noqa: PLC0415  --help must not pay for it

    _show(url)
    webbrowser.open(url)


def _show(url: str) -> None:
    typer.echo(f"Sign in with a browser on this machine:\n{url}", err=True)
