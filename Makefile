# quorate: one non-recursive Makefile.  `make help` lists the targets.
#
# Variables: SAN=address,undefined | thread (a build folder of its own),
# CC, PREFIX, DESTDIR, SEEDS (simulator), KEEP=1 (demo).

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PREFIX ?= /usr/local
VERSION := 0.1.0
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))

empty :=
comma := ,
B := build$(if $(SAN),/$(subst $(comma),-,$(SAN)))
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wmissing-prototypes \
	-Wformat=2 -Wvla -Werror=enum-conversion $(if $(CI),-Werror)
# No -ftrivial-auto-var-init: gcc 12 clears "padding" at wrong offsets of a
# struct that holds an array of structs, and so destroys what it was given.
HARDEN := -fstack-protector-strong -fPIE \
	$(if $(SAN),,-D_FORTIFY_SOURCE=2)
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -DQUORATE_VERSION='"$(VERSION)"' \
	$(WARN) $(HARDEN) $(CFLAGS) -Isrc -Iraft -Iinclude -I$(B)/gen -pthread \
	$(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -DQUORATE_SANITIZED)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -pthread $(LDFLAGS) \
	$(if $(SAN),-fsanitize=$(SAN))

# What each module may stand on: the layer table of the architecture, which
# `make lint` enforces on the includes and the linker on the tests.
DEPS_raft :=
DEPS_base :=
DEPS_ca := base
DEPS_wire := ca base
DEPS_pki := wire ca base
DEPS_signer := pki wire ca base
DEPS_store := wire ca raft base
DEPS_mesh := wire ca raft base
DEPS_auth := pki wire ca base
DEPS_front := auth pki wire ca base
DEPS_client := pki wire ca base
DEPS_node := client front auth mesh store signer pki wire ca raft base
DEPS_cli := client node pki wire ca base
MODULES := base ca wire pki signer store mesh auth front client node cli

LIBS := -ljansson -lcyaml -lcurl -lnghttp2 -levent_openssl \
	-levent_pthreads -levent -lnng -llmdb -lprotobuf-c -lseccomp -lssl \
	-lcrypto -lsodium

