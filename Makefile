# The menu. `make` alone prints it; the work is in scripts/ and in cargo.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# What a target brings in stays in this folder.
TOOLS := .tools
DENY := $(TOOLS)/bin/cargo-deny
MUTANTS := $(TOOLS)/bin/cargo-mutants
STAGE := scripts/stage

# Where nothing is ever built twice, what cargo keeps for the next time only costs.
ifdef CI
export CARGO_INCREMENTAL := 0
endif

CLIPPY := cargo clippy --workspace --all-targets --locked -- -D warnings
# The few lines that only tests may have.
CLIPPY_TESTS := cargo clippy --workspace --all-targets --locked --features redcast/echo,redcast/faults -- -D warnings
# An allowed arrow that nobody has drawn yet is no finding.
CHECK_DENY := $(DENY) --locked check -A unused-wrapper bans licenses sources

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Build and start a live dashboard with demo traffic (REDCAST_REDIS__URL=... for a real Redis)
	@cargo build --release --locked -p redcast -p redcast-producer
	@exec scripts/run

.PHONY: up-local
up-local: ## Start what compose starts, without containers: Redis, two gateways, HAProxy, Prometheus, the producer
	@scripts/install-deploy-tools
	@cargo build --release --locked -p redcast -p redcast-producer
	@exec scripts/up-local

.PHONY: up
up: ## Start docker-compose.yml with Prometheus and Grafana
	@REDCAST_COMMIT=$$(git rev-parse HEAD) docker compose --profile observability up --build --wait
	@echo 'http://127.0.0.1:8080 the page, http://127.0.0.1:3000 Grafana, http://127.0.0.1:9090 Prometheus; make down stops all'

.PHONY: down
down: ## Stop what `make up` has started
	@docker compose --profile '*' down

.PHONY: size
size: ## Print the size of both programs without symbols; fail above 18 MB
	@cargo build --release --locked -p redcast -p redcast-producer
	@scripts/size

.PHONY: chart
chart: ## Check the Helm chart (PART=refused for some of it) and renew its README from values.yaml
	@scripts/install-deploy-tools
	@scripts/helm/readme
	@cargo build --locked -p redcast
	@scripts/helm/run $(PART)

.PHONY: dashboards
dashboards: ## Make the Grafana dashboards anew from scripts/deploy, and draw what their panels show into docs/dashboards
	@scripts/install-deploy-tools
	@scripts/deploy/make-dashboards
	@cargo build --locked -p redcast -p redcast-producer
	@scripts/deploy/pictures

.PHONY: test
test: ## Install what the tests need, then run every check and every test
	@scripts/install-test-tools
	@scripts/install-page-tools
	@scripts/install-producers-doc
	@scripts/install-deploy-tools
	@$(STAGE) format cargo fmt --all --check
	@# All targets at once, so that each dependency is compiled with one set of features.
	@$(STAGE) build cargo build --workspace --all-targets --locked
	@# Before the tests: it leaves the ordinary gateway behind for them.
	@$(STAGE) build-2 scripts/build-test-gateway
	@$(MAKE) --no-print-directory -j2 --output-sync=line test-lint test-page
	@$(MAKE) --no-print-directory -j2 --output-sync=line test-around test-programs

# Tests wait more than they compute. What has no deadline to keep runs beside them, with
# the processor time that they leave.
ASIDE := $(shell chrt --idle 0 true 2>/dev/null && echo chrt --idle 0)

# Not beside the programs: cargo would wait for it.
.PHONY: test-lint
test-lint:
	@$(STAGE) clippy $(ASIDE) $(CLIPPY)
	@$(STAGE) clippy-2 $(ASIDE) $(CLIPPY_TESTS)

.PHONY: test-page
test-page:
	@# `make page` runs it, too.
	@$(STAGE) page scripts/page/run
	@# What operators will look at, asked of a real Prometheus. No alert may be near.
	@$(STAGE) live scripts/deploy/live

.PHONY: test-around
test-around:
	@# Without the slowest cases; `make autobahn` runs them all.
	@$(STAGE) autobahn $(ASIDE) scripts/autobahn --quick
	@$(STAGE) tools $(ASIDE) scripts/install-cargo-tool cargo-deny 0.20.2
	@$(STAGE) deny $(ASIDE) $(CHECK_DENY)
	@$(STAGE) web $(ASIDE) scripts/web --check
	@$(STAGE) deploy $(ASIDE) scripts/deploy/run
	@$(STAGE) helm $(ASIDE) scripts/helm/run
	@$(STAGE) examples $(ASIDE) scripts/producers-doc
	@$(STAGE) api-docs $(ASIDE) scripts/api-docs

# More at a time than there are processors, as most of them wait for a deadline.
.PHONY: test-programs
test-programs:
	@GATEWAY_BIN=$(CURDIR)/target/debug/redcast GATEWAY_FAULTS_BIN=$(CURDIR)/target/test-gateway/redcast \
		RUST_TEST_THREADS=4 $(STAGE) tests cargo test --workspace --locked --no-fail-fast

.PHONY: web
web: ## Build the dashboard from crates/edge/web into crates/edge/assets/page
	@scripts/web

.PHONY: autobahn
autobahn: ## Run the conformance suite of RFC 6455 and 7692 against the gateway, and name what differs
	@$(STAGE) build-2 scripts/build-test-gateway
	@scripts/autobahn

