"""The environment's proxy, and this machine. Imports no names: what a deployment's prefix is may not be known yet."""

from __future__ import annotations

from collections.abc import Mapping


def unproxied(environment: Mapping[str, str]) -> dict[str, str]:
    """Return NO_PROXY, in both spellings, with this machine in it: the environment's proxy is for what is outside.

    Examples
    --------
    >>> unproxied({"NO_PROXY": "intranet"})["no_proxy"]
    'intranet,127.0.0.1,localhost'
    """
    given = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    hosts = ",".join(dict.fromkeys([*filter(None, given.split(",")), "127.0.0.1", "localhost"]))
    return {"NO_PROXY": hosts, "no_proxy": hosts}
