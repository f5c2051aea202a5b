# test_ca_faults fails each allocation of ours in turn.
LDFLAGS_test_ca_faults := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
