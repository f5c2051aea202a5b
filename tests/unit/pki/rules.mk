# test_pki_faults fails each allocation of ours in turn.
LDFLAGS_test_pki_faults := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
