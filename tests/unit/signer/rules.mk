# test_trust fails each allocation of ours in turn.
LDFLAGS_test_trust := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
# test_process does so too, and cuts short what waits for a signer that hangs.
LDFLAGS_test_process := -Wl,--wrap=calloc,--wrap=realloc,--wrap=poll
