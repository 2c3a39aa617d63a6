# The PAM module, for the top Makefile to include. It defines bin/pam_shadowsync.so, install-pam and analyze-pam.

PAM_SOURCE_DIR := cmd/pam_shadowsync
PAM_SOURCES    := $(wildcard $(PAM_SOURCE_DIR)/*.c)
PAM_CFLAGS     := -std=c11 -O2 -fPIC -fvisibility=hidden -Wall -Wextra -Wconversion -Werror \
                  -D_FORTIFY_SOURCE=2 -fstack-protector-strong
PAM_LDFLAGS    := -shared -s -Wl,-z,relro,-z,now,-z,defs

# Where this machine's libpam keeps its own modules: Debian's multiarch folder, Fedora's lib64, or lib.
PAM_MODULE_DIR ?= $(patsubst %/,%,$(dir $(firstword $(wildcard $(addsuffix /security/pam_permit.so, \
                  /usr/lib/$(shell $(CC) -print-multiarch) /usr/lib64 /usr/lib)))))
PAM_CONFIG_DIR ?= /usr/share/pam-configs

bin/pam_shadowsync.so: $(PAM_SOURCES) $(wildcard $(PAM_SOURCE_DIR)/*.h)
	@mkdir -p $(@D)
	$(CC) $(PAM_CFLAGS) $(CFLAGS) $(PAM_SOURCES) $(PAM_LDFLAGS) $(LDFLAGS) -o $@ -lpam

.PHONY: install-pam analyze-pam
install-pam: bin/pam_shadowsync.so
	@test -n "$(PAM_MODULE_DIR)" || { echo "cannot find libpam's module folder: set PAM_MODULE_DIR" >&2; exit 1; }
	install -D -m 0644 $< $(DESTDIR)$(PAM_MODULE_DIR)/pam_shadowsync.so
	install -d $(DESTDIR)$(PAM_CONFIG_DIR)
	install -m 0644 $(PAM_SOURCE_DIR)/pam-configs/* $(DESTDIR)$(PAM_CONFIG_DIR)

analyze-pam:
	for source in $(PAM_SOURCES); do \
	    gcc $(PAM_CFLAGS) -fanalyzer -c -o /dev/null $$source && \
	    clang -std=c11 --analyze --analyzer-output text -Xclang -analyzer-werror -o /dev/null $$source || exit 1; \
	done
