# Sekisho. `make help` lists what can be made; `make test` is the one command
# that runs every test.

GO      ?= go
TOOL     = $(GO) tool -modfile=tools/go.mod
FUZZTIME ?= 30s
WALKS    ?= 10000
SEED     ?= 0
ROWS     ?= F1 F2 F3 F5 F6 F7 F8 F9 F10 F11 F12 F13 F14 F15 F20

.DEFAULT_GOAL := help
.PHONY: help run demo demo-check pictures build deb reproducible prerequisites test test-postgres test-pkcs11 test-fast race lint fuzz walk e2e faults bench cover vulnerabilities check

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## start the example group and open its page on http://localhost:4401
	$(GO) run ./cmd/sekisho demo

pictures: ## pictures of every page, light and dark, of desktop and phone, into PICTURES=dist/pictures
	@mkdir -p $(or $(PICTURES),dist/pictures)
	SEKISHO_PICTURES=$(abspath $(or $(PICTURES),dist/pictures)) $(GO) test ./internal/signin -run Chromium -count 1
	SEKISHO_PICTURES=$(abspath $(or $(PICTURES),dist/pictures)) $(GO) test ./e2e -run UpstreamInChromium -count 1

demo-check: ## play every scenario of the example group and verify it
	$(GO) run ./cmd/sekisho demo --check

run: ## start the authorization server alone in dev mode on http://localhost:8080
	@cd docs/examples/quickstart && for name in market crypto; do \
		test -e $$name.secret || $(GO) run ../../../cmd/sekisho generate client-secret | sed -n 's/^secret .*: //p' >$$name.secret; done
	$(GO) run ./cmd/sekisho serve --dev --group docs/examples/quickstart/group.yaml

build: ## build bin/sekisho, static, without cgo
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=auto -ldflags '-s -w' -o bin/sekisho ./cmd/sekisho

deb: build ## build bin/sekisho_VERSION_ARCH.deb
	scripts/deb bin/sekisho bin

reproducible: ## build the last commit twice, in two places, and compare
	scripts/reproducible

prerequisites: ## install what the tests need beside Go (Debian packages: browser, database, web servers), or say what is missing
	@scripts/prerequisites

test: prerequisites ## every test, with the race detector, then those with a database again on PostgreSQL
	$(GO) vet ./...
	$(GO) test -race -timeout 15m ./...
	$(MAKE) --no-print-directory test-postgres
	$(MAKE) --no-print-directory test-pkcs11

test-pkcs11: ## key-encryption keys in a hardware security module, on softhsm2 (cgo)
	@if command -v $${CC:-cc} >/dev/null; then CGO_ENABLED=1 $(GO) test -tags pkcs11 -run 'Module' ./internal/secret ./cmd/sekisho; \
		else echo "no C compiler: the tests of PKCS#11 are skipped"; fi

test-postgres: ## the tests of every room with a database, on PostgreSQL
	scripts/with-postgres $(GO) test -timeout 15m $$($(GO) list -f '{{range .XTestImports}}{{if eq . "github.com/sekisho-id/sekisho/internal/dbtest"}}{{$$.ImportPath}}{{end}}{{end}}' ./internal/...)

test-fast: ## every test that needs nothing beside Go, without the race detector
	$(GO) test -short ./...

race: test ## the same as test

lint: ## format, vet, staticcheck
	@unformatted=$$($(TOOL) gofumpt -l .); test -z "$$unformatted" || { echo "not formatted (gofumpt):"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(TOOL) staticcheck ./...

vulnerabilities: ## govulncheck against the Go vulnerability database (VULNDB=file:///path for an offline copy)
	$(TOOL) govulncheck $(if $(VULNDB),-db $(VULNDB)) ./...

fuzz: ## every fuzz target for FUZZTIME each (30s)
	@scripts/fuzz $(FUZZTIME)

walk: ## 10,000 random walks of the whole server beside its model (WALKS=, SEED=)
	$(GO) test -v -timeout 2h -run TestWalks ./internal/walk -walks $(WALKS) -seed $(SEED)

e2e: prerequisites ## the black-box tests alone
	$(GO) test -race ./e2e/... ./demo/...

faults: ## rows of the reliability programme, short (ROWS="F1 F2"; FULL=1 for all of it; ROWS=mutants for servers with a fault)
	$(GO) run ./faultlab $(if $(FULL),,-short) $(ROWS)

bench: ## what the hot paths cost beside their floors, then the benchmarks of the packages
	$(GO) test -run '^$$' -bench 'Cost|Proof|Events|Durable|TwoProcesses' -benchtime 1x ./e2e
	$(GO) test -run '^$$' -bench . -benchmem -cpu 1 ./internal/... ./sdk/...

cover: ## coverage of the packages that decide about tokens
	$(GO) test -cover ./internal/token ./internal/grant ./internal/mint ./internal/pairwise ./internal/registry ./internal/signin ./internal/subjects

check: lint test demo-check ## what continuous integration runs
