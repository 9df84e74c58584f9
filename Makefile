# The menu. Each line calls one thing; what it does is there, not here.
# Settings: KUBECONFIG (quickstart: a cluster of yours), MOORAGE_CACHE (downloads and tools, default ~/.cache/moorage).

# Only one named on this command line: that a shell has one set does not mean that we may install something in it.
KUBECONFIG_CHOSEN = $(if $(findstring command,$(origin KUBECONFIG)),$(KUBECONFIG))

.DEFAULT_GOAL := help
.PHONY: help quickstart quickstart-down test check fmt clippy deny generated scripts images crds clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

quickstart: ## a local cluster, the operator, a registry, and an image pushed to it
	@tests/quickstart up $(KUBECONFIG_CHOSEN)

quickstart-down: ## undo quickstart
	@tests/quickstart down $(KUBECONFIG_CHOSEN)

test: ## every test, with all its set-up; says what it left out, and why
	@tests/run

check: fmt clippy deny generated scripts ## what needs no cluster and no test run

fmt: ## is the code formatted?
	@cargo fmt --all --check

clippy: ## lints, warnings are errors
	@cargo clippy --workspace --all-targets -- -D warnings

deny: ## licenses, sources and duplicates of the dependencies
	@tests/tools/cargo-deny check bans licenses sources

generated: ## are the generated files what the code would generate?
	@cargo run --quiet -p moorage-crds -- --check crds/containerregistries.yaml

scripts: ## shellcheck, where it is installed
	@tests/tools/shellcheck

images: ## the container images, as archives in cargo's target folder
	@cargo run --quiet -p moorage-images -- build

crds: ## write the custom resource definition from its types
	@cargo run --quiet -p moorage-crds > crds/.new.yaml && mv crds/.new.yaml crds/containerregistries.yaml

clean: ## remove what was built here (the cache folder stays)
	@cargo clean
