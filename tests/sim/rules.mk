# The simulator.
SIM_SRCS := $(wildcard tests/sim/*.c) tests/unit/raft/describe.c src/node/pace.c $(TRACE_CHECK_SRCS)
SIM_PROGRAM := $(B)/tests/sim/sim

$(SIM_PROGRAM): $(patsubst %.c,$(B)/obj/%.o,$(SIM_SRCS)) $(call lib,raft)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^

sim: $(SIM_PROGRAM)
	@$< $(if $(SEED),--seed $(SEED) $(if $(TRACE),--trace $(TRACE)),--seeds $(or $(SEEDS),2000))
