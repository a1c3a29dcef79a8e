"""The CDK app and the command line that composes all rooms."""
