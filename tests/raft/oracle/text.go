package main

import (
	"slices"
	"strconv"
	"unsafe"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"
)

// What a step shows; diff_text.c writes the same.
type text []byte

func (t *text) add(parts ...any) {
	for _, p := range parts {
		switch v := p.(type) {
		case string:
			*t = append(*t, v...)
		case []byte:
			*t = append(*t, v...)
		case uint64:
			*t = strconv.AppendUint(*t, v, 10)
		case int:
			*t = strconv.AppendInt(*t, int64(v), 10)
		case bool:
			if v {
				*t = append(*t, '1')
			} else {
				*t = append(*t, '0')
			}
		default:
			panic("no text for this")
		}
	}
}

func (t *text) change(data []byte) {
	var c pb.ConfChangeV2
	if proto.Unmarshal(data, &c) != nil {
		t.add(" undecoded")
		return
	}
	t.add(" change ", int(c.GetTransition()))
	for _, one := range c.GetChanges() {
		t.add(" ", "vrnl"[one.GetType():one.GetType()+1], one.GetNodeId())
	}
}

func (t *text) entries(ents []*pb.Entry) {
	for _, e := range ents {
		t.add(" (", e.GetTerm(), "/", e.GetIndex())
		if e.GetType() == pb.EntryConfChangeV2 {
			t.change(e.GetData())
		} else {
			t.add(" ", len(e.GetData()), ":", e.GetData())
		}
		t.add(")")
	}
}

func (t *text) ids(name string, ids []uint64) {
	t.add(" ", name)
	for _, id := range ids {
		t.add(" ", id)
	}
}

func (t *text) conf(c *pb.ConfState) {
	t.ids("voters", c.GetVoters())
	t.ids("outgoing", c.GetVotersOutgoing())
	t.ids("learners", c.GetLearners())
	t.ids("next", c.GetLearnersNext())
	t.add(" leave ", c.GetAutoLeave())
}

func (t *text) snapshot(s *pb.Snapshot) {
	m := s.GetMetadata()
	t.add(" snapshot {", m.GetTerm(), "/", m.GetIndex())
	t.conf(m.GetConfState())
	t.add("}")
}

func size(ents []*pb.Entry) (all, payload int) {
	for _, e := range ents {
		all += proto.Size(e)
		payload += len(e.GetData())
	}
	return all, payload
}

// The context of a request is in an entry, that of a heartbeat in the message.
func context(m *pb.Message) uint64 {
	switch m.GetType() {
	case pb.MsgReadIndex, pb.MsgReadIndexResp:
		return number(m.GetEntries()[0].GetData())
	case pb.MsgVote, pb.MsgPreVote:
		if len(m.GetContext()) > 0 {
			return 1 // the transfer of leadership
		}
	}
	return number(m.GetContext())
}

var messageNames = func() (names [32]string) {
	for i, name := range pb.MessageType_name {
		names[i] = name[len("Msg"):]
	}
	return names
}()

func (t *text) message(m *pb.Message) {
	kind, index := m.GetType(), m.GetIndex()
	ents := m.GetEntries()
	if kind == pb.MsgStorageApplyResp { // it has the entries, ours their sizes
		index = ents[len(ents)-1].GetIndex()
	}
	t.add(" ", messageNames[kind], " ", m.GetFrom(), ">", m.GetTo())
	t.add(" t", m.GetTerm(), " log ", m.GetLogTerm(), "/", index)
	t.add(" commit ", m.GetCommit())
	if m.GetVote() != 0 {
		t.add(" vote ", m.GetVote())
	}
	if m.GetReject() {
		t.add(" rejected hint ", m.GetRejectHint())
	}
	if c := context(m); c != 0 {
		t.add(" context ", c)
	}
	switch kind {
	case pb.MsgStorageApplyResp:
		all, payload := size(ents)
		t.add(" size ", all, " payload ", payload)
	case pb.MsgReadIndex, pb.MsgReadIndexResp:
	default:
		t.entries(ents)
	}
	if s := m.GetSnapshot(); !raft.IsEmptySnap(s) {
		t.snapshot(s)
	}
	for _, r := range m.GetResponses() {
		t.add("\n   then")
		t.message(r)
	}
}

