package main

import (
	"reflect"
	"unsafe"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// What RawNode does not show: fields of the pinned version, found by name.  Only
// the election timeout, the reads that wait and their acknowledgements are ever
// written.

func field(t reflect.Type, names ...string) (reflect.Type, uintptr) {
	var at uintptr
	for _, name := range names {
		f, ok := t.FieldByName(name)
		if !ok {
			panic("the module has no field " + name)
		}
		at += f.Offset
		t = f.Type
	}
	return t, at
}

func offset(t reflect.Type, names ...string) uintptr {
	_, at := field(t, names...)
	return at
}

var (
	nodeType              = reflect.TypeOf(raft.RawNode{})
	raftPointer, raftAt   = field(nodeType, "raft")
	raftType              = raftPointer.Elem()
	logPointer, logAt     = field(raftType, "raftLog")
	logType               = logPointer.Elem()
	readsPointer, readsAt = field(raftType, "readOnly")
	readsType             = readsPointer.Elem()

	timeoutAt     = offset(raftType, "randomizedElectionTimeout")
	electionAt    = offset(raftType, "electionElapsed")
	heartbeatAt   = offset(raftType, "heartbeatElapsed")
	pendingAt     = offset(raftType, "pendingConfIndex")
	uncommittedAt = offset(raftType, "uncommittedSize")
	trackerAt     = offset(raftType, "trk")
	waitingAt     = offset(raftType, "pendingReadIndexMessages")
	unconfirmedAt = offset(readsType, "unconfirmedReads")
	acksAt        = offset(readsType, "acks")

	applyingAt     = offset(logType, "applying")
	applyingSizeAt = offset(logType, "applyingEntsSize")
	pausedAt       = offset(logType, "applyingEntsPaused")
	offsetAt       = offset(logType, "unstable", "offset")
	givenAt        = offset(logType, "unstable", "offsetInProgress")
	tailAt         = offset(logType, "unstable", "entries")
	snapAt         = offset(logType, "unstable", "snapshot")
	snapGivenAt    = offset(logType, "unstable", "snapshotInProgress")

	sentCommitAt = offset(reflect.TypeOf(tracker.Progress{}), "sentCommit")
	bytesAt      = offset(reflect.TypeOf(tracker.Inflights{}), "bytes")
)

type peek struct{ raft, log unsafe.Pointer }

func look(rn *raft.RawNode) peek {
	r := *at[unsafe.Pointer](unsafe.Pointer(rn), raftAt)
	return peek{r, *at[unsafe.Pointer](r, logAt)}
}

func at[T any](p unsafe.Pointer, offset uintptr) *T {
	return (*T)(unsafe.Add(p, offset))
}

func (p peek) setTimeout(ticks uint32) { *at[int](p.raft, timeoutAt) = int(ticks) }

func (p peek) elapsed() (int, int) {
	return *at[int](p.raft, electionAt), *at[int](p.raft, heartbeatAt)
}

func (p peek) pendingConf() uint64 { return *at[uint64](p.raft, pendingAt) }

func (p peek) uncommitted() uint64 { return *at[uint64](p.raft, uncommittedAt) }

func (p peek) tracker() *tracker.ProgressTracker {
	return at[tracker.ProgressTracker](p.raft, trackerAt)
}

func (p peek) waiting() *[]*pb.Message {
	return at[[]*pb.Message](p.raft, waitingAt)
}

func (p peek) reads() int {
	reads := *at[unsafe.Pointer](p.raft, readsAt)
	return len(*at[[]unsafe.Pointer](reads, unconfirmedAt))
}

func (p peek) acks() map[uint64]uint64 {
	reads := *at[unsafe.Pointer](p.raft, readsAt)
	return *at[map[uint64]uint64](reads, acksAt)
}

func (p peek) hasSnapshot() bool {
	return *at[*pb.Snapshot](p.log, snapAt) != nil
}
