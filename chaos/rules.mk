# quorate-chaos, and a node with a planted fault that it must find.
CHAOS := $(B)/bin/quorate-chaos
PLANTED := $(B)/bin/quorated-planted
CHAOS_SRCS := $(filter-out chaos/planted.c,$(wildcard chaos/*.c))
CHAOS_PROGRAMS := $(CHAOS) $(PLANTED)

$(CHAOS): $(patsubst %.c,$(B)/obj/%.o,$(CHAOS_SRCS)) $(call libs_of,client)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS)

$(PLANTED): $(B)/obj/src/node/main.o $(B)/obj/chaos/planted.o $(call libs_of,node)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(ALL_LDFLAGS) -Wl,--wrap=ca_apply -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS)

.PHONY: chaos chaos-planted chaos-programs
chaos-programs: $(BINS) $(LOAD) $(CHAOS_PROGRAMS)

# Exit status 0: nothing that was acknowledged was lost.
chaos: deps
	@$(MAKE) --no-print-directory -j$$(nproc) chaos-programs
	@$(CHAOS) --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

# One node drops a record: the verdict must be that it is lost.
chaos-planted: deps
	@$(MAKE) --no-print-directory -j$$(nproc) chaos-programs
	@B=$(B) SECONDS_EACH=$$((60 * $(or $(MINUTES),1))) SEED=$(SEED) chaos/check.sh planted
