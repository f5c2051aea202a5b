package main

import (
	"encoding/binary"
	"errors"
	"runtime"
	"strconv"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"
)

const nodes = 6

type node struct {
	w      *world
	id     uint64
	rn     *raft.RawNode // nil: down
	disk   *disk
	writes []*pb.Message
	apply  []*pb.Message
	taken  *raft.Ready // sync storage: not advanced yet
}

type world struct {
	t      *tuning
	node   [nodes + 1]node
	sent   []*pb.Message
	out    text
	broken bool
}

func newWorld(t *tuning) *world {
	w := &world{t: t}
	conf := pb.EnsureConfState(nil)
	for i := range t.Voters {
		conf.Voters = append(conf.Voters, uint64(i)+1)
	}
	for i := range t.Learners {
		conf.Learners = append(conf.Learners, uint64(t.Voters+i)+1)
	}
	for i := 1; i <= nodes; i++ {
		n := &w.node[i]
		n.w, n.id = w, uint64(i)
		if i <= int(t.Voters+t.Learners) {
			n.disk = newDisk(conf)
		} else {
			n.disk = newDisk(nil)
		}
		n.boot()
	}
	return w
}

func (n *node) boot() {
	t := n.w.t
	c := &raft.Config{
		ID:                          n.id,
		ElectionTick:                int(t.Election),
		HeartbeatTick:               int(t.Heartbeat),
		Storage:                     n.disk,
		Applied:                     n.disk.applied,
		AsyncStorageWrites:          t.Async != 0,
		MaxSizePerMsg:               uint64(t.MaxSize),
		MaxCommittedSizePerReady:    uint64(t.MaxCommitted),
		MaxUncommittedEntriesSize:   uint64(t.Uncommitted),
		MaxInflightMsgs:             int(t.MaxInflight),
		MaxInflightBytes:            uint64(t.MaxInflightBytes),
		CheckQuorum:                 t.CheckQuorum != 0,
		PreVote:                     t.PreVote != 0,
		DisableProposalForwarding:   t.NoForwarding != 0,
		DisableConfChangeValidation: t.NoValidation != 0,
		StepDownOnRemoval:           t.StepDown != 0,
		Logger:                      silent{},
	}
	if t.Lease != 0 {
		c.ReadOnlyOption = raft.ReadOnlyLeaseBased
	}
	n.rn, _ = raft.NewRawNode(c)
}

