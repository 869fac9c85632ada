# The commands of everyday work. `make` alone lists them.

# A build asks no database; queries are checked against .sqlx/.
export SQLX_OFFLINE := true
program := $(or $(CARGO_TARGET_DIR),target)/debug/counterfoil

.PHONY: help packages build run test simulate check-openapi check-sql

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

packages: ## install PostgreSQL and nats-server, or print the commands to type
	@scripts/ensure-packages

build: packages ## build the program
	cargo build --locked

run: build ## run everything here, with a demo tenant and traffic; ctrl-C stops it
	@$(program) up --demo

test: packages ## run all tests, on private servers
	env -u DATABASE_URL -u NATS_URL cargo test --locked --workspace

simulate: ## run simulated worlds for SIMULATE_SECONDS (60), or the one of SIMULATE_SEED
	cargo test --locked --release --test simulation -- --ignored --nocapture

check-openapi: ## compare docs/openapi.json with the API
	@scripts/check-openapi

check-sql: packages ## compare .sqlx/ with the queries and the migrations
	@env -u DATABASE_URL scripts/check-sql