lib = $(B)/lib/$(1).a
libs_of = $(call lib,$(1)) $(foreach d,$(DEPS_$(1)),$(call lib,$(d)))
# Objects of a module: every source but a program's main.
srcs_of = $(filter-out %/main.c,$(wildcard $(if $(filter raft,$(1)),raft,src/$(1))/*.c))
objs_of = $(patsubst %.c,$(B)/obj/%.o,$(call srcs_of,$(1)))

BINS := $(B)/bin/quorated $(B)/bin/quorate

.PHONY: all help deps demo test check lint sanitize fuzz bench bench-snapshot chaos interop \
	install clean format sim e2e
all: $(BINS)

# ---- Libraries --------------------------------------------------------------

define module_rules
$(B)/lib/$(1).a: $$(call objs_of,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	@ar rcs $$@ $$^
.PHONY: lib-$(1) unit-$(1)
lib-$(1): $(B)/lib/$(1).a
TESTS_$(1) := $$(patsubst tests/unit/$(1)/test_%.c,$(B)/tests/$(1)/test_%,$$(wildcard tests/unit/$(1)/test_*.c))
# A test folder's other sources are helpers, linked into each of its tests.
HELP_$(1) := $$(patsubst %.c,$(B)/obj/%.o,$$(filter-out tests/unit/$(1)/test_%.c,$$(wildcard tests/unit/$(1)/*.c)))
$$(TESTS_$(1)): $(B)/tests/$(1)/test_%: $(B)/obj/tests/unit/$(1)/test_%.o $$(HELP_$(1)) $$(call libs_of,$(1))
	@mkdir -p $$(@D)
	@echo "  LD    $$@"
	@$(CC) $$(ALL_LDFLAGS) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(call libs_of,$(1)) -Wl,--end-group $$(LDFLAGS_$$(@F)) -lcmocka $$(LIBS)
unit-$(1): $$(TESTS_$(1))
	@set -e; for t in $$(TESTS_$(1)); do echo "== $$$$t"; $$(RUN) $$$$t; done
ALL_TESTS += $$(TESTS_$(1))
endef
$(foreach m,raft $(MODULES),$(eval $(call module_rules,$(m))))

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(ALL_CFLAGS) $(CFLAGS_$(notdir $*)) -MMD -MP -c -o $@ $<

# Generated protobuf code: included by src/wire only, compiled without our
# warnings.
GEN := $(B)/gen/quorate.pb-c
$(GEN).c $(GEN).h &: src/wire/quorate.proto
	@mkdir -p $(@D)
	@echo "  GEN   $(GEN).c"
	@protoc-c -Isrc/wire --c_out=$(B)/gen src/wire/quorate.proto
$(B)/obj/gen/quorate.pb-c.o: $(GEN).c
	@mkdir -p $(@D)
	@$(CC) -std=c11 -D_GNU_SOURCE $(HARDEN) $(CFLAGS) -I$(B)/gen $(if $(SAN),-fsanitize=$(SAN)) -c -o $@ $<
$(call objs_of,wire): $(GEN).h
$(call lib,wire): $(B)/obj/gen/quorate.pb-c.o
$(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/unit/wire/*.c)): $(GEN).h

# ---- Programs ---------------------------------------------------------------

$(B)/bin/quorated: $(B)/obj/src/node/main.o $(call libs_of,node)
$(B)/bin/quorate: $(B)/obj/src/cli/main.o $(call libs_of,cli) $(call libs_of,node)
# For demos and tests: `all` leaves it out, and it is not installed.
DEV_TOKEN := $(B)/bin/quorate-dev-token
$(DEV_TOKEN): $(B)/obj/src/devtoken/main.o $(call libs_of,pki)
BINS += $(DEV_TOKEN)
# Fills the tables of the reference pages; not installed either.
DOCGEN := $(B)/bin/quorate-docgen
$(DOCGEN): $(B)/obj/src/docgen/main.o $(call libs_of,cli) $(call libs_of,node)
BINS += $(DOCGEN)
$(BINS):
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(sort $(filter %.a,$^)) -Wl,--end-group $(LIBS)

# For other people's programs: one object in which only the API's names are
# global, so that none of ours meets one of theirs.
LIBQUORATE := $(B)/lib/libquorate.a
LIBQUORATE_NEEDS := -lcurl -ljansson -lprotobuf-c -lcrypto -lsodium
paren := (
API := $(shell grep -o '\bquorate_[a-z_]*[$(paren)]' include/quorate.h | tr -d '$(paren)' | sort -u)
$(LIBQUORATE): $(call libs_of,client) include/quorate.h
	@echo "  AR    $@"
	@$(CC) -r -nostdlib -o $(B)/lib/quorate.o $(addprefix -Wl$(comma)-u$(comma),$(API)) \
		-Wl,--start-group $(filter %.a,$^) -Wl,--end-group
	@objcopy $(addprefix --keep-global-symbol=,$(API)) $(B)/lib/quorate.o
	@rm -f $@
	@ar rcs $@ $(B)/lib/quorate.o

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

clean:
	rm -rf build

# ---- What is installed --------------------------------------------------------

DEBIAN := build-essential pkg-config protobuf-c-compiler libprotobuf-c-dev \
	libssl-dev libnng-dev liblmdb-dev libsodium-dev libnghttp2-dev \
	libevent-dev libjansson-dev libcurl4-openssl-dev \
	libcyaml-dev libseccomp-dev libcmocka-dev openssl curl jq

# Quiet where nothing is missing.  Needs root only if something is.
deps:
	@missing=$$(dpkg-query -W -f='$${Package} $${db:Status-Status}\n' $(DEBIAN) 2>/dev/null \
		| awk '$$2 == "installed" { have[$$1] = 1 } END { n = split("$(DEBIAN)", want, " "); \
		for (i = 1; i <= n; i++) if (!(want[i] in have)) printf "%s ", want[i] }'); \
	[ -z "$$missing" ] || { echo "installing: $$missing"; \
		sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
		$$sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq && \
		$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
			--no-install-recommends $$missing >/dev/null; }

# ---- Tests ----------------------------------------------------------------------

-include $(wildcard tests/unit/*/rules.mk) $(wildcard tests/trace/rules.mk) \
	$(wildcard tests/sim/rules.mk) $(wildcard tests/simstore/rules.mk) \
	$(wildcard tests/raft/*.mk) $(wildcard tests/mutants/rules.mk) \
	$(wildcard tests/fuzz/rules.mk) $(wildcard tests/bench/rules.mk) \
	$(wildcard tests/load/rules.mk) $(wildcard chaos/rules.mk)

TEST_PROGRAMS = $(ALL_TESTS) $(BINS) $(SIM_PROGRAM) $(SIM_STORE) $(MUTANT_PROGRAMS) \
	$(TRACE_CHECK) $(CONFORMANCE) $(DIFF) $(LOAD_PROGRAMS) $(CHAOS_PROGRAMS)
# The corpora run under sanitizers in `make test` too.
CORPORA := $(if $(SAN),$(B),$(B)/address-undefined)

# `deps` runs first and alone: what it installs decides how the rest builds.
demo: deps
	@$(MAKE) --no-print-directory -j$$(nproc) all $(DEV_TOKEN)
	@B=$(B) KEEP=$(KEEP) tests/demo/demo.sh

test: deps
	@$(MAKE) --no-print-directory -j$$(nproc) test-programs
	@$(MAKE) --no-print-directory -j$$(nproc) SAN=$(or $(SAN),address,undefined) \
		B=$(CORPORA) fuzz-replays
	@CORPORA=$(CORPORA) tests/run $(B) $(STAGES)

.PHONY: test-programs fuzz-replays
test-programs: $(TEST_PROGRAMS)
fuzz-replays: $(FUZZ_REPLAYS)

# ---- Checks ---------------------------------------------------------------------

SOURCES = $(wildcard raft/*.[ch] include/*.h src/*/*.[ch] tests/*/*.[ch] \
	tests/unit/*/*.[ch] chaos/*.[ch])

check: test lint sanitize

DEBIAN_LINT := clang-format clang-tidy cppcheck mandoc clang libclang-rt-14-dev

lint: deps $(GEN).h
	@tests/lint/layers.sh
	@tests/lint/style.sh $(SOURCES)
	@$(MAKE) --no-print-directory docs-check
	@$(MAKE) --no-print-directory SAN= CFLAGS="-O1 -fanalyzer -Wno-analyzer-malloc-leak" \
		B=build/analyzer CI=1 all

# Every unit test and a short simulation under each sanitizer; the Makefile
# builds each in a folder of its own.
sanitize: deps
	@for san in address,undefined thread; do \
		$(MAKE) --no-print-directory -j$$(nproc) SAN=$$san test-programs fuzz-replays && \
		$(MAKE) --no-print-directory SAN=$$san sanitized-tests || exit 1; done

.PHONY: sanitized-tests
sanitized-tests:
	@TSAN_OPTIONS=suppressions=$(CURDIR)/tests/tsan.supp SIM_SEEDS=100 \
		SIM_STORE_SEEDS=40 DIFF_SEEDS=100 CORPORA=$(CORPORA) \
		tests/run $(B) unit corpora simulator sim-store conformance differential

interop: deps
	@$(MAKE) --no-print-directory -j$$(nproc) all $(DEV_TOKEN)
	@B=$(B) tests/interop/run.sh

e2e: deps
	@$(MAKE) --no-print-directory -j$$(nproc) test-programs
	@tests/run $(B) end-to-end

# Reference pages: their tables are filled from the tables of the code.
PAGES = $(wildcard docs/man/*.[0-9]) docs/metrics.md docs/events.md

.PHONY: docs docs-check
docs: $(DOCGEN)
	@for p in $(PAGES); do $(DOCGEN) <$$p >$(B)/page.new || exit 1; \
		cmp -s $(B)/page.new $$p || { cp $(B)/page.new $$p; echo "  DOCS  $$p"; }; done

docs-check: $(DOCGEN)
	@bad=0; for p in $(PAGES); do $(DOCGEN) <$$p | diff -u $$p - || \
		{ echo "$$p: not what the tables give; run make docs"; bad=1; }; done; \
		exit $$bad

format:
	@clang-format -i $(SOURCES)

# Programs, manual pages, libquorate with its header and pkg-config file.
install: all $(LIBQUORATE)
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin include lib/pkgconfig \
		share/man/man1 share/man/man5 share/man/man8)
	install -m 755 $(B)/bin/quorated $(B)/bin/quorate $(DESTDIR)$(PREFIX)/bin
	install -m 644 include/quorate.h $(DESTDIR)$(PREFIX)/include
	install -m 644 $(LIBQUORATE) $(DESTDIR)$(PREFIX)/lib
	printf '%s\n' 'prefix=$(PREFIX)' 'Name: quorate' \
		'Description: certificates from a quorate trust domain' \
		'Version: $(VERSION)' 'Cflags: -I$${prefix}/include' \
		'Libs: -L$${prefix}/lib -lquorate $(LIBQUORATE_NEEDS)' \
		>$(DESTDIR)$(PREFIX)/lib/pkgconfig/quorate.pc
	for s in 1 5 8; do install -m 644 docs/man/*.$$s \
		$(DESTDIR)$(PREFIX)/share/man/man$$s || exit 1; done

help:
	@echo "make [all]     build quorated and quorate into build/bin"
	@echo "make install   programs, manual pages, libquorate; DESTDIR, PREFIX"
	@echo "make deps      install what is missing, from Debian's packages"
	@echo "make clean     remove build/"
	@echo
	@echo "make demo      three clusters on loopback; KEEP=1 leaves them running"
	@echo "make test      what CI runs; STAGES='unit simulator' picks stages"
	@echo "make check     test, lint and sanitize"
	@echo "make lint      layers, format, clang-tidy, cppcheck, gcc -fanalyzer,"
	@echo "               and that docs/ is what the tables give"
	@echo "make sanitize  unit tests and simulator under ASan+UBSan, then TSan"
	@echo
	@echo "make unit-X    unit tests of one module: raft, ca, wire, ..."
	@echo "make sim       the simulator: SEEDS=n, or SEED=s to replay one,"
	@echo "               or SEED=s TRACE=file for its trace"
	@echo "make sim-store the same over the store on a disk that forgets"
	@echo "make raft-mutants  delete each guard of raft/ in turn: a test must notice;"
	@echo "               ALL=1 asks every judge, JUDGES=sim one, GUARDS='A B' takes some"
	@echo "make raft-trace-check FILE=f  are the steps of a trace those of the specification?"
	@echo "               FILE='a b c' merges the traces of single nodes"
	@echo "make raft-conformance  etcd's own scripts through our core (needs Go 1.26)"
	@echo "make raft-diff  our core and etcd's under the same random schedules: SEEDS=n,"
	@echo "               or SEED=s to replay one; STEPS=500 (needs Go 1.26)"
	@echo "make e2e       scripts on real nodes"
	@echo "make interop   Istio's own client against real nodes (needs Go 1.26)"
	@echo "make chaos     three nodes under random faults: MINUTES=m SEED=s"
	@echo "make chaos-planted  a node that drops a record is found"
	@echo "make fuzz      libFuzzer on each parser: FUZZ_SECONDS=n, FUZZ='wire_csr ...'"
	@echo "make bench     figures as JSON lines: FIGURES='issue_core size'"
	@echo "make bench-snapshot  a node joins a large cluster: RECORDS=5000000"
	@echo
	@echo "make docs      fill the tables of docs/man, metrics.md, events.md"
	@echo "make format    clang-format on every source"
	@echo
	@echo "SAN=address,undefined or SAN=thread builds in a folder of its own;"
	@echo "CC, CFLAGS, LDFLAGS as usual; B=FOLDER in place of build."

compile_commands.json: Makefile
	@printf '[' > $@; sep=; for f in $(filter %.c,$(SOURCES)); do \
		printf '%s\n{"directory":"%s","file":"%s","command":"%s -c %s"}' \
		"$$sep" "$(CURDIR)" "$$f" "$(CC) $(subst ",\\\",$(ALL_CFLAGS))" "$$f"; \
		sep=,; done >> $@; printf '\n]\n' >> $@
