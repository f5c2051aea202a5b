// etcd as the figures need it: one member (its own command line), a load of
// clients that each put a value, wait, and put the next, or leaders that are
// killed, quorated's and etcd's in turn.
//
//	etcd serve OPTION...
//	etcd load ENDPOINT,... CLIENTS SECONDS
//	etcd kills|hangs COUNT FOLDER NETWORK
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"go.uber.org/zap"
)

const valueSize = 512

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		os.Exit(1)
	}
}

// put until the time is over; how long each took, with those tries that timed
// out before it.
func put(ctx context.Context, c *clientv3.Client, client int) []time.Duration {
	var took []time.Duration
	value := strings.Repeat("v", valueSize)
	for i := 0; ; i++ {
		key := fmt.Sprintf("%d/%d", client, i)
		begin := time.Now()
		for {
			_, err := c.Put(ctx, key, value)
			if ctx.Err() != nil {
				return took
			}
			if err == nil {
				break
			}
		}
		took = append(took, time.Since(begin))
	}
}

func load(endpoints []string, clients int, span time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), span)
	defer cancel()
	var all []time.Duration
	var lock sync.Mutex
	var wait sync.WaitGroup
	for i := range clients {
		wait.Go(func() {
			c, err := clientv3.New(clientv3.Config{
				Endpoints:   endpoints[i%len(endpoints):][:1],
				DialTimeout: 5 * time.Second,
				Logger:      zap.NewNop()})
			fail(err)
			defer c.Close()
			took := put(ctx, c, i)
			lock.Lock()
			all = append(all, took...)
			lock.Unlock()
		})
	}
	wait.Wait()
	slices.Sort(all)
	at := func(share float64) int64 {
		return all[int(float64(len(all)-1)*share)].Microseconds()
	}
	fail(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"etcd_commits_per_s": int(float64(len(all)) / span.Seconds()),
		"etcd_p50_us":        at(0.5), "etcd_p99_us": at(0.99)}))
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		etcdmain.Main(append([]string{"etcd"}, os.Args[2:]...))
		return
	}
	if len(os.Args) != 5 || !slices.Contains([]string{"load", "kills", "hangs"}, os.Args[1]) {
		fmt.Fprintln(os.Stderr, "usage: etcd serve OPTION... | load ENDPOINT,... CLIENTS SECONDS |\n"+
			"       kills|hangs COUNT FOLDER NETWORK")
		os.Exit(2)
	}
	if os.Args[1] != "load" {
		n, err := strconv.Atoi(os.Args[2])
		fail(err)
		fail(kills(n, os.Args[3], os.Args[4], os.Args[1] == "hangs"))
		return
	}
	clients, err := strconv.Atoi(os.Args[3])
	fail(err)
	seconds, err := strconv.Atoi(os.Args[4])
	fail(err)
	load(strings.Split(os.Args[2], ","), clients, time.Duration(seconds)*time.Second)
}
