# pullgate. `make` lists the targets.
SHELL := /bin/bash -euo pipefail
.DELETE_ON_ERROR:
.PHONY: help demo test conformance differential fuzz bench bench-check lint audit build release deb rpm reproducible install-test-deps

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z -]+:.*## / { printf "%-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: install-test-deps build ## Sign, pull and refuse images through pullgated and a private containerd
	@# Where systemd runs, the package's units are shown, on a Debian booted for it.
	cargo run --quiet --package pullgate-tests --bin demo $(if $(wildcard /run/systemd/system),node)

test: install-test-deps build ## Install what the tests need and run all of them
	cargo test --workspace
	@tests/setup/not-run

conformance: build ## Run the corpus of PULLGATE_CONFORMANCE_DIR (default ../shared/conformance)
	cargo test --package pullgate-tests --test conformance -- --nocapture

differential: install-test-deps build ## Compare PULLGATE_DIFF_CASES (default 2000) random cases with skopeo
	cargo test --package pullgate-tests --test differential -- --nocapture

fuzz: ## Feed each parser of foreign bytes for PULLGATE_FUZZ_SECONDS (default 600); takes a nightly compiler
	tests/fuzz/run

bench: install-test-deps release ## Measure pulls, hashing and decisions against containerd, openssl, skopeo and cosign
	cargo run --quiet --release --package pullgate-tests --bin measure

bench-check: bench ## Measure, and fail where a ratio is worse than the committed one by more than noise
	cargo run --quiet --release --package pullgate-tests --bin measure check

lint: ## Check the formatting and run clippy
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings

audit: ## Check the dependencies: advisories, licences, bans, sources
	command -v cargo-deny > /dev/null || cargo install --locked cargo-deny
	cargo deny check

build: ## Build everything unoptimised
	cargo build --workspace

release: ## Build the programs optimised
	cargo build --release --package pullgate

deb rpm: release target/manual ## Make the package for Debian, or the RPM, in target/package
	packaging/$@ target/release target/manual target/package

reproducible: target/manual ## Make the packages twice, in two folders, and compare their bytes
	packaging/reproduce target/manual

.PHONY: target/manual
target/manual:
	cargo run --quiet --package pullgate-tests --bin manual packaging/config.toml $@

install-test-deps: ## Install what the build and the tests need (Debian, as root)
	tests/setup/install
