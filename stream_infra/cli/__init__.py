"""The command line ``stock-monitor``: options, rendering and one thin module a command."""
