# The two main commands: "make demo" shows the product on real servers, "make test" runs all tests.
SHELL := bash
.DEFAULT_GOAL := help
BIN := .build/bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
MODULES := . test/e2e
comma := ,
MODULES_LIST := $(subst $() $(),$(comma),$(MODULES))

# Module istiod has all of Istio as dependencies. Without cgo, the race detector and -trimpath, their packages are in Go's
# cache since "make tools".
TEST_ISTIOD = CGO_ENABLED=0 $(BIN)/report istiod ./...

# The race detector needs a C compiler. With CI=true a missing compiler is an error.
CC_FOUND := $(shell command -v $$(go env CC) 2>/dev/null)
RACE := $(if $(CC_FOUND),-race,)

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

.PHONY: tools
tools: ## Build the real servers for tests and demo, and get Envoy (cached)
	@tools/build.sh

.PHONY: build
build: ## Build isthmus into .build/bin
	@mkdir -p $(BIN)
	@CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X github.com/isthmus-mesh/isthmus/internal/cli.version=$(VERSION)" -o $(BIN)/isthmus ./cmd/isthmus
	@CGO_ENABLED=0 go build -trimpath -o $(BIN)/ ./demo ./demo/student-service

.PHONY: istiod
istiod: ## Build isthmus-istiod, istiod with Consul as a registry, into .build/bin
	@mkdir -p $(BIN)
	@cd istiod && CGO_ENABLED=0 go build -ldflags "-s -w -X istio.io/istio/pkg/version.buildVersion=isthmus-$(VERSION)" -o $(CURDIR)/$(BIN)/ ./cmd/isthmus-istiod

.PHONY: demo
demo: tools build ## Show the product on real servers; OUTPUT=xds, KEEP=1 and ENVOY=path are options
	@$(BIN)/demo

.PHONY: test
test: tools build istiod report ## Run all tests, with a summary of the skipped ones at the end
	@if [ -z "$(RACE)" ]; then echo "no C compiler: tests run without the race detector"; [ "$$CI" != true ]; fi
	@result=0; $(BIN)/report $(MODULES_LIST) $(RACE) -timeout 25m ./... || result=1; \
	$(TEST_ISTIOD) || result=1; exit $$result

# Old versions of Consul, each a folder in tools. "make test" uses the version in tools/consul.
CONSUL_VERSIONS ?= 1.8 1.14
CONSUL_TESTS := ^(TestConsul|TestConsulACL|TestConsulSelection|TestConsulFilterAndACL|TestRealCatalogsOnServer|TestUnwatchedServices|TestUnwatchedServicesACL|TestClientAgentLosesItsServers|TestRemoteDatacenterDies|TestAnonymousTokenBehindAClientAgent|TestTokenOfAnotherDatacenter|TestTroubleEndsWithTheSelection)$$
CONSUL_E2E_TESTS := ^(TestEachChange|TestRename|TestOneIDOnTwoNodes|TestSeveralPorts|TestWildNames|TestLostCatalog|TestStartWithoutConsul|TestDNSAnswersAsConsul|TestXDS|TestXDSRestarts)$$

.PHONY: test-consul-versions
test-consul-versions: tools build report ## Run the tests that read Consul with the old versions in CONSUL_VERSIONS
	@for version in $(CONSUL_VERSIONS); do \
		tools/build.sh consul-$$version || exit 1; export CONSUL=$(CURDIR)/$(BIN)/consul-$$version; \
		echo "Consul $$version: the source"; $(BIN)/report . -run '$(CONSUL_TESTS)' -count 1 -timeout 10m ./internal/consul || exit 1; \
		echo "Consul $$version: end to end"; $(BIN)/report test/e2e -run '$(CONSUL_E2E_TESTS)' -count 1 -timeout 10m . || exit 1; \
	done

.PHONY: test-unit
test-unit: report ## Run the tests that need no server, without the race detector
	@$(BIN)/report . -short ./...

# The attempts of an adversary that need no server. Those on real servers are TestNamesOfOthersOnConsul and
# TestResolversGetAllInstances in test/e2e.
ADVERSARIAL_PACKAGES := ./internal/admin ./internal/connlimit ./internal/dns ./internal/xds ./internal/consul ./internal/guard \
	./internal/engine ./internal/mesh ./internal/file ./internal/state ./internal/daemon
ADVERSARIAL_TESTS := ^(TestFlood|TestLimits|TestWithinDescriptors|TestAmplification|TestCookie.*|TestForeignRecordsAreDropped|TestSlowClient|TestStalledClient|TestTypesAreBounded|TestTooLargeAnswer|TestHostileServerOverHTTPS|TestServicesAboveTheLimit|TestServicesThatChangeAllTheTime|TestObjectsAboveTheBudget|TestAdversary.*|TestAttacks|TestBudget.*|TestAdmission|TestForbiddenAddresses|TestAddressRules|TestAdminAddress|TestHostsOfConsul|TestNames|TestFolder.*|TestDisk.*|TestMissingLines|TestUnchainedFile|TestCutOff|TestReload.*|TestIncompleteFile)$$

.PHONY: test-adversarial
test-adversarial: ## Try to harm other teams and clients: floods of connections, hostile catalogs, disks, clocks; the machine must be idle
	@mkdir -p .build; ADVERSARIAL=1 go test -v -p 1 -count 1 -timeout 15m -run '$(ADVERSARIAL_TESTS)' $(ADVERSARIAL_PACKAGES) > .build/adversarial.txt; code=$$?; \
	grep -E '_test.go:|^(FAIL|panic)' .build/adversarial.txt; \
	awk 'BEGIN { printf "\nresult  seconds  test\n" } /^ *--- (PASS|FAIL|SKIP)/ { sub(/:/, "", $$2); gsub(/[()s]/, "", $$4); printf "%-6s %8s  %s\n", $$2, $$4, $$3 }' .build/adversarial.txt; exit $$code

