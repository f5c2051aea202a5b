package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"istio.io/istio/pkg/security"
	"istio.io/istio/security/pkg/nodeagent/caclient/providers/citadel"
)

// credentials hands out the token.  The client asks for it at each attempt,
// which is how the attempts come to be counted and timed.
type credentials struct {
	token string
	mu    sync.Mutex
	times []time.Time
}

func (c *credentials) GetPlatformCredential() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.times = append(c.times, time.Now())
	return c.token, nil
}
func (c *credentials) GetIdentityProvider() string { return "" }
func (c *credentials) Stop()                       {}

// ask is one request as pilot-agent makes it.
type ask struct {
	node      node
	token     string
	cluster   string // the clusterid header
	csr       []byte
	ttl       time.Duration
	cert, key string // files of a client certificate, or ""
}

// answer is what came of it.
type answer struct {
	chain    []string
	err      error
	attempts []time.Duration // how long each took, backoff included
	took     time.Duration
}

// client makes Istio's, as pilot-agent does.
func (w *world) client(a ask) (*citadel.CitadelClient, *credentials, error) {
	creds := &credentials{token: a.token}
	options := &security.Options{
		CAEndpoint:  a.node.address,
		ClusterID:   a.cluster,
		CredFetcher: creds,
	}
	client, err := citadel.NewCitadelClient(options, &citadel.TLSOptions{
		RootCert: filepath.Join(w.dir, "root.pem"),
		Cert:     a.cert,
		Key:      a.key,
	})
	return client, creds, err
}

func (w *world) send(a ask) answer {
	client, creds, err := w.client(a)
	if err != nil {
		return answer{err: err}
	}
	defer client.Close()
	return creds.sign(client, a)
}

func (c *credentials) sign(client *citadel.CitadelClient, a ask) answer {
	c.times = nil
	start := time.Now()
	chain, err := client.CSRSign(a.csr, int64(a.ttl.Seconds()))
	end := time.Now()
	out := answer{chain: chain, err: err, took: end.Sub(start)}
	times := append(c.times, end)
	for i := 1; i < len(times); i++ {
		out.attempts = append(out.attempts, times[i].Sub(times[i-1]))
	}
	return out
}

// The client wraps the status in text and drops the error itself.
var statusText = regexp.MustCompile(`rpc error: code = (\w+) desc = (.*)`)

// refused checks the status and the number of attempts of a refusal, and that
// it says why.
func (a answer) refused(want codes.Code, attempts int) error {
	if a.err == nil {
		return fmt.Errorf("expected %v, got a chain", want)
	}
	m := statusText.FindStringSubmatch(a.err.Error())
	if m == nil {
		return fmt.Errorf("expected %v, got: %v", want, a.err)
	}
	if m[1] != want.String() || m[2] == "" {
		return fmt.Errorf("expected %v with a reason, got %s: %q", want, m[1], m[2])
	}
	if len(a.attempts) != attempts {
		return fmt.Errorf("expected %d attempts, got %d: %v", attempts, len(a.attempts), a.err)
	}
	return nil
}
