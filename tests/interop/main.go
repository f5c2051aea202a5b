// Interop puts Istio's own certificate client (the one in pilot-agent) in front
// of real nodes.  Each case is one line, "ok ..." or "not ok ...": the gRPC
// status a node answers with, how often the client tries, and the chain.
//
//	interop -dir DIR -nodes east=127.9.1.1:8443,... -cluster east \
//		-identity spiffe://TD/ns/NS/sa/SA PHASE
//
// DIR holds root.pem and the tokens good, expired, audience, forged, unbound.
// Phases: issue (every node answers), blocked (the identity is revoked), lifted
// (it may ask again), family (keeps parent.pem, and a child of it), orphan (the
// parent is revoked), second (the first of two nodes is killed under a client
// that knows both), election (the leader has just been killed), no-quorum (only
// the named nodes are left).
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"istio.io/istio/pkg/log"
)

type node struct{ name, address string }

type world struct {
	dir, cluster, identity string
	pid                    int // whom the phase second kills
	nodes                  []node
	failed                 bool
}

// report prints the outcome of one case; err is nil where the claim holds.
func (w *world) report(n node, claim string, err error) {
	if err == nil {
		fmt.Printf("ok %s: %s\n", n.name, claim)
		return
	}
	w.failed = true
	why := strings.ReplaceAll(err.Error(), "\n", "\n#   ")
	fmt.Printf("not ok %s: %s\n#   %s\n", n.name, claim, why)
}

// token reads one of the tokens that run.sh had minted.
func (w *world) token(name string) string {
	text, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return strings.TrimSpace(string(text))
}

func parseNodes(list string) (nodes []node) {
	for _, row := range strings.Split(list, ",") {
		name, address, _ := strings.Cut(row, "=")
		nodes = append(nodes, node{name, address})
	}
	return nodes
}

// quiet leaves the output to the cases: Istio's client logs every failure.
func quiet() {
	options := log.DefaultOptions()
	for _, scope := range []string{"default", "ca", "citadelclient"} {
		options.SetDefaultOutputLevel(scope, log.NoneLevel)
	}
	if err := log.Configure(options); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func main() {
	var w world
	flag.StringVar(&w.dir, "dir", "", "folder with root.pem and tokens")
	flag.StringVar(&w.cluster, "cluster", "", "the tokens' cluster")
	flag.StringVar(&w.identity, "identity", "", "the tokens' SPIFFE ID")
	nodes := flag.String("nodes", "", "NAME=HOST:PORT[,...]")
	flag.IntVar(&w.pid, "kill", 0, "process that the phase second kills")
	flag.Parse()
	w.nodes = parseNodes(*nodes)
	phases := map[string]func(*world, node){
		"issue": issue, "blocked": blocked, "lifted": lifted,
		"family": family, "orphan": orphan,
		"election": election, "no-quorum": noQuorum,
	}
	phase := phases[flag.Arg(0)]
	two := flag.Arg(0) == "second" && len(w.nodes) == 2 && w.pid > 0
	if (phase == nil && !two) || flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "phase: issue, blocked, lifted, family, orphan,"+
			" second, election or no-quorum")
		os.Exit(2)
	}
	quiet()
	if two {
		second(&w, w.nodes)
		w.nodes = nil
	}
	for _, n := range w.nodes {
		phase(&w, n)
	}
	if w.failed {
		os.Exit(1)
	}
}