.PHONY: report
report:
	@mkdir -p $(BIN)
	@CGO_ENABLED=0 go build -o $(BIN)/report ./test/report

.PHONY: lint
lint: ## Check format and code (gofumpt, go vet, staticcheck, golangci-lint) and the conventions of the project
	@unformatted=$$(go tool gofumpt -l cmd demo internal istiod test); if [ -n "$$unformatted" ]; then echo "run make fmt for:"; echo "$$unformatted"; exit 1; fi
	@tools/build.sh golangci-lint
	@bin=$$PWD/$(BIN); go build -o $$bin/staticcheck honnef.co/go/tools/cmd/staticcheck; \
	for module in $(MODULES); do \
		(cd $$module && go vet ./... && $$bin/staticcheck ./... && $$bin/golangci-lint run --config $(CURDIR)/.golangci.yml ./...) || exit 1; \
	done
	@cd istiod && CGO_ENABLED=0 go vet ./...
	@go test ./test/conventions

.PHONY: fmt
fmt: ## Format the code
	@go tool gofumpt -w cmd demo internal istiod test

.PHONY: generate
generate: ## Write the generated pages of docs/reference
	@go test ./internal/config ./internal/cli ./test/conventions -run 'ReferenceIsCurrent$$' -update -count 1
	@cd istiod && go test . -run '^TestPins$$' -update -count 1 && go mod tidy

FUZZTIME ?= 1m

.PHONY: fuzz
fuzz: ## Fuzz each target for FUZZTIME (1m)
	@for target in $$(grep -rhoE --include='*_test.go' 'func (Fuzz[A-Za-z]+)' internal test | awk '{print $$2}' | sort -u); do \
		package=$$(dirname $$(grep -rlE --include='*_test.go' "func $$target\(" internal test | head -1)); \
		module=$$([ "$${package#test/e2e}" != "$$package" ] && echo test/e2e || echo .); \
		(cd $$module && go test ./$${package#$$module/} -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x) || exit 1; done

SOAKTIME ?= 3m

.PHONY: soak
soak: tools build ## Make 50 changes a second for SOAKTIME (3m): no change may be lost, no resource may grow
	@cd test/e2e && SOAK=$(SOAKTIME) go test -run '^TestSoak$$' -count 1 -v -timeout 60m .

# Services x instances, with :inline or :workloadEntry for a form other than the default. Without it each benchmark has
# its own sizes. 10000x10 takes some minutes and 3 GB of memory; 10000x10:workloadEntry is 110,000 objects in one API
# server. BENCH_NODES is the number of nodes.
BENCH_SIZE ?=
# The benchmarks to run, as for go test -run: '.*/change' is one line at every size.
BENCH_RUN ?= .

# Services x instances, and the form of the endpoints if it is not inline. 10000x10 takes a minute and 5 GB of memory.
XDS_BENCH_SIZE ?= 100x3 2000x5 10000x10 2000x5:workloadEntry

.PHONY: bench
bench: tools build ## Measure the cost of a change, a start and idling on real servers, into .build/bench/results.md
	@cd test/e2e && BENCH=1 BENCH_SIZE="$(BENCH_SIZE)" go test -run '^TestBenchmarks$$/$(BENCH_RUN)' -count 1 -v -timeout 60m .
	@[ "$(BENCH_RUN)" != . ] || $(MAKE) --no-print-directory bench-translate bench-consul bench-dns bench-xds
	@cat .build/bench/results.md

.PHONY: bench-quick
bench-quick: build ## The same with small catalogs, in 3 minutes; the servers must be built
	@cd test/e2e && BENCH=quick BENCH_SIZE="$(BENCH_SIZE)" go test -run '^TestBenchmarks$$/$(BENCH_RUN)' -count 1 -v -timeout 10m .
	@BENCH=quick go test ./internal/mesh ./internal/dns -p 1 -run '^TestBench$$' -count 1
	@cat .build/bench/results.md

.PHONY: bench-translate
bench-translate: ## Measure the translation of one service; benchstat compares it with the file BENCH_OLD
	@BENCH=1 go test ./internal/mesh -run '^TestBench$$' -count 1 -v
	@mkdir -p .build/bench && go test ./internal/mesh -run '^$$' -bench '^BenchmarkTranslate' -count 6 > .build/bench/translate.txt
	@go tool benchstat $(BENCH_OLD) .build/bench/translate.txt

.PHONY: bench-consul
bench-consul: tools ## Measure ways to follow a large Consul, by BENCH_SIZE
	@BENCH=1 BENCH_SIZE="$(BENCH_SIZE)" go test ./internal/consul -run '^TestBench$$' -count 1 -v -timeout 40m

.PHONY: bench-dns
bench-dns: ## Measure DNS answers
	@BENCH=1 go test ./internal/dns -run '^TestBench$$' -count 1 -v -timeout 5m

.PHONY: bench-xds
bench-xds: tools ## Measure the cost of MCP over xDS for istiod and isthmus, by XDS_BENCH_SIZE
	@cd test/e2e && XDS_BENCH_SIZE="$(XDS_BENCH_SIZE)" go test -run '^TestXDSBench$$' -count 1 -v -timeout 20m .

.PHONY: clean
clean: ## Remove all built files
	@rm -rf .build
