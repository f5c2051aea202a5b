# Fuzz targets.  To add one: write tests/fuzz/fuzz_NAME.c with
# LLVMFuzzerTestOneInput, add NAME:MODULE here (the module whose library it
# links, with all that module stands on), and put a few real inputs into
# tests/data/fuzz/NAME/.  Sources it needs besides: FUZZ_HELP_NAME.
#
# `make test` replays the corpora under ASan and UBSan; `make fuzz` builds with
# libFuzzer too and runs each for FUZZ_SECONDS (of them, FUZZ='NAME...').
# What crashes is left in the corpus of its target.
FUZZ_TARGETS := wire_entry:wire wire_mesh:wire wire_csr:wire envelope:wire \
	pki_csr:pki pki_cert:pki pki_crl:pki
FUZZ_HELP_wire_entry := tests/unit/wire/sample.c tests/unit/wire/tell.c
FUZZ_HELP_wire_mesh := $(FUZZ_HELP_wire_entry)
FUZZ_HELP_wire_csr := $(FUZZ_HELP_wire_entry)
FUZZ_HELP_envelope := $(FUZZ_HELP_wire_entry)
FUZZ_TARGETS += ca_apply:wire
FUZZ_HELP_ca_apply := tests/unit/ca/mem.c
FUZZ_TARGETS += jwks:cli config:node join_token:client token:auth restore:pki
FUZZ_TARGETS += mesh_seal:mesh signer_feed:signer join_request:cli
FUZZ_HELP_token := tests/unit/auth/world.c
FUZZ_HELP_restore := tests/unit/ca/mem.c

FUZZ_SECONDS ?= 60
FUZZ_NAMES := $(foreach t,$(FUZZ_TARGETS),$(firstword $(subst :, ,$(t))))
FUZZ ?= $(FUZZ_NAMES)
FUZZ_REPLAYS := $(FUZZ_NAMES:%=$(B)/tests/fuzz/replay_%)
FUZZ_PROGRAMS := $(FUZZ_NAMES:%=$(B)/tests/fuzz/fuzz_%)

fuzz_objs = $(patsubst %.c,$(B)/obj/%.o,tests/fuzz/fuzz_$(1).c $(FUZZ_HELP_$(1)))

define fuzz_rules # name, module
$(B)/tests/fuzz/replay_$(1): $$(call fuzz_objs,$(1)) $(B)/obj/tests/fuzz/replay.o $$(call libs_of,$(2))
$(B)/tests/fuzz/fuzz_$(1): $$(call fuzz_objs,$(1)) $$(call libs_of,$(2))
endef
$(foreach t,$(FUZZ_TARGETS),$(eval $(call fuzz_rules,$(firstword $(subst :, ,$(t))),$(lastword $(subst :, ,$(t))))))

$(FUZZ_REPLAYS):
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS)

$(FUZZ_PROGRAMS):
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS)

.PHONY: fuzz fuzz-programs fuzz-seeds
fuzz-programs: $(FUZZ:%=$(B)/tests/fuzz/fuzz_%)

# The build has a folder of its own: clang, and a sanitizer that gcc lacks.
fuzz:
	@command -v clang >/dev/null || { echo "fuzz needs clang and libFuzzer: apt-get install clang libclang-rt-14-dev" >&2; exit 1; }
	@$(MAKE) --no-print-directory B=build/fuzz CC=clang HARDEN=-fPIE \
		SAN=fuzzer-no-link,address,undefined fuzz-programs
	@for t in $(FUZZ); do \
		echo "== $$t, $(FUZZ_SECONDS) s"; \
		mkdir -p build/fuzz/corpus/$$t; \
		build/fuzz/tests/fuzz/fuzz_$$t -max_total_time=$(FUZZ_SECONDS) \
			-print_final_stats=1 -timeout=10 -rss_limit_mb=1500 \
			-artifact_prefix=tests/data/fuzz/$$t/ \
			build/fuzz/corpus/$$t tests/data/fuzz/$$t \
			2>build/fuzz/$$t.log && grep -E '^stat::number_of' build/fuzz/$$t.log || \
			{ tail -n 40 build/fuzz/$$t.log; exit 1; }; done

# The corpora of the wire targets, anew.
$(B)/tests/fuzz/seeds: $(B)/obj/tests/fuzz/seeds.o $(patsubst %.c,$(B)/obj/%.o,$(FUZZ_HELP_wire_entry)) $(call libs_of,wire)
	@mkdir -p $(@D)
	@$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS)
fuzz-seeds: $(B)/tests/fuzz/seeds
	@mkdir -p $(FUZZ_NAMES:%=tests/data/fuzz/%)
	@$< tests/data/fuzz
