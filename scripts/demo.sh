#!/usr/bin/env bash
# From DFT data to molecular dynamics: makes .venv, installs mdzoo, fits ZBL + SO3 + Linear to the silicon data, prints
# the errors, draws the parity plot, exports the model, and runs 1 ps of NVE from the exported file with ASE.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/venv.sh
make_venv "${MDZOO_VENV:-.venv}"

"$PYTHON" -m pip install --quiet -c constraints.txt .
MDZOO="$(dirname "$PYTHON")/mdzoo"
RUN="outputs/demo/$(date +%Y-%m-%d_%H-%M-%S)"
export WANDB_MODE="${WANDB_MODE:-disabled}" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
SECONDS=0
"$MDZOO" train experiment=silicon_demo run_dir="$RUN/train"
"$MDZOO" export model="$RUN/train" run_dir="$RUN/export"
"$MDZOO" md model="$RUN/export/model.pt" engine=ase ensemble=nve steps=1000 timestep=1.0 temperature=300 run_dir="$RUN/md"
echo "demo: $SECONDS s; the parity plot is $RUN/train/parity.png"
