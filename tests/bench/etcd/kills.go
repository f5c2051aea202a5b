package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

const (
	members  = 3
	pollGap  = 5 * time.Millisecond
	askLimit = 500 * time.Millisecond
	patience = 30 * time.Second
)

// standing is what a member says of itself.
type standing struct {
	leader    int // of the members, from 0; -1: it knows none
	term      uint64
	committed uint64
	applied   uint64
}

// peer is one member, as a client meets it.
type peer interface {
	status(ctx context.Context) (standing, error)
	write(ctx context.Context) error // returns when it is committed
}

// party is three processes, one of which leads.
type party struct {
	name  string
	hang  bool   // the leader stands still (SIGSTOP), and ends later
	dir   string // its run/NAME starts a member, log/NAME takes what it says
	names [members]string
	peers [members]peer
	run   [members]*exec.Cmd
}

// start lets a member run; it ends with the thread that starts it.
func (p *party) start(i int) error {
	log, err := os.OpenFile(filepath.Join(p.dir, "log", p.names[i]),
		os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	c := exec.Command(filepath.Join(p.dir, "run", p.names[i]))
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.run[i] = c
	return c.Start()
}

// strike and bury: a process that hangs keeps its connections.
func (p *party) strike(i int) {
	if p.hang {
		_ = p.run[i].Process.Signal(syscall.SIGSTOP)
	} else {
		p.bury(i)
	}
}

func (p *party) bury(i int) {
	_ = p.run[i].Process.Kill()
	_ = p.run[i].Wait() // it was killed
}

func ask(q peer) (standing, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	return q.status(ctx)
}

// settled names the leader that all agree on, once each has applied what was
// committed when the first was asked.
func (p *party) settled() (int, uint64, bool) {
	var said [members]standing
	for i, q := range p.peers {
		var err error
		if said[i], err = ask(q); err != nil {
			return 0, 0, false
		}
	}
	for _, s := range said {
		if s.leader < 0 || s.leader != said[0].leader || s.term != said[0].term ||
			s.applied < said[0].committed {
			return 0, 0, false
		}
	}
	return said[0].leader, said[0].term, true
}

func (p *party) settle() (int, uint64, error) {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if leader, term, ok := p.settled(); ok {
			return leader, term, nil
		}
		time.Sleep(10 * pollGap)
	}
	return 0, 0, fmt.Errorf("%s: no three that agree within %v", p.name, patience)
}

// named polls a member until it names another leader.
func named(q peer, old int) (who int, term uint64, at time.Time, err error) {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		s, err := ask(q)
		if err == nil && s.leader >= 0 && s.leader != old {
			return s.leader, s.term, time.Now(), nil
		}
		time.Sleep(pollGap)
	}
	return 0, 0, at, fmt.Errorf("no other leader within %v", patience)
}

// written is when the new leader had committed something.
func written(q peer) (time.Time, error) {
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err = q.write(ctx)
		cancel()
		if err == nil {
			return time.Now(), nil
		}
		time.Sleep(pollGap)
	}
	return time.Time{}, err
}

// outcome of one kill, in milliseconds since.
type outcome struct {
	First float64 // a survivor names another leader
	Both  float64 // both do
	Write float64 // that leader has committed a client's write
	Terms float64 // how many terms further
}

type sighting struct {
	who  int
	term uint64
	at   time.Time
	err  error
}

func (p *party) watch(old int) <-chan sighting {
	seen := make(chan sighting, members)
	for i, q := range p.peers {
		if i == old {
			continue
		}
		go func() {
			who, term, at, err := named(q, old)
			seen <- sighting{who, term, at, err}
		}()
	}
	return seen
}

// kill the leader, see what the others do, and bring it back.
func (p *party) kill() (outcome, error) {
	var o outcome
	old, term, err := p.settle()
	if err != nil {
		return o, err
	}
	for _, q := range p.peers { // over a connection that stands
		if _, err := written(q); err != nil {
			return o, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	time.Sleep(rand.N(time.Second)) // anywhere between two heartbeats
	seen := p.watch(old)
	begin := time.Now()
	p.strike(old)
	since := func(t time.Time) float64 {
		return float64(t.Sub(begin).Microseconds()) / 1000
	}
	first := <-seen
	if first.err != nil {
		return o, fmt.Errorf("%s: %w", p.name, first.err)
	}
	wrote, err := written(p.peers[first.who])
	second := <-seen
	if err == nil {
		err = second.err
	}
	if err != nil {
		return o, fmt.Errorf("%s: %w", p.name, err)
	}
	o = outcome{First: since(first.at), Both: since(second.at),
		Write: since(wrote), Terms: float64(second.term - term)}
	if p.hang {
		p.bury(old)
	}
	return o, p.start(old)
}

// kills alternates between the two, so that both meet the same machine, and
// prints a line for each round.
func kills(n int, dir, net string, hang bool) error {
	runtime.LockOSThread() // the members end with it
	ours, err := newOurs(dir, net)
	if err != nil {
		return err
	}
	etcd, err := newEtcd(dir, net)
	if err != nil {
		return err
	}
	parties := []*party{ours, etcd}
	for _, p := range parties {
		p.hang = hang
		for i := range members {
			if err := p.start(i); err != nil {
				return err
			}
		}
	}
	for range n {
		line := map[string]float64{}
		for _, p := range parties {
			o, err := p.kill()
			if err != nil {
				return err
			}
			line[p.name+"_first_ms"] = o.First
			line[p.name+"_ms"] = o.Both
			line[p.name+"_write_ms"] = o.Write
			line[p.name+"_terms"] = o.Terms
		}
		if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
			return err
		}
	}
	return nil
}
