package main

import (
	"net"
	"strings"
	"syscall"

	"google.golang.org/grpc/resolver"
)

// pairs resolves a name that stands for two nodes, as a Service or DNS gives
// it.  There is no DNS server here: the addresses are in the name.
type pairs struct{}

func init() { resolver.Register(pairs{}) }

func pair(nodes []node) node {
	var list []string
	for _, n := range nodes {
		list = append(list, n.address)
	}
	return node{"both", pairs{}.Scheme() + ":///" + strings.Join(list, ",")}
}

func (pairs) Scheme() string { return "nodes" }

func (pairs) Build(target resolver.Target, conn resolver.ClientConn,
	_ resolver.BuildOptions,
) (resolver.Resolver, error) {
	var state resolver.State
	for _, address := range strings.Split(target.Endpoint(), ",") {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		state.Addresses = append(state.Addresses,
			resolver.Address{Addr: address, ServerName: host})
	}
	return pairs{}, conn.UpdateState(state)
}

func (pairs) ResolveNow(resolver.ResolveNowOptions) {}
func (pairs) Close()                                {}

func (w *world) kill() error { return syscall.Kill(w.pid, syscall.SIGKILL) }
