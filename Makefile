# Two commands matter: make demo, make test. Both need nothing but Go.

GO        ?= go
BIN       := bin/oubli
VERSION   := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
LDFLAGS   := -X main.version=$(VERSION)
# Extra flags for go test, for instance TESTFLAGS=-race.
TESTFLAGS ?=
PACKAGES  ?= ./...
FUZZTIME  ?= 20s
STATICCHECK_VERSION := v0.8.2

.PHONY: build test demo lint bench fuzz soak cover clean

build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/oubli

demo: build
	$(BIN) demo

test:
	$(GO) test -timeout 8m $(TESTFLAGS) $(PACKAGES)

# The same tests with larger histories, more kills and more data; up to an hour.
soak:
	OUBLI_SOAK=1 $(GO) test -timeout 60m $(TESTFLAGS) $(PACKAGES)

lint:
	@test -z "$$(gofmt -l cmd eventstore keyvault projections streams bench docs)" || { gofmt -l cmd eventstore keyvault projections streams bench docs; echo 'not gofmt-ed'; exit 1; }
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION) ./...

bench:
	$(GO) run ./bench

# Every fuzz target of the tree for FUZZTIME each.
fuzz:
	@grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u | while read -r dir; do \
	  for target in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$dir/*_test.go | sed 's/^func //'); do \
	    echo "$$dir $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$dir || exit 1; \
	  done; \
	done

cover:
	$(GO) test -coverprofile=coverage.out -coverpkg=./... ./...
	$(GO) tool cover -func=coverage.out | tail -n 1

clean:
	rm -rf bin coverage.out
