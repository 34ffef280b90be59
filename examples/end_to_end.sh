#!/usr/bin/env bash
# From variants to a verdict to a board: what docs/example.md shows. Half an hour on two cores.
#
#   pip install 'evalkit-harness[hf,smollm2,quant,peft]'
#   examples/end_to_end.sh                      # data from the Hub
#   examples/end_to_end.sh --data-dir FOLDER    # from a mirror of it
#
# Runs, adapters and the board go to the current folder: runs/, adapters/, site/.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

python "$here/../scripts/train_adapters.py" --output adapters --only lora,broken
evalkit run --config "$here/end_to_end.yaml" --output runs "$@"

evalkit compare runs/base runs/int8 runs/nf4 runs/lora runs/broken --markdown comparison.md

gate() { # NAME EXPECTED-EXIT-CODE CANDIDATE: the verdict must be the one that this example is about
  local code=0
  evalkit gate --baseline runs/base --candidate "$3" --policy "$here/end_to_end.gate.yaml" --markdown "gate-$1.md" || code=$?
  echo "gate $1: exit code $code (expected $2)"
  [ "$code" = "$2" ]
}
gate pass 0 runs/lora
gate regression 1 runs/broken

# Twenty items cannot show that nothing was lost: the gate says so, and how many would.
tasks=boolq,piqa,openbookqa,arc_easy,triviaqa,truthfulqa_mc2
evalkit run --model smollm2-135m --quant int8 --tasks "$tasks" --limit 20 --output runs-few/int8 "$@"
gate inconclusive 3 runs-few/int8

evalkit leaderboard build runs --board experiment1 --output site
evalkit report runs/base runs/int8 runs/nf4 runs/lora runs/broken --output report.html
