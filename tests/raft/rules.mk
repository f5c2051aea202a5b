# etcd's data-driven scripts through our core.  They come with its Go module.
CONFORMANCE := $(B)/tests/conformance/raft-conformance
CONFORMANCE_OBJS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/raft/*.c))

$(CONFORMANCE): $(CONFORMANCE_OBJS) $(call lib,raft)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^

.PHONY: raft-conformance
raft-conformance: $(CONFORMANCE)
	@B=$(B) tests/raft/run.sh
