# test_wire_faults fails each allocation of ours in turn.
LDFLAGS_test_wire_faults := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
