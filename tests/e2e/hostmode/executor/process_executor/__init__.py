"""Lambda functions as local processes for a LocalStack without Docker; installed into LocalStack's own environment.

LocalStack runs functions in Docker containers only. This plug-in gives it an executor that starts AWS's own Python
runtime client (`awslambdaric`) as a process, and serves it the Lambda Runtime API.
"""
