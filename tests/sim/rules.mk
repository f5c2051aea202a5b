# The simulator, and a second build of it and of raft/ whose guards a test can
# delete.
SIM_SRCS := $(wildcard tests/sim/*.c) tests/unit/raft/describe.c
SIM_RAFT_SRCS := $(wildcard raft/*.c)
SIM_OBJS := $(patsubst %.c,$(B)/obj/%.o,$(SIM_SRCS))
MUTANT_OBJS := $(patsubst %.c,$(B)/obj/mutant/%.o,$(SIM_SRCS) $(SIM_RAFT_SRCS))
SIM_PROGRAMS := $(B)/tests/sim/sim $(B)/tests/sim/sim-mutants

$(B)/obj/mutant/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $< (guards)"
	@$(CC) $(ALL_CFLAGS) -DRAFT_MUTATE -MMD -MP -c -o $@ $<

$(B)/tests/sim/sim: $(SIM_OBJS) $(call lib,raft)
$(B)/tests/sim/sim-mutants: $(MUTANT_OBJS)
$(SIM_PROGRAMS):
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^

sim: $(B)/tests/sim/sim
	@$< $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),2000))

guards: $(B)/tests/sim/sim-mutants
	@$<
