#!/usr/bin/env bash
# Experiment 1: a family of models by category, the shot curve, the spread over orders, RR, QR and QS examples.
# About twenty minutes on two cores at the limit of experiment1.yaml. Interrupted or killed, the same command goes on.
#
#   pip install 'evalkit-harness[hf,smollm2,embedding]'
#   examples/experiment1.sh                      # data from the Hub
#   examples/experiment1.sh --data-dir FOLDER    # from a mirror of it
#
# Everything goes to the current folder: smollm2-10-layers/, cache/, runs/, site/, experiment1.html, experiment1.md.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

[ -f smollm2-10-layers/config.json ] || python "$here/../scripts/shorten.py" --output smollm2-10-layers
evalkit run --config "$here/experiment1.yaml" --output runs/experiment1 "$@"
if [ -n "${EVALKIT_COMET_PYTHON:-}" ] || python -c "import comet" 2>/dev/null; then
  evalkit run --config "$here/experiment1.comet.yaml" --output runs/experiment1-comet "$@"
else
  echo "COMET-22 and COMETkiwi are left out: unbabel-comet is not installed (docs/metrics.md, COMET)"
fi
evalkit compare runs/experiment1/* --markdown experiment1.md
evalkit report runs/experiment1/* --output experiment1.html
evalkit leaderboard build runs --board family --output site
