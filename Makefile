# shadowsync: make build, make test and make run are all that most people need.
# CONTRIBUTING.md says what each target does and what it installs.

PREFIX     ?= /usr
DESTDIR    ?=
BINDIR     := $(PREFIX)/bin
SBINDIR    := $(PREFIX)/sbin
UNITDIR    := $(PREFIX)/lib/systemd/system
SYSUSERSDIR := $(PREFIX)/lib/sysusers.d
MANDIR     := $(PREFIX)/share/man
# Profiles that are off: Debian's packages put theirs there too.
APPARMORDIR := $(PREFIX)/share/apparmor/extra-profiles
APPARMOR_SOURCE_DIR := internal/admin/packages/apparmor
VERSION    ?= $(shell internal/admin/packages/version)
GO         ?= go
# The version names the commit. What Go itself would add about it differs between a clone and an archive.
GOFLAGS    ?= -trimpath -buildvcs=false
# One way to compile for the program, its tests, vet and lint: SQLite alone takes a minute of C.
COMPILE    := $(GOFLAGS) -buildmode=pie
# What runs while it builds is compiled for this machine, whatever GOARCH and CC are.
HERE       := env -u GOARCH -u CC -u CGO_ENABLED
# Where the programs are going to be, for what setup writes.
LDFLAGS_GO := -s -w -X main.version=$(VERSION) -X main.installedAt=$(SBINDIR)/shadowsync \
              -X github.com/shadowsync/shadowsync/internal/config.shell=$(BINDIR)/pcli
FUZZTIME   ?= 20s
# A module of its own, of a test: ./... does not reach it.
GITEA      := internal/test/gitea

GOLANGCI   := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.DEFAULT_GOAL := build

include cmd/pam_shadowsync/module.mk
include internal/admin/packages/packages.mk

# What the build and the tests need from Debian.
BUILD_PACKAGES := gcc libc6-dev libpam0g-dev libcrypt-dev pkg-config
TEST_PACKAGES  := clang binutils util-linux debootstrap systemd-container dbus libpam-modules sqlite3 strace oathtool zsh zbar-tools

.PHONY: build install uninstall test trees unit run bench tidy lint format docs fuzz packages clean build-deps test-deps FORCE

build: bin/shadowsync bin/pcli bin/shadowsync-web bin/pam_shadowsync.so

# It runs as root and reads what others write: at a random address, and with nothing left
# to bind, and so to overwrite, once it runs. That costs a fifth of its start.
bin/shadowsync: FORCE | build-deps
	CGO_ENABLED=1 $(GO) build $(COMPILE) -ldflags '$(LDFLAGS_GO) -extldflags "-Wl,-z,relro,-z,now"' -o $@ ./cmd/shadowsync

# The shell has no C in it and is static, so that it starts in milliseconds. It runs with the
# operator's own rights and believes nothing that the broker has not checked.
bin/pcli: FORCE
	CGO_ENABLED=0 $(GO) build $(GOFLAGS) -ldflags '$(LDFLAGS_GO)' -o $@ ./cmd/pcli

# The page is static, because its unit shows it no file but the program itself.
bin/shadowsync-web: FORCE
	CGO_ENABLED=0 $(GO) build $(GOFLAGS) -ldflags '$(LDFLAGS_GO)' -o $@ ./cmd/shadowsync-web

bin/pam_shadowsync.so: | build-deps

