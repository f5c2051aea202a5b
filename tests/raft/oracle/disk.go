package main

import (
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// What is durable on one node; diff_disk.c is the other side's.
type disk struct {
	hard     *pb.HardState
	base     uint64 // the log begins after it
	baseTerm uint64
	log      []*pb.Entry
	applied  uint64
	confs    []keptConf
	snapshot *pb.Snapshot
	refused  bool
}

type keptConf struct { // since the entry of this index is applied
	index uint64
	conf  *pb.ConfState
}

func (d *disk) last() uint64 { return d.base + uint64(len(d.log)) }

func (d *disk) conf() *pb.ConfState { return d.confs[len(d.confs)-1].conf }

func snapshotOf(index, term uint64, conf *pb.ConfState) *pb.Snapshot {
	return &pb.Snapshot{Metadata: &pb.SnapshotMetadata{
		Index: &index, Term: &term, ConfState: conf}}
}

func newDisk(conf *pb.ConfState) *disk {
	d := &disk{hard: &pb.HardState{}}

	if conf == nil {
		d.snapshot = pb.EnsureSnapshot(nil)
		d.confs = []keptConf{{0, pb.EnsureConfState(nil)}}
		return d
	}
	one := uint64(1)
	d.base, d.baseTerm, d.applied = 1, 1, 1
	d.hard = &pb.HardState{Term: &one, Vote: new(uint64), Commit: &one}
	d.snapshot = snapshotOf(1, 1, conf)
	d.confs = []keptConf{{1, conf}}
	return d
}

// ---- raft.Storage ----

func (d *disk) InitialState() (*pb.HardState, *pb.ConfState, error) {
	return d.hard, d.conf(), nil
}

func (d *disk) Entries(lo, hi, max uint64) ([]*pb.Entry, error) {
	if lo <= d.base {
		return nil, raft.ErrCompacted
	}
	if hi > d.last()+1 {
		return nil, raft.ErrUnavailable
	}
	var out []*pb.Entry
	var size uint64
	for _, e := range d.log[lo-d.base-1 : hi-d.base-1] {
		size += uint64(proto.Size(e))
		if len(out) > 0 && size > max {
			break
		}
		out = append(out, e)
	}
	return out[:len(out):len(out)], nil
}

func (d *disk) Term(i uint64) (uint64, error) {
	switch {
	case i < d.base:
		return 0, raft.ErrCompacted
	case i > d.last():
		return 0, raft.ErrUnavailable
	case i == d.base:
		return d.baseTerm, nil
	}
	return d.log[i-d.base-1].GetTerm(), nil
}

func (d *disk) LastIndex() (uint64, error) { return d.last(), nil }

func (d *disk) FirstIndex() (uint64, error) { return d.base + 1, nil }

func (d *disk) Snapshot() (*pb.Snapshot, error) {
	if d.refused {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return proto.Clone(d.snapshot).(*pb.Snapshot), nil
}

// ---- Writing ----

func (d *disk) write(m *pb.Message) {
	if s := m.GetSnapshot(); !raft.IsEmptySnap(s) {
		meta := s.GetMetadata()
		d.snapshot = s
		d.base, d.baseTerm = meta.GetIndex(), meta.GetTerm()
		d.applied = d.base
		d.log = nil
		d.confs = []keptConf{{d.base, meta.GetConfState()}}
	}
	if ents := m.GetEntries(); len(ents) > 0 {
		keep := ents[0].GetIndex() - d.base - 1
		d.log = append(d.log[:keep:keep], ents...)
	}
	if m.GetTerm() != 0 {
		d.hard = &pb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}
	}
}

func (d *disk) apply(i uint64, changed *pb.ConfState) {
	d.applied = i
	if changed != nil {
		d.confs = append(d.confs, keptConf{i, changed})
	}
}

func (d *disk) confAt(i uint64) int {
	n := len(d.confs)
	for n > 1 && d.confs[n-1].index > i {
		n--
	}
	return n
}

func (d *disk) takeSnapshot(i uint64) {
	term, _ := d.Term(i)
	d.snapshot = snapshotOf(i, term, d.confs[d.confAt(i)-1].conf)
}

func (d *disk) compact(to uint64) {
	term, _ := d.Term(to)
	d.log = append([]*pb.Entry(nil), d.log[to-d.base:]...)
	d.base, d.baseTerm = to, term
}

func (d *disk) rewind(applied uint64) {
	d.confs = d.confs[:d.confAt(applied)]
	d.applied = applied
}
