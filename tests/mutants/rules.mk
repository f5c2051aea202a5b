# A second build of raft/, whose guards (raft/guard.h) can be deleted one at a
# time, under the programs that must notice: the unit tests, the simulator, and
# what compares with etcd: its scripts and the differential test.
MUTANT := $(B)/tests/mutants
mutant_objs = $(patsubst %.c,$(B)/obj/mutant/%.o,$(1))
MUTANT_CORE := $(call mutant_objs,$(wildcard raft/*.c) tests/mutants/guard.c)
MUTANT_HELP := $(call mutant_objs,$(filter-out tests/unit/raft/test_%.c,$(wildcard tests/unit/raft/*.c)))
MUTANT_TESTS := $(patsubst tests/unit/raft/%.c,$(MUTANT)/%,$(wildcard tests/unit/raft/test_*.c))
MUTANT_PROGRAMS := $(MUTANT_TESTS) $(MUTANT)/sim $(MUTANT)/conformance \
	$(MUTANT)/diff $(MUTANT)/list

$(B)/obj/mutant/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $< (mutant)"
	@$(CC) $(ALL_CFLAGS) -DRAFT_MUTATE -MMD -MP -c -o $@ $<

$(MUTANT)/sim: $(call mutant_objs,$(SIM_SRCS)) $(MUTANT_CORE)
$(MUTANT)/conformance: $(call mutant_objs,$(CONFORMANCE_SRCS)) $(MUTANT_CORE)
$(MUTANT)/diff: $(call mutant_objs,$(DIFF_SRCS)) $(MUTANT_CORE)
$(MUTANT)/list: $(B)/obj/mutant/tests/mutants/list.o
$(MUTANT_TESTS): $(MUTANT)/test_%: $(B)/obj/mutant/tests/unit/raft/test_%.o $(MUTANT_HELP) $(MUTANT_CORE)
$(MUTANT_PROGRAMS):
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDFLAGS_$(@F)) $(if $(filter test_%,$(@F)),-lcmocka)

.PHONY: raft-mutants
raft-mutants: $(MUTANT_PROGRAMS)
	@tests/mutants/run $(MUTANT) $(if $(ALL),--all) $(GUARDS)
