"""Whether the scanner can use its source: what the source declares, against its settings and its secret."""

from __future__ import annotations

from collections.abc import Mapping

from producers.secret import SecretsClient, environment_with_secret
from producers.settings import SettingsError
from producers.source import SourceError
from producers.sources import get_pollable


def source_problem(scanner: Mapping[str, str], secrets: SecretsClient) -> str:
    """Return why the scanner cannot use its source, with the remedy; an empty text if it can.

    Parameters
    ----------
    scanner
        The variables of the function stock-scanner.
    secrets
        A client of Secrets Manager, for the secret that the variables name.
    """
    secret = scanner.get("SOURCE_SECRET", "")
    try:
        spec = get_pollable(scanner.get("SOURCE", ""))
        environment = environment_with_secret(scanner, secrets, secret) if secret else scanner
        spec.check_settings(environment)
    except (SourceError, SettingsError) as error:
        return str(error)
    return ""
