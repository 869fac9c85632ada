# The commands of everyday work. `make` alone lists them.

# A build asks no database; queries are checked against .sqlx/.
export SQLX_OFFLINE := true
target := $(or $(CARGO_TARGET_DIR),target)
program := $(target)/debug/counterfoil
bench := $(target)/release/bench --out $(target)/bench

.PHONY: help packages test-packages build run test test-api test-faults test-sdk test-trace simulate mutants build-bench bench bench-quick \
  bench-long bench-publish check-openapi check-sql

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

packages: ## install PostgreSQL and nats-server, or print the commands to type
	@scripts/ensure-packages

test-packages: ## the same, and Python for the tests of the gateway
	@scripts/ensure-packages --tests

build: packages ## build the program
	cargo build --locked

run: build ## run everything here, with a demo tenant and traffic; ctrl-C stops it
	@$(program) up --demo

test: test-packages ## run all tests, on private servers
	env -u DATABASE_URL -u NATS_URL cargo test --locked

test-sdk: build ## call the gateway with the SDKs of OpenAI, Anthropic and Google
	@env -u DATABASE_URL -u NATS_URL scripts/test-sdk

test-trace: test-packages ## import 50,000 calls, and compare what the analytics say with the file; some minutes
	env -u DATABASE_URL -u NATS_URL cargo test --locked --test calls published -- --ignored --nocapture

test-api: build ## ask the served API all that its description allows and more, with Schemathesis, in three minutes
	@scripts/test-tools
	@env -u DATABASE_URL -u NATS_URL scripts/test-api

build-bench: packages
	cargo build --locked --release -p counterfoil -p counterfoil-bench

bench: build-bench ## measure everything beside the database's limits and other ledgers, in half an hour
	@env -u DATABASE_URL -u NATS_URL $(bench)

bench-quick: build-bench ## the same in three minutes, with fewer cases
	@env -u DATABASE_URL -u NATS_URL $(bench) --quick

bench-long: build-bench ## the same with ledgers of up to ten million wallets
	@env -u DATABASE_URL -u NATS_URL $(bench) --long

bench-publish: ## put the last run into docs/PERFORMANCE.md
	@$(bench) --publish docs/PERFORMANCE.md

test-faults: packages ## kill everything 1,000 times (FAULT_KILLS) under load, from FAULT_SEED on; half an hour, release build
	env -u DATABASE_URL -u NATS_URL FAULT_KILLS=$(or $(FAULT_KILLS),1000) FAULT_SEED=$(FAULT_SEED) \
	  cargo test --locked --release --test faults nothing_is_lost_whatever_is_killed -- --nocapture

mutants: packages ## break the program on purpose, and see that the tests notice
	@scripts/mutants

simulate: ## run simulated worlds for SIMULATE_SECONDS (60), or the one of SIMULATE_SEED
	cargo test --locked --release --test simulation -- --ignored --nocapture

check-openapi: ## compare docs/openapi.json with the API
	@scripts/check-openapi

check-sql: packages ## compare .sqlx/ with the queries and the migrations
	@env -u DATABASE_URL scripts/check-sql
