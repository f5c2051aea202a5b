# The checker of traces: in the simulator on every seed, and on files.
TRACE_CHECK_SRCS := $(addprefix tests/trace/,check.c known.c members.c \
	messages.c terms.c)
TRACE_CHECK := $(B)/tests/trace/trace-check

$(TRACE_CHECK): $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/trace/*.c)) $(call lib,raft)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ -ljansson

.PHONY: raft-trace-check
raft-trace-check: $(TRACE_CHECK)
	@$< $(FILE)
