"""One module a command; `stream_infra.cli.main` imports it when it is run."""
