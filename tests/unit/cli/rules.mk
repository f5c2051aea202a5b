# quorate init and join make data directories: store and signer come in.
CLI_MORE := $(foreach m,store signer raft,$(call lib,$(m)))
# Commands run against the client tests' server.
$(TESTS_cli): $(B)/obj/tests/unit/client/fake.o $(CLI_MORE)
$(foreach t,$(notdir $(TESTS_cli)),$(eval LDFLAGS_$(t) := -Wl,--start-group $(call libs_of,cli) $(CLI_MORE) -Wl,--end-group))
