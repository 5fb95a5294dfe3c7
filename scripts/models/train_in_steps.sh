#!/usr/bin/env bash
# Train on a machine without a network, whose commands are short and whose transfers are small: one step per call.
#
#   train_in_steps.sh pack WHEEL WHEELS DATA INPUTS       here: all that the machine needs, in parts of 24 MiB
#   train_in_steps.sh step INPUTS OUT MINUTES RUN ...     there: go on for so many minutes; ... is for promedical-train rm
#   train_in_steps.sh keep OUT INPUTS                     here: make a step's result the next one's input
#
# WHEEL is the base model's, WHEELS holds those of packages that the machine lacks; of DATA, criteria/ and drills/ are
# packed, drills only if they are there. INPUTS holds inputs.part* and, from the second step on, run.part*; where a
# transfer is smaller than all of them, bring them one by one. OUT receives run.part*, 15 MiB each, whatever becomes of
# the step. MINUTES is a whole number, 3 or more.
# Exit code 0: done; 3: the same step goes on; else an error.
#
# The next default model on a GPU, with all layers and more groups of each prompt, and a sweep of which dev chooses; RUN
# names a run of several in one archive. DATA needs drills, which `make train-default` leaves in RUN/data beside criteria.
# With the base (93 MB as a wheel) INPUTS has five parts or six: two transfers of at most 64 MiB bring them.
#   GPU=(--recipe rm-smollm2-135m-v2 --set adapter.layers=null --set expansion.trees_per_prompt=2
#        --set optimisation.batch_pairs=48 --set optimisation.max_path_tokens=4096 --set optimisation.tokens_per_pass=32768)
#   step INPUTS OUT 9 rate-1e-3 --until dev "${GPU[@]}" --set optimisation.learning_rate=1e-3    until it ends with 0,
#   keep OUT INPUTS                                              after every step; then the same for 3e-4 and for 3e-3
# The run with the best run/RUN/evaluation.json goes on without --until; `cat OUT/run.part* | tar --extract --gzip` and
# `make ship-model RUN=run/RUN` end it.
set -euo pipefail

PACKING_S=45 # at the end of a step
STARTING_S=40 # until the training looks at the time, and from there to a checkpoint

pack() {
  local wheel=$1 wheels=$2 data=$3 inputs=$4 stage part
  stage=$(mktemp -d)
  mkdir -p "$stage/base" "$stage/wheels" "$inputs"
  cp "$wheel" "$stage/base/"
  if compgen -G "$wheels/*.whl" >/dev/null; then cp "$wheels"/*.whl "$stage/wheels/"; fi
  python -m pip wheel --quiet --no-deps --wheel-dir "$stage/wheels" "$(dirname "${BASH_SOURCE[0]}")/../.."
  for part in criteria drills; do
    if compgen -G "$data/$part/*.jsonl.gz" >/dev/null; then
      mkdir -p "$stage/data/$part"
      cp "$data/$part"/*.jsonl.gz "$stage/data/$part/"
    fi
  done
  rm -f "$inputs"/inputs.part*
  tar --create --gzip --directory "$stage" . | split --bytes 24M - "$inputs/inputs.part"
  rm -r "$stage"
}

step() {
  local inputs=$1 minutes=$3 run=$4 code=0
  out=$2 work=$(mktemp -d) # not local: the trap reads them
  shift 4
  if compgen -G "$inputs/run.part*" >/dev/null; then cat "$inputs"/run.part* | tar --extract --gzip --directory "$work"; fi
  trap gather EXIT
  cat "$inputs"/inputs.part* | tar --extract --gzip --directory "$work"
  export PIP_NO_INDEX=1 PIP_FIND_LINKS="$work/base"
  python -m pip install --quiet --no-deps --target "$work/site" "$work"/wheels/*.whl
  local left_s=$((minutes * 60 - SECONDS - PACKING_S - STARTING_S))
  if ((left_s <= 0)); then
    echo "train_in_steps: $minutes minutes leave no time to train; give 3 or more" >&2
    return 2
  fi
  PYTHONPATH="$work/site" timeout --foreground "$((left_s + STARTING_S))" python -m promedical_trainer.cli rm \
    --data "$work/data" --output "$work/run/$run" --minutes "$(python -c "print($left_s / 60)")" "$@" || code=$?
  if ((code == 124)); then echo "train_in_steps: cut off; give more minutes, or save_every fewer steps" >&2; fi
  return "$code"
}

gather() {
  mkdir -p "$out" "$work/run"
  rm -f "$out"/run.part*
  tar --create --gzip --directory "$work" run | split --bytes 15M - "$out/run.part"
  rm -r "$work"
}

keep() {
  cat "$1"/run.part* | tar --list --gzip >/dev/null # whole, or nothing is replaced
  rm -f "$2"/run.part*
  cp "$1"/run.part* "$2/"
}

"$@"
