"""Run the program: `python -m kvmnet`."""

from kvmnet.cli.main import run

run()
