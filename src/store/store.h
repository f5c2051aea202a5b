/* store.h -- what a node keeps on disk: the raft log and the replicated state,
 * in two LMDB environments under one data directory.
 *
 *   DIR/raft    log, hard state, boundary; every write is synced: that is the
 *               durability (ARCHITECTURE §8)
 *   DIR/state   the state machine's rows and the applied index, in one
 *               transaction; may lag the log and is replayed from it
 *   DIR/store.lock   held while a process has the store open; not empty once
 *               the directory is bound to a node
 *
 * One thread (the node loop) calls everything but store_read_*, which any
 * thread may call.  After E_IO or E_CORRUPT from a write the process must end:
 * what reached the disk is unknown. */
#ifndef QUORATE_STORE_STORE_H
#define QUORATE_STORE_STORE_H

#include "ca/db.h"
#include "raft.h"

#define STORE_FORMAT 1   /* of both environments */
#ifdef QUORATE_SANITIZED /* its shadow leaves less room */
#define STORE_MAP_SIZE_DEFAULT (1ULL << 37)
#else
#define STORE_MAP_SIZE_DEFAULT (1ULL << 40) /* virtual; disk is as used */
#endif
#define STORE_RESERVE_DEFAULT (256ULL << 20) /* bytes */
#define STORE_ENTRY_SIZE(len) ((len) + 16)   /* as raft's default */

struct store;

struct store_config {
	const char *dir;   /* made if it is not there (0700) */
	uint64_t map_size; /* of each environment; 0: the default */
	uint64_t reserve;  /* store_space_check refuses below it */
	unsigned raft_flags, state_flags; /* more of LMDB's: tests only */
	bool has_peers; /* what is damaged can be had from them */
};

/* Open, finish an interrupted snapshot installation, verify the pages of both
 * files and the whole raft log (CRC and hash chain).  What is damaged and can
 * be made again is set aside (see Damage); what cannot is E_CORRUPT.  Errors
 * say what to do next: E_CONFLICT another process has it open; E_DENIED
 * permission; E_UNSUPPORTED a newer format; E_EXHAUSTED no space; E_IO. */
enum code store_open(struct store **out, const struct store_config *config,
    struct err *e) MUST_CHECK;
/* What was not committed (store_state_commit) is dropped, as in a crash. */
void store_close(struct store *s); /* NULL is fine */

/* ---- Whose directory it is ------------------------------------------------
 */

struct store_identity {
	uint8_t trust_domain[32]; /* SHA-256 of its name */
	uint64_t node_id;         /* raft id */
};
/* Bind the directory to id, durably, or check that it is bound to it.
 * E_CONFLICT: it is another node's or another trust domain's. */
enum code store_bind(
    struct store *s, const struct store_identity *id, struct err *e) MUST_CHECK;
/* E_NOTFOUND: not bound yet. */
enum code store_identity(const struct store *s, struct store_identity *out,
    struct err *e) MUST_CHECK;

/* For `init`: a new directory with this log and an empty state; E_EXISTS if
 * there is a log already. */
enum code store_bootstrap(const struct store_config *config,
    const struct store_identity *id, const struct raft_hard_state *hs,
    const struct raft_entry *entries, size_t n, struct err *e) MUST_CHECK;

/* ---- Damage -----------------------------------------------------------------
 *
 * A damaged state/ becomes state.damaged, and is made again from the log or a
 * snapshot.  A log that is damaged, or begins after a state that was lost,
 * becomes raft.damaged; term and vote are kept, the log begins anew behind what
 * state/ has applied, and a mark says so: until peers have sent what this node
 * once acknowledged it must not vote (ADR 0017).  Term and vote themselves
 * cannot be made again: then nothing is touched, and the node does not start.
 */

#define STORE_DAMAGE_MAX 400

/* Why the log was begun anew, until store_repaired; empty: it is whole. */
const char *store_repairing(const struct store *s);
/* The log holds again all that it held: take the mark away, durably. */
enum code store_repaired(struct store *s, struct err *e) MUST_CHECK;
/* The rows of state/ are sound one by one, but not as a whole: it goes the way
 * of a damaged one.  Before anything else was read from it. */
enum code store_state_discard(
    struct store *s, const char *why, struct err *e) MUST_CHECK;
/* E_CORRUPT once something that was read, by any thread, was not what had been
 * written: the process must end, and heals when it starts. */
enum code store_damaged(const struct store *s, struct err *e) MUST_CHECK;

/* ---- Raft log --------------------------------------------------------------
 */

/* One durable transaction: the hard state (NULL: as it was), and the entries,
 * consecutive, which replace whatever was at their index and after.  With no
 * entries and only a higher commit index nothing is synced (raft needs no
 * durable commit index); it goes to disk with the next append.
 * Errors: E_IO, E_NOMEM (end the process); E_INTERNAL: the entries leave a gap
 * or would replace an applied one. */
enum code store_append(struct store *s, const struct raft_hard_state *hs,
    const struct raft_entry *entries, size_t n, struct err *e) MUST_CHECK;

/* raft.h's storage over this store; valid until store_close.  The
 * configuration of initial_state is the one at store_durable_applied, which is
 * what goes into raft_config.applied.  snapshot() offers the durably applied
 * state.  RAFT_EIO: store_fault has the reason. */
void store_raft_storage(struct store *s, struct raft_storage *out);
/* The last error behind a RAFT_EIO. */
const struct err *store_fault(const struct store *s);

uint64_t store_first_index(const struct store *s);
uint64_t store_last_index(const struct store *s);
/* Cut the log up to and including `upto`, or what is durably applied if that
 * is less.  Index, term and chain of the boundary stay. */
enum code store_compact(
    struct store *s, uint64_t upto, struct err *e) MUST_CHECK;

