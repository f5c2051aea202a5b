# Our core and etcd's module under the same random schedules.
DIFF := $(B)/tests/raft/diff
DIFF_SRCS := $(wildcard tests/raft/diff*.c)
DIFF_OBJS := $(patsubst %.c,$(B)/obj/%.o,$(DIFF_SRCS))

$(DIFF): $(DIFF_OBJS) $(call lib,raft)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^

.PHONY: raft-diff
raft-diff: $(DIFF)
	@B=$(B) tests/raft/diff.sh --steps $(or $(STEPS),500) \
		$(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000))
