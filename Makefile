# make run   the daemon on the example config, with all it needs
# make test  lint, types and the whole suite
# make faults  the long campaigns of docs/faults.md: hours
# make audit  known advisories about all that is pinned; make sbom writes a bill of materials to var/sbom.json
# make contract  what /v1/openapi.json says, tried at length on a running daemon (EXAMPLES=300)
# make hunt  the tests with random histories, under a fresh seed and with many more of them
# make soak  twenty virtual days of the daemon's life, and whether memory and database stay as they are
# make simulate  the whole daemon under 5,000 seeds with faults, and the bugs planted to prove that they are found
#
# Everything lands in .venv; what is installed is pinned with hashes by the requirements files, and nothing else is
# fetched. Both commands are quick when nothing changed: a stamp in .venv is newer than what it was made from.

VENV := .venv
PIP  := $(VENV)/bin/python -m pip --disable-pip-version-check
# The first interpreter that is new enough; `make PYTHON=/path/to/python3.13 run` to choose.
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,\
	$(shell $(name) -c 'import sys; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))
CODE := imd tests $(wildcard benchmarks)

FAULTS := tests/faults tests/system/test_kill.py tests/system/test_store_failure.py tests/store/test_failures.py \
	tests/store/test_kill.py tests/store/test_refusals.py tests/store/test_upkeep.py

SEEDS ?= 5000

.PHONY: run test faults hunt simulate soak lint schemas contract audit sbom bench lock clean help
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# make /make /p' Makefile

run: $(VENV)/run.stamp
	@mkdir -p var
	@echo 'imd starts on config.example.yaml; pages are printed here, its database is var/imd.db.'
	@echo 'Send it a first alert from another terminal, in this folder:'
	@echo '    $(VENV)/bin/imd send DiskFull instance=db1 severity=critical --annotation summary="2% left on /var"'
	@echo 'or, as Prometheus does:'
	@echo "    curl -H 'Content-Type: application/json' http://127.0.0.1:9490/api/v2/alerts \\"
	@echo "         -d '[{\"labels\": {\"alertname\": \"DiskFull\", \"instance\": \"db1\", \"severity\": \"critical\"}}]'"
	@echo 'and look at it: $(VENV)/bin/imd incidents    Stop with Ctrl-C.'
	@exec $(VENV)/bin/imd serve --config config.example.yaml

test: lint
	$(VENV)/bin/python -m pytest $(ARGS)

faults: $(VENV)/dev.stamp
	IMD_FAULTS=long IMD_KILL_CYCLES=$${IMD_KILL_CYCLES:-500} $(VENV)/bin/python -m pytest -o faulthandler_timeout=0 $(FAULTS) $(ARGS)

lint: $(VENV)/dev.stamp
	$(VENV)/bin/ruff check $(CODE)
	$(VENV)/bin/ruff format --check $(CODE)
	$(VENV)/bin/mypy

hunt: $(VENV)/dev.stamp
	$(VENV)/bin/python -m tests.hunting $(ARGS)

schemas: $(VENV)/run.stamp
	for kind in config rules tests; do $(VENV)/bin/imd schema $$kind > schemas/$$kind.json || exit 1; done

contract: $(VENV)/dev.stamp
	IMD_SCHEMATHESIS_EXAMPLES=$${EXAMPLES:-300} $(VENV)/bin/python -m pytest tests/system/test_openapi.py

audit: $(VENV)/dev.stamp
	$(VENV)/bin/python -m pip_audit --strict --require-hashes --disable-pip -r requirements.txt

sbom: $(VENV)/dev.stamp
	@mkdir -p var
	$(VENV)/bin/python -m cyclonedx_py requirements requirements.txt --pyproject pyproject.toml --output-reproducible -o var/sbom.json

bench: $(VENV)/dev.stamp
	$(VENV)/bin/python -m benchmarks $(ARGS)

soak: $(VENV)/dev.stamp
	$(VENV)/bin/python -m tests.simulation.soak $(ARGS)

simulate: $(VENV)/dev.stamp
	$(VENV)/bin/python -m tests.simulation --seeds $(SEEDS) $(ARGS)
	$(VENV)/bin/python -m tests.simulation --planted --seeds 2000

# compileall: an editable install compiles nothing, and where PYTHONDONTWRITEBYTECODE is set every command would do so anew.
# --no-build-isolation: the package is built by the hatchling of requirements-build.txt, not by one fetched unpinned.
$(VENV)/run.stamp: requirements.txt requirements-build.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) install -qq --require-hashes -r requirements-build.txt -r requirements.txt
	$(PIP) install -qq --no-build-isolation --no-deps --no-index -e .
	$(VENV)/bin/python -m compileall -q imd
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/run.stamp
	$(PIP) install -qq --require-hashes -r requirements-dev.txt
	@touch $@

$(VENV)/bin/python:
	@test -n '$(PYTHON)' || { echo 'imd needs Python 3.11 or newer, and none was found as python3, python3.13,' \
		'python3.12 or python3.11. Install one (Debian 12: apt install python3-venv), or name yours:' \
		'make PYTHON=/path/to/python3.13 run' >&2; exit 1; }
	@'$(PYTHON)' -c 'import ensurepip' 2>/dev/null || { echo '$(PYTHON) cannot make virtual environments:' \
		'its ensurepip is missing. On Debian: apt install python3-venv' >&2; exit 1; }
	'$(PYTHON)' -m venv --clear $(VENV)

# Newest versions that pyproject.toml allows, with the hashes of all their files. uv reads the registry that pip is set
# up with and must not write its address down; tests/test_house.py watches over that.
COMPILE = var/lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header

lock:
	'$(PYTHON)' -m venv --clear var/lock
	var/lock/bin/python -m pip --disable-pip-version-check install --quiet uv
	echo 'hatchling>=1.33' | $(COMPILE) - -o requirements-build.txt
	$(COMPILE) pyproject.toml -c requirements-build.txt -o requirements.txt
	$(COMPILE) pyproject.toml --extra dev -c requirements-build.txt -c requirements.txt -o requirements-dev.txt
	rm -rf var/lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	find imd tests -name __pycache__ -type d -prune -exec rm -rf {} +
