# test_snapshot counts the calls that change the disk, and crashes at one.
LDFLAGS_test_snapshot := -Wl,--wrap=mdb_txn_commit,--wrap=mdb_env_sync \
	-Wl,--wrap=rename,--wrap=remove,--wrap=fsync
# test_memory fails each allocation of ours in turn.
LDFLAGS_test_memory := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup
# test_power stands between LMDB and the kernel.
$(B)/tests/store/test_power: $(B)/obj/tests/power/power.o
