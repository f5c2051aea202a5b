# quorate-load, the load generator, and what else tests drive nodes with.
LOAD_OBJS := $(patsubst %,$(B)/obj/tests/load/%.o,main options csr books conn drive)
LOAD := $(B)/bin/quorate-load

$(LOAD): $(LOAD_OBJS) $(call libs_of,wire)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS)

# Says what nobody should say, to every port.
GARBAGE := $(B)/bin/quorate-garbage
$(GARBAGE): $(B)/obj/tests/load/garbage.o
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ -lssl -lcrypto

# Puts certificates by the million into the directories of stopped nodes.
FILL := $(B)/bin/quorate-fill
$(FILL): $(patsubst %,$(B)/obj/tests/load/%.o,fill fill_node) $(call libs_of,node)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS)

LOAD_PROGRAMS := $(LOAD) $(GARBAGE) $(FILL)
