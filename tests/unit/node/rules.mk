# test_provision fails, or dies at, each rename in turn.
LDFLAGS_test_provision := -Wl,--wrap=rename
