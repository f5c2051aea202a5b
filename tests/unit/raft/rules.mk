# test_raft_faults fails each allocation of ours in turn.
LDFLAGS_test_raft_faults := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
