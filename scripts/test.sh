#!/usr/bin/env bash
# The tests: makes .venv when it is absent, installs mdzoo with what its tests need, checks style and types, runs pytest.
#
#   bash scripts/test.sh                       all but the slow ones
#   bash scripts/test.sh tests/evaluate -x     what pytest is given; -n 8 for eight processes instead of two
#   MDZOO_VENV=PATH bash scripts/test.sh       another environment
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/venv.sh
make_venv "${MDZOO_VENV:-.venv}"

"$PYTHON" -m pip install --quiet -c constraints.txt '.[dev]'
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
"$PYTHON" -m mypy
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" WANDB_MODE="${WANDB_MODE:-disabled}"
exec "$PYTHON" -m pytest -m "not slow" -n 2 --dist worksteal "$@"