var stateNames = []string{"follower", "candidate", "leader", "pre-candidate"}

func (t *text) ready(rd *raft.Ready) {
	t.add("ready sync ", rd.MustSync)
	if s := rd.SoftState; s != nil {
		t.add(" leader ", s.Lead, " ", stateNames[s.RaftState])
	}
	if h := rd.HardState; h != nil {
		t.add(" term ", h.GetTerm(), " vote ", h.GetVote())
		t.add(" commit ", h.GetCommit())
	}
	for _, r := range rd.ReadStates {
		t.add(" read ", number(r.RequestCtx), " at ", r.Index)
	}
	if !raft.IsEmptySnap(rd.Snapshot) {
		t.snapshot(rd.Snapshot)
	}
	t.add("\n append")
	t.entries(rd.Entries)
	t.add("\n apply")
	t.entries(rd.CommittedEntries)
	for _, m := range rd.Messages {
		t.add("\n ")
		t.message(m)
	}
	t.add("\n")
}

func (t *text) progress(k *tracker.ProgressTracker, id uint64) {
	states := [...]string{"probe", "replicate", "snapshot"}
	p := k.Progress[id]
	vote := 0
	if granted, ok := k.Votes[id]; ok && granted {
		vote = 1
	} else if ok {
		vote = 2
	}
	t.add("\n  ", id, " ", states[p.State], " match ", p.Match)
	t.add(" next ", p.Next)
	t.add(" sent ", *at[uint64](unsafe.Pointer(p), sentCommitAt))
	t.add(" inflight ", p.Inflights.Count(), "/")
	t.add(*at[uint64](unsafe.Pointer(p.Inflights), bytesAt), " vote ", vote)
	if p.PendingSnapshot != 0 {
		t.add(" pending ", p.PendingSnapshot)
	}
	if p.RecentActive {
		t.add(" active")
	}
	if p.MsgAppFlowPaused {
		t.add(" paused")
	}
	if p.IsLearner {
		t.add(" learner")
	}
}

func (t *text) log(p peek, s *raft.BasicStatus) {
	t.add("\n log ", *at[uint64](p.log, offsetAt), "+")
	t.add(len(*at[[]*pb.Entry](p.log, tailAt)))
	t.add(" given ", *at[uint64](p.log, givenAt), " commit ", s.GetCommit())
	t.add(" applying ", *at[uint64](p.log, applyingAt))
	t.add(" (", *at[uint64](p.log, applyingSizeAt))
	if *at[bool](p.log, pausedAt) {
		t.add(" paused")
	}
	t.add(") applied ", s.Applied)
	if p.hasSnapshot() {
		t.add(" snapshot")
		if *at[bool](p.log, snapGivenAt) {
			t.add(" given")
		}
	}
}

func (t *text) status(rn *raft.RawNode) {
	s, p := rn.BasicStatus(), look(rn)
	election, heartbeat := p.elapsed()

	t.add("n", s.ID, " ", stateNames[s.RaftState], " term ", s.GetTerm())
	t.add(" vote ", s.GetVote(), " leader ", s.Lead)
	t.add(" transfer ", s.LeadTransferee)
	t.add(" elapsed ", election, "/", heartbeat)
	t.log(p, &s)
	uncommitted := p.uncommitted()
	if s.RaftState != raft.StateLeader {
		uncommitted = 0 // of no meaning
	}
	t.add("\n change ", p.pendingConf(), " uncommitted ", uncommitted)
	t.add(" reads ", p.reads(), " waiting ", len(*p.waiting()))
	if rn.HasReady() {
		t.add(" ready")
	}
	t.add("\n ")
	k := p.tracker()
	t.conf(k.ConfState())
	ids := make([]uint64, 0, 8)
	for id := range k.Progress {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		t.progress(k, id)
	}
	t.add("\n")
}
