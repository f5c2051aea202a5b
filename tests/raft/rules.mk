# etcd's data-driven scripts through our core.  They come with its Go module.
CONFORMANCE := $(B)/tests/conformance/raft-conformance
CONFORMANCE_SRCS := $(filter-out tests/raft/diff%,$(wildcard tests/raft/*.c))
CONFORMANCE_OBJS := $(patsubst %.c,$(B)/obj/%.o,$(CONFORMANCE_SRCS))

$(CONFORMANCE): $(CONFORMANCE_OBJS) $(call lib,raft)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^

.PHONY: raft-conformance
raft-conformance: $(CONFORMANCE)
	@B=$(B) tests/raft/run.sh
