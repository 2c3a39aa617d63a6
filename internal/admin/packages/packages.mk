# The Debian packages and the RPMs of the commit that is checked out: "make packages" writes dist/.
# Both architectures are compiled in a tree with Debian 12, so that the packages are the same on whatever
# machine they are built.
PACKAGES_NEED := debootstrap util-linux
PACKAGES_DIR  ?= dist
# Who answers for the packages. This address reaches nobody: whoever hands packages out names their own.
MAINTAINER    ?= The shadowsync authors <maintainers@shadowsync.example>
NFPM          := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2

# What tests upgrade from, until there is a tag.
FORMER        := 16989e74a371d203ca461042d29b9e1985bc8965
BUILD_IN_TREE := GO="$(GO)" NFPM="$(NFPM)" internal/admin/packages/build

# By the environment, in which a name may have any sign.
packages former-packages: export MAINTAINER := $(MAINTAINER)

.PHONY: schema former-packages
former-packages:
	@$(call need,$(PACKAGES_NEED))
	@$(BUILD_IN_TREE) $(PACKAGES_DIR) $(FORMER)

# The newest schema of the state that the programs can read.
schema:
	@$(HERE) $(GO) run $(COMPILE) -tags docs ./cmd/shadowsync docs schema