func number(b []byte) uint64 {
	if len(b) == 0 {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

// ---- Taking what is ready ----

// Our requests for votes wait for the disk: as responses of the append, behind
// the others (ADR 15).
func delayVotes(rd *raft.Ready) {
	var others, votes []*pb.Message
	for _, m := range rd.Messages {
		if m.GetType() == pb.MsgVote {
			votes = append(votes, m)
		} else {
			others = append(others, m)
		}
	}
	if len(votes) == 0 {
		return
	}
	for _, m := range others {
		if m.GetType() == pb.MsgStorageAppend {
			m.Responses = append(m.Responses, votes...)
			rd.Messages = others
		}
	}
}

func (n *node) takeReady() {
	if n.taken != nil || !n.rn.HasReady() {
		return
	}
	rd := n.rn.Ready()
	if n.w.t.Async != 0 && n.w.t.EarlyVotes == 0 {
		delayVotes(&rd)
	}
	n.w.out.ready(&rd)
	if n.w.t.Async == 0 {
		m := &pb.Message{Entries: rd.Entries, Snapshot: rd.Snapshot,
			Responses: rd.Messages}
		if h := rd.HardState; h != nil {
			m.Term, m.Vote, m.Commit = h.Term, h.Vote, h.Commit
		}
		n.writes = append(n.writes, m)
		n.apply = append(n.apply, &pb.Message{Entries: rd.CommittedEntries})
		n.taken = &rd
		return
	}
	for _, m := range rd.Messages {
		switch m.GetTo() {
		case raft.LocalAppendThread:
			n.writes = append(n.writes, m)
		case raft.LocalApplyThread:
			n.apply = append(n.apply, m)
		default:
			n.w.sent = append(n.w.sent, m)
		}
	}
}

// ---- Doing the work ----

func (n *node) respond(m *pb.Message) {
	for _, r := range m.GetResponses() {
		if r.GetTo() == n.id {
			n.rn.Step(r)
		} else {
			n.w.sent = append(n.w.sent, r)
		}
	}
}

func (n *node) doWrite() {
	m := n.writes[0]
	n.writes = n.writes[1:]
	n.disk.write(m)
	n.respond(m)
}

// etcd panics where a change cannot be; ours leaves all as it was.
func (n *node) change(c *pb.ConfChangeV2) (conf *pb.ConfState) {
	defer func() {
		x := recover()
		if x == nil {
			return
		}
		var bug runtime.Error
		if err, ok := x.(error); !ok || errors.As(err, &bug) {
			panic(x)
		}
		conf = nil
	}()
	defer n.forgetAcks(n.windows())
	return n.rn.ApplyConfChange(c)
}

func (n *node) windows() map[uint64]*tracker.Inflights {
	windows := map[uint64]*tracker.Inflights{}
	for id, p := range look(n.rn).tracker().Progress {
		windows[id] = p.Inflights
	}
	return windows
}

// With a peer that is removed goes what it acknowledged, even if it is added
// again, and then has a new window; etcd's still counts it.
func (n *node) forgetAcks(before map[uint64]*tracker.Inflights) {
	now := n.windows()
	for id, window := range before {
		if id != n.id && now[id] != window {
			delete(look(n.rn).acks(), id)
		}
	}
}

func (n *node) doApply(changes bool) {
	m := n.apply[0]
	n.apply = n.apply[1:]
	for _, e := range m.GetEntries() {
		if e.GetIndex() <= n.disk.applied {
			continue // a snapshot is further
		}
		var conf *pb.ConfState
		if e.GetType() == pb.EntryConfChangeV2 && changes {
			var c pb.ConfChangeV2
			if err := proto.Unmarshal(e.GetData(), &c); err != nil {
				panic(err)
			}
			if conf = n.change(&c); conf == nil {
				n.w.out.add("impossible at ", e.GetIndex(), "\n")
			}
		}
		n.disk.apply(e.GetIndex(), conf)
	}
	n.respond(m)
	if n.taken != nil {
		n.rn.Advance(*n.taken)
		n.taken = nil
	}
}

// ---- Events ----

func (n *node) result(err error) {
	code := -99
	switch {
	case err == nil:
		code = 0
	case errors.Is(err, raft.ErrProposalDropped):
		code = -1
	case errors.Is(err, raft.ErrStepPeerNotFound):
		code = -6
	}
	n.w.out.add("rc ", code, "\n")
}

func (n *node) propose(o *op) error {
	data := append([]byte(nil), strconv.Itoa(int(o.C))...)
	for uint32(len(data)) < o.B {
		data = append(data, '.')
	}
	m := &pb.Message{Type: pb.MsgProp.Enum(), From: &n.id}
	for range o.A {
		m.Entries = append(m.Entries, &pb.Entry{Data: data[:o.B]})
	}
	return n.rn.Step(m)
}

// A change as long as in our encoding: its context fills it up.
func changeBytes(o *op) []byte {
	c := &pb.ConfChangeV2{}
	if o.C == 0 && o.A == 0 {
		return nil
	}
	if o.A != 0 {
		c.Transition = pb.ConfChangeTransition(o.A).Enum()
	}
	for i := range o.C {
		bits := o.B >> (8 * i) & 0xff
		c.Changes = append(c.Changes, &pb.ConfChangeSingle{
			Type:   pb.ConfChangeType(bits >> 4).Enum(),
			NodeId: new(uint64(bits & 15))})
	}
	if more := 2 + 9*int(o.C) - proto.Size(c); more > 0 {
		c.Context = make([]byte, more-2)
	}
	data, err := proto.Marshal(c)
	if err != nil || len(data) != 2+9*int(o.C) {
		panic("a change of the wrong length")
	}
	return data
}

func (n *node) proposeChanges(data ...[]byte) error {
	m := &pb.Message{Type: pb.MsgProp.Enum(), From: &n.id}
	for _, d := range data {
		m.Entries = append(m.Entries,
			&pb.Entry{Type: pb.EntryConfChangeV2.Enum(), Data: d})
	}
	return n.rn.Step(m)
}

// Ours leaves a joint that had to wait for a transfer as soon as that has
// failed; etcd's waits for the next entry.
func (n *node) transferring(f func()) {
	before := n.rn.BasicStatus()
	f()
	after := n.rn.BasicStatus()
	if before.LeadTransferee == 0 || after.LeadTransferee != 0 ||
		after.RaftState != raft.StateLeader {
		return
	}
	p := look(n.rn)
	if p.tracker().Config.AutoLeave && after.Applied >= p.pendingConf() {
		n.proposeChanges(nil)
	}
}

func (n *node) event(o *op) {
	a := uint64(o.A)
	switch o.Kind {
	case opTick:
		for range o.A {
			n.transferring(n.rn.Tick)
		}
	case opDeliver:
		m := proto.Clone(n.w.sent[o.A]).(*pb.Message)
		n.transferring(func() { n.result(n.rn.Step(m)) })
	case opDisk:
		n.doWrite()
	case opApply:
		n.doApply(o.Flags&skipChanges == 0)
	case opPropose:
		n.result(n.propose(o))
	case opChange:
		data := changeBytes(o)
		if o.Flags&twoChanges != 0 {
			n.result(n.proposeChanges(data, data))
		} else {
			n.result(n.proposeChanges(data))
		}
	case opTransfer:
		n.transferring(func() { n.rn.TransferLeader(a) })
	case opRead:
		n.rn.ReadIndex(binary.LittleEndian.AppendUint64(nil, a))
	case opCampaign:
		n.rn.Campaign()
	case opForget:
		n.rn.ForgetLeader()
	case opUnreachable:
		n.rn.ReportUnreachable(a)
	case opReport:
		status := raft.SnapshotFailure
		if o.B != 0 {
			status = raft.SnapshotFinish
		}
		n.rn.ReportSnapshot(a, status)
	case opSnapshot:
		n.disk.refused = o.B == 0
		if o.B != 0 {
			n.disk.takeSnapshot(a)
		}
	case opCompact:
		n.disk.compact(a)
	case opCrash:
		n.rn, n.writes, n.apply, n.taken = nil, nil, nil, nil
	case opRestart:
		n.disk.rewind(a)
		n.boot()
	}
}

func (w *world) do(o *op) []byte {
	n := &w.node[o.Node]
	defer func() {
		if x := recover(); x != nil {
			w.broken = true
			w.out.add("stopped: ")
			switch v := x.(type) {
			case error:
				w.out.add(v.Error())
			case string:
				w.out.add(v)
			}
		}
	}()
	w.out = w.out[:0]
	n.event(o)
	if n.rn == nil {
		w.out.add("down\n")
		return w.out
	}
	p := look(n.rn)
	p.setTimeout(o.Timeout)
	// Ours forgets with its term the requests that wait for its first commit.
	if n.rn.BasicStatus().RaftState != raft.StateLeader {
		*p.waiting() = nil
	}
	if o.Flags&takeReady != 0 {
		n.takeReady()
	}
	w.out.status(n.rn)
	return w.out
}