.PHONY: first-minute
first-minute: ## Prove that Python, Node and a browser receive what redis-cli publishes
	@scripts/install-first-minute-tools
	@cargo build --release --locked -p redcast
	@scripts/first-minute/run

.PHONY: page
page: ## Prove the page in a browser (CHAPTERS="load hostile" for some of it)
	@scripts/install-page-tools
	@cargo build --locked -p redcast -p redcast-producer
	@scripts/page/run $(CHAPTERS)

.PHONY: bench
bench: ## Measure cost per delivery, throughput and memory against the floor; draw docs/benchmarks
	@cargo build --release --locked -p redcast -p redcast-bench
	@mkdir -p target/bench
	@target/release/redcast-bench run --json target/bench/bench.json
	@target/release/redcast-bench plot target/bench/bench.json --into docs/benchmarks

.PHONY: bench-browser
bench-browser: ## Measure the page in a browser: from PUBLISH to pixels, and its longest task at 1,000 events a second
	@scripts/install-page-tools
	@cargo build --release --locked -p redcast
	@scripts/bench-browser/run

.PHONY: bench-peers
bench-peers: ## Measure other servers that a package brings beside the gateway and the floor; draw docs/benchmarks/peers
	@scripts/install-bench-peers
	@cargo build --release --locked -p redcast
	@cargo build --release --locked -p redcast-bench --bin redcast-bench --example axum-hub
	@mkdir -p target/bench
	@target/release/redcast-bench run --peers all --only a,b1,b2,e,f --rounds 3 --json target/bench/peers.json
	@target/release/redcast-bench plot target/bench/peers.json --into docs/benchmarks/peers

.PHONY: bench-collect
bench-collect: ## Measure how many page views a second the collector accepts on one core; draw docs/benchmarks/collect
	@cargo build --release --locked -p redcast-producer -p redcast-bench
	@mkdir -p target/bench
	@# A bar that is missed is drawn, too.
	@rm -f target/bench/collect.json
	@status=0; target/release/redcast-bench collect --json target/bench/collect.json || status=$$?; \
		if [ -e target/bench/collect.json ]; then \
			target/release/redcast-bench plot target/bench/collect.json --into docs/benchmarks/collect; fi; \
		exit $$status

.PHONY: bench-redis
bench-redis: ## Measure what an event costs one Redis, nodes, Cluster and streams, and the gateways; fill the table of docs/REDIS.md
	@cargo build --release --locked -p redcast -p redcast-e2e --bins
	@GATEWAY_BIN=$(CURDIR)/target/release/redcast target/release/redis-limits \
		--json target/bench/redis.json --markdown docs/REDIS.md

.PHONY: bench-snapshot
bench-snapshot: ## Measure what a heartbeat to 10,000 clients costs the gateway; draw docs/benchmarks/snapshot
	@cargo build --release --locked -p redcast -p redcast-bench
	@mkdir -p target/bench
	@rm -f target/bench/snapshot.json
	@status=0; target/release/redcast-bench snapshot --json target/bench/snapshot.json || status=$$?; \
		if [ -e target/bench/snapshot.json ]; then \
			target/release/redcast-bench plot target/bench/snapshot.json --into docs/benchmarks/snapshot; fi; \
		exit $$status

.PHONY: chaos
chaos: ## Break Redis, the network and gateways under load; print what each fault cost beside its bar (ROWS, SEED, MINUTES; DOCS=1 puts the table into docs/GUARANTEES.md)
	@scripts/install-test-tools
	@cargo build --release --locked -p redcast -p redcast-e2e --bins
	@GATEWAY_BIN=$(CURDIR)/target/release/redcast ROWS="$(ROWS)" SEED="$(SEED)" MINUTES="$(MINUTES)" \
		target/release/chaos --json target/chaos/chaos.json $(if $(DOCS),--into docs/GUARANTEES.md)

.PHONY: mutants
mutants: ## Break protocol, wire and hub on purpose and list what no test noticed (40 minutes at most)
	@$(STAGE) tools scripts/install-cargo-tool cargo-mutants 27.1.0
	@scripts/mutants $(MUTANTS)

.PHONY: fuzz
fuzz: ## Feed frames, compressed data, commands, cursors and configurations with what nobody meant (FUZZ_SECONDS=60 each)
	@scripts/fuzz

.PHONY: docs
docs: ## Renew the documents that are made of the code
	@cargo build --locked -p redcast
	@target/debug/redcast config-schema > docs/config.schema.json
	@target/debug/redcast config-schema --markdown > docs/CONFIGURATION.md

.PHONY: fmt
fmt: ## Format the code
	@cargo fmt --all

.PHONY: lint
lint: ## Run clippy as the tests do
	@$(CLIPPY)
	@$(CLIPPY_TESTS)

.PHONY: deny
deny: ## Check walls between rooms, licences and sources
	@$(STAGE) tools scripts/install-cargo-tool cargo-deny 0.20.2
	@$(CHECK_DENY)

.PHONY: advisories
advisories: ## Check dependencies for known vulnerabilities (fetches the RustSec database)
	@$(STAGE) tools scripts/install-cargo-tool cargo-deny 0.20.2
	@$(DENY) --locked check advisories

.PHONY: clean
clean: ## Remove everything that was built
	@cargo clean

.PHONY: clean-tools
clean-tools: ## Remove the tools that make installed in .tools
	@rm -rf $(TOOLS)
