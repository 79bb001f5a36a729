# `make` alone lists the targets. `make demo` and `make test` work on a fresh Debian or Ubuntu with Rust and git.

# The types of every SQL query are committed in .sqlx: no build asks a database, whatever .env says.
export SQLX_OFFLINE = true

.DEFAULT_GOAL := help
.PHONY: help demo run test fmt clippy sqlx-check sqlx-prepare docs-check deploy-check deploy-write api-check bench browser-check card-check chaos

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Investigate a recorded cluster's alerts here and now (ARGS=--exit ends by itself)
	@sh scripts/install demo
	cargo run --locked -- demo $(ARGS)

run: ## Serve with config/whodunit.yaml (ARGS="--config FILE" for another)
	cargo run --locked -- serve $(or $(ARGS),--config config/whodunit.yaml)

test: ## Everything that must pass: formatting, lints, SQL types, all tests
	@sh scripts/install
	@$(MAKE) --no-print-directory fmt clippy sqlx-check
	@echo "== cargo test"
	cargo test --locked

fmt: ## Fail on unformatted code
	@echo "== cargo fmt"
	cargo fmt --all --check

clippy: ## Fail on any warning
	@echo "== cargo clippy"
	cargo clippy --all-targets --locked -- -D warnings

sqlx-check: ## Fail if .sqlx is not what the queries and migrations say
	@echo "== .sqlx"
	bash scripts/sqlx-prepare --check

sqlx-prepare: ## Write .sqlx anew, after a change of a query or a migration
	bash scripts/sqlx-prepare

docs-check: ## Fail on a dead link in the docs, or a generated page that is out of date
	@if command -v python3 >/dev/null; then python3 scripts/docs-check; else echo "docs-check: SKIPPED: no python3"; fi

deploy-check: ## Render and validate the chart and kustomize; hold roles, pods, alerts, metrics
	@bash scripts/deploy-check

deploy-write: ## Write what is derived: the definition of InvestigationPolicy, kustomize, the settings' reference, the list of crates
	@bash scripts/deploy-check --write
	scripts/config-reference
	scripts/third-party

bench: ## Print the figures of the whole line on this machine
	@sh scripts/install demo
	cargo bench --locked --bench line

browser-check: ## Read the pages in a headless Chromium; screenshots in target/browser
	@sh scripts/install
	sh scripts/browser-check

chaos: ## Kill, stop and cut off whodunit and what it depends on, for hours (ARGS="--scenario kill --seed 7")
	@sh scripts/install
	cargo test --profile bench --locked --test chaos -- --long $(ARGS)

card-check: ## Read the cards for Microsoft Teams with the published parser (needs node and the package index)
	bash scripts/card-check

api-check: ## Test the demo's API against its own description (needs Python and the package index)
	@sh scripts/install demo
	bash scripts/schemathesis $(ARGS)
