# The simulator over the real store, on a disk that forgets.
SIM_STORE := $(B)/tests/sim/sim-store
SIM_STORE_SRCS := $(filter-out %/main.c,$(SIM_SRCS)) \
	$(wildcard tests/simstore/*.c) tests/power/power.c

$(SIM_STORE): $(patsubst %.c,$(B)/obj/%.o,$(SIM_STORE_SRCS)) $(call libs_of,store)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS)

.PHONY: sim-store
sim-store: $(SIM_STORE)
	@$< $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),200))
