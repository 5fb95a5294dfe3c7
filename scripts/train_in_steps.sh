#!/usr/bin/env bash
# Train on a machine without a network, whose commands are short and whose transfers are small: one step per call.
#
#   train_in_steps.sh pack WHEEL WHEELS DATA INPUTS       here: all that the machine needs, in parts of 50 MiB
#   train_in_steps.sh step INPUTS OUT MINUTES RUN ...     there: go on for so many minutes; ... is for promedical-train rm
#   train_in_steps.sh keep OUT INPUTS                     here: make a step's result the next one's input
#
# WHEEL is the base model's, WHEELS holds those of packages that the machine lacks. INPUTS holds inputs.part* and, from
# the second step on, run.part*; where a transfer is smaller than all of them, bring them one by one. OUT receives
# run.part*, 15 MiB each, whatever becomes of the step. Exit code 0: done; 3: the same step goes on; else an error.
#
# The default model on a GPU, with all data, and a sweep of which dev chooses (RUN/evaluation.json), each to its end:
#   GPU=(--set adapter.layers=null --set expansion.trees_per_prompt=4 --set optimisation.epochs=3
#        --set optimisation.max_steps=null --set optimisation.batch_pairs=32 --set optimisation.max_path_tokens=4096
#        --set optimisation.tokens_per_pass=32768 --set data.dev_responses=null)
#   for rate in 3e-4 1e-3 3e-3; do
#     ... step INPUTS OUT 9 "rate-$rate" --recipe rm-smollm2-135m --until dev "${GPU[@]}" \
#       --set "optimisation.learning_rate=$rate"
#   done
# The chosen run then goes on with `--until controls`, and `make ship-model RUN=` takes it.
set -euo pipefail

RESERVE_S=45 # of a step's time, to gather the result

pack() {
  local wheel=$1 wheels=$2 data=$3 inputs=$4 stage
  stage=$(mktemp -d)
  mkdir -p "$stage/base" "$stage/wheels" "$stage/data/criteria" "$inputs"
  cp "$wheel" "$stage/base/"
  if compgen -G "$wheels/*.whl" >/dev/null; then cp "$wheels"/*.whl "$stage/wheels/"; fi
  python -m pip wheel --quiet --no-deps --wheel-dir "$stage/wheels" "$(dirname "${BASH_SOURCE[0]}")/.."
  cp "$data"/criteria/*.jsonl.gz "$stage/data/criteria/"
  rm -f "$inputs"/*.part*
  tar --create --gzip --directory "$stage" . | split --bytes 50M - "$inputs/inputs.part"
  rm -r "$stage"
}

step() {
  local inputs=$1 minutes=$3 run=$4 code=0
  out=$2 work=$(mktemp -d) # not local: the trap reads them
  shift 4
  cat "$inputs"/inputs.part* | tar --extract --gzip --directory "$work"
  if compgen -G "$inputs/run.part*" >/dev/null; then cat "$inputs"/run.part* | tar --extract --gzip --directory "$work"; fi
  trap gather EXIT
  export PIP_NO_INDEX=1 PIP_FIND_LINKS="$work/base"
  python -m pip install --quiet --no-deps --target "$work/site" "$work"/wheels/*.whl
  local left_s=$((minutes * 60 - SECONDS - RESERVE_S))
  PYTHONPATH="$work/site" timeout "$((left_s + 20))" python -m promedical_trainer.cli rm --data "$work/data" \
    --output "$work/run/$run" --minutes "$(python -c "print($left_s / 60)")" "$@" || code=$?
  if [[ $code == 124 ]]; then code=3; fi # it was between two points where it looks at the time; checkpoints are kept
  return "$code"
}

gather() {
  mkdir -p "$out" "$work/run"
  rm -f "$out"/run.part*
  tar --create --gzip --directory "$work" run | split --bytes 15M - "$out/run.part"
  rm -r "$work"
}

keep() {
  rm -f "$2"/run.part*
  cp "$1"/run.part* "$2/"
}

"$@"