/* ---- Space ------------------------------------------------------------------
 */

/* The least of: free on disk, free in either map. */
enum code store_space(
    const struct store *s, uint64_t *free_bytes, struct err *e) MUST_CHECK;
/* E_EXHAUSTED if `want` more bytes would leave less than the reserve.  Asked
 * before anything is proposed or accepted: then nothing has left yet. */
enum code store_space_check(
    const struct store *s, uint64_t want, struct err *e) MUST_CHECK;

/* ---- State ------------------------------------------------------------------
 */

/* The tables on the open write transaction: begun at the first use after a
 * commit, by the calling thread, which must be the one that commits. */
void store_state_db(struct store *s, struct ca_db *out);
/* In the open transaction, with the rows of what was applied; for every entry,
 * also those that leave no rows (no-ops, conf changes).  cs: the
 * configuration as of index; NULL: as it was. */
enum code store_state_set_applied(struct store *s, uint64_t index,
    uint64_t term, const struct raft_conf_state *cs, struct err *e) MUST_CHECK;
/* Make it durable; no work if nothing is pending. */
enum code store_state_commit(struct store *s, struct err *e) MUST_CHECK;
uint64_t store_applied(const struct store *s);         /* open transaction */
uint64_t store_durable_applied(const struct store *s); /* last commit */
uint64_t store_state_pending(const struct store *s); /* entries since commit */
/* Configuration at store_applied. */
void store_state_conf(const struct store *s, struct raft_conf_state *out);

/* Free the slots of readers whose process died; from time to time. */
enum code store_reader_check(
    struct store *s, unsigned *freed, struct err *e) MUST_CHECK;

/* ---- Readers, any thread
 * ------------------------------------------------------ */

struct store_read;

/* The committed state, unchanging until store_read_end; keep it short: pages
 * it can see are not reused.  put and del answer E_INTERNAL. */
enum code store_read_begin(struct store *s, struct store_read **out,
    struct ca_db *db, struct err *e) MUST_CHECK;
uint64_t store_read_applied(const struct store_read *r);
void store_read_end(struct store_read *r); /* NULL is fine */
/* For how long the oldest that is open has been; 0: there is none. */
uint64_t store_oldest_read_ms(struct store *s);

/* ---- Snapshots: records, not pages
 * --------------------------------------------- */

#define STORE_PIECE_MAX (128 * 1024) /* bytes of a value */
struct store_row {
	enum ca_table table;
	struct span key, val;
	bool more; /* a piece; the next row has the same key and goes on */
};
/* Where a stream is.  It holds for one snapshot; for another only `log` holds,
 * and the receiver calls store_install_clear_small. */
struct store_snapshot_pos {
	uint64_t small; /* rows of SMALL tables sent */
	size_t piece;   /* bytes of the next one's value that were sent */
	uint64_t log;   /* next raft index of a LOG row; 0: from the first */
};
struct store_snapshot;

/* Sender: the applied state, which is committed first.  It is often newer than
 * the snapshot raft asked to send (min_index: that one's index), and must be: a
 * learner refuses a snapshot whose configuration does not name it.  So send the
 * message with store_snapshot_meta in place of its snapshot.  SMALL rows are
 * copied here.  E_UNAVAILABLE: min_index is not applied. */
enum code store_snapshot_open(struct store *s, uint64_t min_index,
    struct store_snapshot **out, struct err *e) MUST_CHECK;
void store_snapshot_close(struct store_snapshot *n); /* NULL is fine */
/* Index, term and configuration; data is empty. */
void store_snapshot_meta(
    const struct store_snapshot *n, struct raft_snapshot *out);
/* Rows from *pos on: at least one, then while they stay within max_bytes; all
 * borrow until the next call.  *pos moves behind them.  *rows_n 0: it is the
 * end.  DERIVED tables are not sent; the value of a SMALL row comes in pieces
 * of STORE_PIECE_MAX. */
enum code store_snapshot_next(struct store_snapshot *n,
    struct store_snapshot_pos *pos, size_t max_bytes,
    const struct store_row **rows, size_t *rows_n, struct err *e) MUST_CHECK;

/* Receiver: a fresh environment in DIR/state.new.  One at a time; an earlier
 * one is dropped. */
enum code store_install_begin(struct store *s, struct err *e) MUST_CHECK;
/* Its tables; rows may become durable at any put. */
enum code store_install_db(
    struct store *s, struct ca_db *out, struct err *e) MUST_CHECK;
/* Drop SMALL rows: a stream goes on from a later snapshot. */
enum code store_install_clear_small(struct store *s, struct err *e) MUST_CHECK;
/* All that was put is durable: what is left for store_install_finish is short.
 */
enum code store_install_sync(struct store *s, struct err *e) MUST_CHECK;
/* begin, clear_small, sync, and what is done with the tables may be another
 * thread's work than the node loop's, one after the other: each calls this
 * before the other goes on, and before it ends. */
enum code store_install_rest(struct store *s, struct err *e) MUST_CHECK;
/* Make it the state: its applied index and configuration become those of meta,
 * the log is empty and begins after it, the hard state becomes hs (NULL: as it
 * was) with meta's index as commit: append hs again with the entries that came
 * along.  Crash-safe at each step.  What was open on store_state_db is dropped:
 * open a new struct ca on it.  Readers keep the state they began with.
 * E_CONFLICT: meta is not ahead of store_applied, and then nothing is changed;
 * after any other error the process must end. */
enum code store_install_finish(struct store *s,
    const struct raft_snapshot *meta, const struct raft_hard_state *hs,
    struct err *e) MUST_CHECK;
void store_install_abort(struct store *s); /* no error if there is none */

#endif
