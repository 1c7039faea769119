.PHONY: check test
check:  ## what CI runs before the tests
	ruff check .
	ruff format --check .
	mypy
	python .ci/check_versions.py

test:
	pytest
