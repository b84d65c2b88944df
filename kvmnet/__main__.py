"""Run the program: `python -m kvmnet`."""

from kvmnet.program import run

run()
