"""``python -m lossctl``."""

from lossctl.cli.main import run

run()
