# `make bench`: figures, as JSON lines; FIGURES="issue_core size" picks some.
BENCH := $(addprefix $(B)/bench/,issue_core floor crl_watch raft_alone raft_disk)

$(B)/bench/issue_core: $(B)/obj/tests/bench/issue_core.o $(call libs_of,node)
$(B)/bench/raft_alone: $(B)/obj/tests/bench/raft_alone.o $(call libs_of,raft)
$(B)/bench/raft_disk: $(B)/obj/tests/bench/raft_disk.o $(call libs_of,store)
$(B)/bench/floor: $(B)/obj/tests/bench/floor.o $(call libs_of,base)
$(B)/bench/crl_watch: $(B)/obj/tests/bench/crl_watch.o $(call libs_of,base)
$(BENCH):
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS)

# The peer that the consensus is held against; pinned by go.sum.
$(B)/bench/etcd: $(wildcard tests/bench/etcd/*)
	@mkdir -p $(@D)
	@echo "  GO    $@"
	@cd tests/bench/etcd && go build -mod=readonly -buildvcs=false -o $(abspath $@) .

bench: deps
	@$(MAKE) --no-print-directory -j$$(nproc) all $(DEV_TOKEN) $(LOAD_PROGRAMS) $(BENCH) $(B)/bench/etcd
	@B=$(B) tests/bench/run.sh $(FIGURES)

# A node joins a cluster of so many certificates; 40 GB of disk, half an hour.
bench-snapshot: RECORDS ?= 5000000
bench-snapshot: deps
	@$(MAKE) --no-print-directory -j$$(nproc) all $(DEV_TOKEN) $(LOAD_PROGRAMS)
	@B=$(B) RECORDS=$(RECORDS) tests/e2e/resume.sh
