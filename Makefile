# shadowsync: make build, make test and make run are all that most people need.
# CONTRIBUTING.md says what each target does and what it installs.

PREFIX     ?= /usr
DESTDIR    ?=
BINDIR     := $(PREFIX)/bin
SBINDIR    := $(PREFIX)/sbin
UNITDIR    := $(PREFIX)/lib/systemd/system
MANDIR     := $(PREFIX)/share/man
VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
GO         ?= go
GOFLAGS    ?= -trimpath
# Where the programs are going to be, for what setup writes.
LDFLAGS_GO := -s -w -X main.version=$(VERSION) -X main.installedAt=$(SBINDIR)/shadowsync \
              -X github.com/shadowsync/shadowsync/internal/config.shell=$(BINDIR)/pcli
FUZZTIME   ?= 20s

GOLANGCI   := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.DEFAULT_GOAL := build

include cmd/pam_shadowsync/module.mk

# What the build and the tests need from Debian.
BUILD_PACKAGES := gcc libc6-dev libpam0g-dev libcrypt-dev pkg-config
TEST_PACKAGES  := clang binutils util-linux debootstrap systemd-container dbus libpam-modules sqlite3 strace

.PHONY: build install test unit run bench lint format fuzz clean build-deps test-deps FORCE

build: bin/shadowsync bin/pcli bin/pam_shadowsync.so

bin/shadowsync: FORCE | build-deps
	CGO_ENABLED=1 $(GO) build $(GOFLAGS) -ldflags '$(LDFLAGS_GO)' -o $@ ./cmd/shadowsync

# The shell has no C in it, so that it starts in milliseconds.
bin/pcli: FORCE
	CGO_ENABLED=0 $(GO) build $(GOFLAGS) -ldflags '$(LDFLAGS_GO)' -o $@ ./cmd/pcli

bin/pam_shadowsync.so: | build-deps

install: build install-pam
	install -D -m 0755 bin/shadowsync $(DESTDIR)$(SBINDIR)/shadowsync
	install -D -m 0755 bin/pcli $(DESTDIR)$(BINDIR)/pcli
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man8
	for unit in systemd/units/*; do \
	    sed 's|/usr/sbin/shadowsync|$(SBINDIR)/shadowsync|g' $$unit > $(DESTDIR)$(UNITDIR)/$$(basename $$unit) && \
	    chmod 0644 $(DESTDIR)$(UNITDIR)/$$(basename $$unit) || exit 1; \
	done
	$(GO) run -tags docs ./cmd/shadowsync docs man $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(MANDIR)/man7
	bin/pcli --man > $(DESTDIR)$(MANDIR)/man1/pcli.1
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions
	bin/shadowsync completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/shadowsync
	bin/shadowsync completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_shadowsync

# Everything, the machine tests included. What is left out, without root most of
# all, is named at the end: go test would say "ok" of it. One package at a time:
# machines of several would keep each other from answering within their bounds.
test: build test-deps
	$(GO) vet -tags docs ./...
	$(GO) test -count=1 -p 1 -json -timeout 20m ./... | $(GO) run ./internal/testreport

unit: build-deps
	$(GO) test -count=1 -short ./...

# The main job on a throwaway machine; on a terminal it ends in a shell there.
run: build test-deps
	$(GO) run ./internal/scenes/demo

bench: build test-deps
	$(GO) run ./internal/scenes/bench

# Formatting included; `make format` mends that.
lint:
	$(GO) run $(GOLANGCI) run ./...
	$(MAKE) analyze-pam

format:
	$(GO) run $(GOLANGCI) fmt ./...

fuzz: build-deps
	for target in $$(git grep -ho 'func Fuzz[A-Za-z0-9_]*' -- '*_test.go' | awk '{print $$2}' | sort -u); do \
	    package=./$$(dirname $$(git grep -l "func $$target(" -- '*_test.go' | head -1)) && \
	    echo "$$target in $$package" && \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
	done

clean:
	rm -rf bin

# Packages are installed only where they are missing and we may.
build-deps:
	@$(call need,$(BUILD_PACKAGES))

test-deps: build-deps
	@$(call need,$(TEST_PACKAGES))

define need
missing=; for p in $(1); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
    echo "installing$$missing"; \
    apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $$missing >/dev/null; \
elif [ -n "$$missing" ]; then echo "not installed:$$missing" >&2; fi
endef

FORCE:
