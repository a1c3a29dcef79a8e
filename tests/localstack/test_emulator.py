"""The local AWS hands its environment on to every function: what of the shell's must not be in it."""

from __future__ import annotations

from localstack.emulator import without_quotes_settings


def test_keys_and_options_of_the_shell_reach_no_function() -> None:
    kept = {"PATH": "/usr/bin", "HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "127.0.0.1"}
    dropped = {
        "APCA_API_SECRET_KEY": "s3cr3t",  # a key
        "COINBASE_URL": "http://127.0.0.1:9",  # an option
        "SESSION": "gnome",  # what desktops call theirs, and the scanner its hours
        "POLL_INTERVAL_SECONDS": "60",
        "MARKETS": "ABC=XLON",
    }
    assert without_quotes_settings({**kept, **dropped}) == kept
