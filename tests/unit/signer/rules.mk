# test_trust fails each allocation of ours in turn.
LDFLAGS_test_trust := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