# Whatever the umask, everybody may read what is installed, but for the program: of one that a
# user may not read, execve(2) makes a process that this user may not trace (prctl(2),
# PR_SET_DUMPABLE). A store's worker runs it with the uid of the store's owner.
install: build install-pam
	install -D -m 0711 bin/shadowsync $(DESTDIR)$(SBINDIR)/shadowsync
	install -D -m 0755 bin/pcli $(DESTDIR)$(BINDIR)/pcli
	install -D -m 0711 bin/shadowsync-web $(DESTDIR)$(SBINDIR)/shadowsync-web
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man8
	for unit in systemd/units/*; do \
	    sed 's|/usr/sbin/shadowsync|$(SBINDIR)/shadowsync|g' $$unit > $(DESTDIR)$(UNITDIR)/$$(basename $$unit) && \
	    chmod 0644 $(DESTDIR)$(UNITDIR)/$$(basename $$unit) || exit 1; \
	done
	install -D -m 0644 -t $(DESTDIR)$(SYSUSERSDIR) systemd/sysusers/*
	install -D -m 0644 -t $(DESTDIR)$(APPARMORDIR) $(APPARMOR_SOURCE_DIR)/*
	sed -i 's|/usr/sbin/shadowsync|$(SBINDIR)/shadowsync|g; s|/usr/bin/pcli|$(BINDIR)/pcli|g' $(addprefix $(DESTDIR)$(APPARMORDIR)/,pcli shadowsync-web)
	umask 022 && $(HERE) $(GO) run $(COMPILE) -tags docs ./cmd/shadowsync docs man $(DESTDIR)$(MANDIR)
	umask 022 && $(HERE) $(GO) run $(COMPILE) -ldflags '$(LDFLAGS_GO)' ./cmd/pcli --man > $(DESTDIR)$(MANDIR)/man1/pcli.1
	umask 022 && $(HERE) $(GO) run $(COMPILE) -ldflags '$(LDFLAGS_GO)' ./cmd/shadowsync-web --man > $(DESTDIR)$(MANDIR)/man8/shadowsync-web.8
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions
	umask 022 && $(HERE) $(GO) run $(COMPILE) -tags docs ./cmd/shadowsync completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/shadowsync
	umask 022 && $(HERE) $(GO) run $(COMPILE) -tags docs ./cmd/shadowsync completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_shadowsync

# What install put in place. The PAM stacks and the applications' drop-ins are setup's: while
# they are there, a removed module or hook would fail every password change and every start.
uninstall:
	@if grep -qs '^[^#]*pam_shadowsync' $(DESTDIR)/etc/pam.d/* || ls $(DESTDIR)/etc/systemd/system/*.d/50-shadowsync.conf >/dev/null 2>&1; then \
	    echo "cannot uninstall: PAM or a unit still uses shadowsync: run shadowsync remove first" >&2; exit 1; \
	fi
	rm -f $(DESTDIR)$(SBINDIR)/shadowsync $(DESTDIR)$(SBINDIR)/shadowsync-web $(DESTDIR)$(BINDIR)/pcli
	rm -f $(addprefix $(DESTDIR)$(UNITDIR)/,$(notdir $(wildcard systemd/units/*))) $(addprefix $(DESTDIR)$(SYSUSERSDIR)/,$(notdir $(wildcard systemd/sysusers/*)))
	rm -f $(addprefix $(DESTDIR)$(APPARMORDIR)/,$(notdir $(wildcard $(APPARMOR_SOURCE_DIR)/*)))
	rm -f $(DESTDIR)$(PAM_MODULE_DIR)/pam_shadowsync.so $(addprefix $(DESTDIR)$(PAM_CONFIG_DIR)/,$(notdir $(wildcard $(PAM_SOURCE_DIR)/pam-configs/*)))
	rm -f $(DESTDIR)$(MANDIR)/man1/pcli.1 $(DESTDIR)$(MANDIR)/man5/shadowsync.toml.5
	rm -f $(DESTDIR)$(MANDIR)/man7/shadowsync-*.7 $(DESTDIR)$(MANDIR)/man8/shadowsync.8 $(DESTDIR)$(MANDIR)/man8/shadowsync-*.8
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/shadowsync $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_shadowsync
	test -z "$(DESTDIR)" || ! cd "$(DESTDIR)" || for folder in $(SBINDIR) $(BINDIR) $(UNITDIR) $(SYSUSERSDIR) $(APPARMORDIR) $(PAM_MODULE_DIR) $(PAM_CONFIG_DIR) \
	    $(addprefix $(MANDIR)/man,1 5 7 8) $(PREFIX)/share/bash-completion/completions $(PREFIX)/share/zsh/vendor-completions; do \
	    test ! -d .$$folder || rmdir -p --ignore-fail-on-non-empty .$$folder 2>/dev/null || true; \
	done
	@echo "Left as they are: the configuration in $(DESTDIR)/etc/shadowsync, the state in $(DESTDIR)/var/lib/shadowsync"

# .deb and .rpm, in dist/: internal/admin/packages.
packages:
	@$(call need,$(PACKAGES_NEED))
	@$(BUILD_IN_TREE) $(PACKAGES_DIR)

# Everything, the machine tests included. The race detector and the machines are not tested beside each
# other: both run into time limits of the product on a slow host. On a new machine the trees are built
# meanwhile, and give way to everything else. Scenes wait most of the time, for refused logins and time-outs: how
# many run at a time depends on what the host can take, up to -parallel. Of the packages, those come first that
# take longest.
# What is left out, without root most of all, is named at the end: go test would say "ok" of it.
PARTS := part-lint part-race part-scenes part-packages
.PHONY: without-machines $(PARTS)

test: test-deps
	+@status=0; $(MAKE) --no-print-directory --keep-going --jobs=2 without-machines trees || status=2; \
	$(call each,part-scenes part-packages)

without-machines:
	+@status=0; $(call each,part-lint part-race)

# Runs one part after the other, also after a failure.
each = for part in $(1); do $(MAKE) --no-print-directory $$part || status=2; done; exit $$status

part-scenes:
	$(call timed,$(call tested,-parallel 8 ./internal/test/scenes/...))

# What the race detector's run leaves out, or some tests of: those on machines, and those that it would slow down.
part-packages:
	$(call timed,$(call tested,-p 2 -parallel 5 ./internal/test/packages ./systemd ./cmd/pam_shadowsync/moduletest \
	    $$(grep -rlE '"github.com/shadowsync/shadowsync/internal/test/(machine|race)["/]|testing\.Short\(\)' --include='*_test.go' cmd internal pcli shadowsync systemd | \
	        grep -v /test/scenes/ | sed 's|^|./|; s|/[^/]*$$||' | sort -u)))

part-lint: build
	$(call timed,$(MAKE) --no-print-directory tidy lint)

# The tests of the C module have nothing in them for the race detector, and those of the scenes boot machines. A
# program with it would wait for a second at its end (https://go.dev/doc/articles/race_detector), and tests run many.
part-race: export GORACE := atexit_sleep_ms=50
part-race:
	$(call timed,$(call reported,-race -short $$($(GO) list ./... | grep -v -e /moduletest -e /test/scenes)))

# What the test machines boot from, built once on a machine: compilers and tests leave time for that.
trees: test-deps
	nice $(GO) run $(COMPILE) ./internal/test/machine/trees $(TREES)

tested   = $(call reported,$(COMPILE) $(1))
reported = $(GO) test -count=1 -json -timeout 80m $(1) | $(GO) run $(COMPILE) ./internal/test/testreport

define timed
@begin=$$(date +%s); $(1); status=$$?; echo "make test: $@ took $$(( $$(date +%s) - begin )) s"; exit $$status
endef

unit: build-deps
	$(GO) test $(COMPILE) -count=1 -short ./...

# The main job on a throwaway machine; on a terminal it ends in a shell there.
run: test-deps
	@$(MAKE) --no-print-directory --jobs=2 build trees TREES=bookworm
	$(GO) run $(COMPILE) ./internal/test/scenes/demo

bench: build test-deps
	$(GO) run $(COMPILE) ./internal/test/scenes/bench

# go.mod and go.sum list what the code imports, no more and no less.
tidy:
	$(GO) mod tidy -diff
	$(GO) -C $(GITEA) mod tidy -diff

# Formatting included; `make format` mends that. With other flags the linter itself would be compiled twice.
lint:
	$(GO) vet $(COMPILE) -tags docs ./...
	GOFLAGS="$(COMPILE)" $(GO) run $(GOLANGCI) run ./...
	cd $(GITEA) && GOFLAGS="$(COMPILE)" $(GO) run $(GOLANGCI) run ./...
	$(MAKE) analyze-pam

format:
	GOFLAGS="$(COMPILE)" $(GO) run $(GOLANGCI) fmt ./...

# The part of docs/configuration.md that describes the keys.
docs: build-deps
	$(GO) run -tags docs ./cmd/shadowsync docs keys docs/configuration.md

fuzz: build-deps
	git grep -o 'func Fuzz[A-Za-z0-9_]*' -- '*_test.go' | sed 's/:func / /' | while read -r file target; do \
	    package=./$$(dirname $$file) && \
	    echo "$$target in $$package" && \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package </dev/null || exit 1; \
	done

clean:
	rm -rf bin dist

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
