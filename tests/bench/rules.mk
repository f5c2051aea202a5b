# `make bench`: figures, as JSON lines; FIGURES="issue_core size" picks some.
BENCH := $(addprefix $(B)/bench/,issue_core floor crl_watch)

$(B)/bench/issue_core: $(B)/obj/tests/bench/issue_core.o $(call libs_of,node)
$(B)/bench/floor: $(B)/obj/tests/bench/floor.o $(call libs_of,base)
$(B)/bench/crl_watch: $(B)/obj/tests/bench/crl_watch.o $(call libs_of,base)
$(BENCH):
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS)

bench: deps
	@$(MAKE) --no-print-directory -j$$(nproc) all $(DEV_TOKEN) $(LOAD_PROGRAMS) $(BENCH)
	@B=$(B) tests/bench/run.sh $(FIGURES)
