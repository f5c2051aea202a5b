// The oracle: etcd's raft, told what to do by the driver of tests/raft.
//
// A request on standard input is a tuning and the steps of one schedule; the
// answer is a hash of what each step shows, or the text of one step.  The form
// of both is in diff.h and diff_oracle.c.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

type op struct {
	Kind, Node, Flags, A, B, C, Timeout uint32
}

const (
	opTick = iota
	opDeliver
	opDisk
	opApply
	opReady
	opPropose
	opChange
	opTransfer
	opRead
	opCampaign
	opForget
	opUnreachable
	opReport
	opSnapshot
	opCompact
	opCrash
	opRestart
)

const (
	takeReady   = 1
	skipChanges = 2
	twoChanges  = 4
)

type tuning struct {
	Voters, Learners                           uint32
	Election, Heartbeat                        uint32
	MaxSize, MaxCommitted                      uint32
	MaxInflight, MaxInflightBytes, Uncommitted uint32
	CheckQuorum, PreVote, Lease, NoForwarding  uint32
	NoValidation, StepDown, Async, EarlyVotes  uint32
}

type request struct {
	kind, step uint32
	tuning     tuning
	ops        []op
}

func read(in io.Reader) (*request, error) {
	var head [2]uint32
	var n uint32
	q := &request{}

	if err := binary.Read(in, binary.LittleEndian, &head); err != nil {
		return nil, err
	}
	q.kind, q.step = head[0], head[1]
	if err := binary.Read(in, binary.LittleEndian, &q.tuning); err != nil {
		return nil, err
	}
	if err := binary.Read(in, binary.LittleEndian, &n); err != nil {
		return nil, err
	}
	q.ops = make([]op, n)
	return q, binary.Read(in, binary.LittleEndian, q.ops)
}

// fnv1a, as the driver has it.
func hash(text []byte) uint64 {
	h := uint64(0xcbf29ce484222325)
	for _, c := range text {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return h
}

func answer(q *request, out *bufio.Writer) error {
	w := newWorld(&q.tuning)
	hashes := make([]uint64, len(q.ops))

	for i := range q.ops {
		text := w.do(&q.ops[i])
		hashes[i] = hash(text)
		if q.kind == 1 && uint32(i) == q.step {
			binary.Write(out, binary.LittleEndian, uint32(len(text)))
			out.Write(text)
			return out.Flush()
		}
		if w.broken { // the driver never looks further
			break
		}
	}
	if err := binary.Write(out, binary.LittleEndian, hashes); err != nil {
		return err
	}
	return out.Flush()
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<16)
	out := bufio.NewWriterSize(os.Stdout, 1<<16)

	for {
		q, err := read(in)
		if err == io.EOF {
			return
		}
		if err == nil {
			err = answer(q, out)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "oracle:", err)
			os.Exit(1)
		}
	}
}
