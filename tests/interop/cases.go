package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	pki "istio.io/istio/security/pkg/pki/util"
)

const (
	day = 24 * time.Hour
	// The client's own: one attempt if it may not retry, else five.
	once, all = 1, 5
	// How long a node may take to say that it cannot (its promise is 2 s), and
	// the client's longest backoff with jitter (100 ms, doubled three times).
	sayNo, backoff = 2200 * time.Millisecond, 880 * time.Millisecond
)

// csr makes key and CSR as pilot-agent does.
func csr(identity string, ecdsa bool) (csr, key []byte) {
	options := pki.CertOptions{Host: identity, RSAKeySize: 2048}
	if ecdsa {
		options.ECSigAlg, options.ECCCurve = pki.EcdsaSigAlg, pki.P256Curve
	}
	csr, key, err := pki.GenCSR(options)
	if err != nil {
		panic(err)
	}
	return csr, key
}

// issue: a node that answers, and what it refuses.
func issue(w *world, n node) {
	request, key := csr(w.identity, true)
	good := ask{
		node: n, token: w.token("good"), cluster: w.cluster, csr: request,
		ttl: day,
	}
	w.issued(n, good, key)
	w.refusals(n, good)
}

func (w *world) chain(a ask, key []byte, ttl time.Duration) error {
	got := w.send(a)
	if got.err != nil {
		return got.err
	}
	return w.checkChain(got.chain, key, ttl)
}

func (w *world) issued(n node, good ask, key []byte) {
	w.report(n, "P-256: leaf, issuer, root", w.chain(good, key, day))

	rsa := good
	var rsaKey []byte
	rsa.csr, rsaKey = csr(w.identity, false)
	w.report(n, "RSA-2048: leaf, issuer, root", w.chain(rsa, rsaKey, day))

	bare := good
	bare.csr, key = csr("", true)
	w.report(n, "a CSR without a name gets the caller's", w.chain(bare, key, day))

	short := good
	short.csr, key = csr(w.identity, true)
	short.ttl = time.Hour
	w.report(n, "a lifetime of an hour", w.chain(short, key, time.Hour))
	short.ttl = 30 * day
	w.report(n, "thirty days are shortened to one", w.chain(short, key, day))

	local := good
	local.cluster = ""
	local.csr, key = csr(w.identity, true)
	w.report(n, "no clusterid: the token's key says", w.chain(local, key, day))

	w.report(n, "renewal by client certificate", w.renew(good))
}

// renew gets a certificate by token, and the next one by the first alone.
func (w *world) renew(good ask) error {
	request, key := csr(w.identity, true)
	good.csr = request
	first := w.send(good)
	if first.err != nil {
		return first.err
	}
	if err := w.keep(first.chain, key); err != nil {
		return err
	}
	next, key := w.renewal(good)
	second := w.send(next)
	if second.err != nil {
		return second.err
	}
	if second.chain[0] == first.chain[0] {
		return fmt.Errorf("the same certificate again")
	}
	return w.checkChain(second.chain, key, day)
}

// keep puts down what pilot-agent has in PROV_CERT: a client certificate.
func (w *world) keep(chain []string, key []byte) error {
	text := []byte(strings.Join(chain[:2], ""))
	if err := os.WriteFile(filepath.Join(w.dir, "client.pem"), text, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.dir, "client.key"), key, 0o600)
}

// renewal asks with the certificate that was kept, and no token.
func (w *world) renewal(good ask) (ask, []byte) {
	request, key := csr(w.identity, true)
	next := good
	next.token, next.csr = "", request
	next.cert = filepath.Join(w.dir, "client.pem")
	next.key = filepath.Join(w.dir, "client.key")
	return next, key
}

func (w *world) refusals(n node, good ask) {
	refused := func(claim string, want codes.Code, change func(*ask)) {
		a := good
		change(&a)
		w.report(n, fmt.Sprintf("%s: %v", claim, want),
			w.send(a).refused(want, once))
	}
	for _, t := range []struct{ claim, token string }{
		{"a token of an unknown key", "forged"},
		{"an expired token", "expired"},
		{"a token for another audience", "audience"},
		{"a token bound to no pod", "unbound"},
	} {
		refused(t.claim, codes.Unauthenticated,
			func(a *ask) { a.token = w.token(t.token) })
	}
	refused("a token that is none", codes.Unauthenticated,
		func(a *ask) { a.token = "not.a.token" })
	refused("no token and no certificate", codes.Unauthenticated,
		func(a *ask) { a.token = "" })
	refused("a clusterid the token is not of", codes.Unauthenticated,
		func(a *ask) { a.cluster = "mars" })

	refused("a CSR with somebody else's name", codes.InvalidArgument,
		func(a *ask) {
			other := w.identity[:strings.LastIndex(w.identity, "/")] + "/admin"
			a.csr, _ = csr(other, true)
		})
	refused("a CSR of another trust domain", codes.InvalidArgument,
		func(a *ask) { a.csr, _ = csr("spiffe://evil.test/ns/a/sa/b", true) })
	refused("a CSR with a second name of the kind", codes.InvalidArgument,
		func(a *ask) { a.csr, _ = csr(w.identity+","+w.identity+"x", true) })
	refused("no CSR", codes.InvalidArgument, func(a *ask) { a.csr = nil })
	refused("a CSR that is not PEM", codes.InvalidArgument,
		func(a *ask) { a.csr = []byte("certify me") })
	refused("a CSR cut short", codes.InvalidArgument,
		func(a *ask) { a.csr = alter(a.csr, func(der []byte) []byte { return der[:40] }) })
	refused("a CSR whose signature is wrong", codes.InvalidArgument,
		func(a *ask) {
			a.csr = alter(a.csr, func(der []byte) []byte {
				der[len(der)-1] ^= 1
				return der
			})
		})
	refused("a certificate in place of the CSR", codes.InvalidArgument,
		func(a *ask) {
			a.csr = bytes.ReplaceAll(a.csr, []byte("CERTIFICATE REQUEST"),
				[]byte("CERTIFICATE"))
		})
	refused("a negative lifetime", codes.InvalidArgument,
		func(a *ask) { a.ttl = -time.Hour })
}

// alter changes the DER inside a PEM block.
func alter(text []byte, change func([]byte) []byte) []byte {
	block, _ := pem.Decode(text)
	block.Bytes = change(block.Bytes)
	return pem.EncodeToMemory(block)
}

// blocked: an operator has revoked the identity.  Neither a token nor an older
// certificate gets a new one, and the client does not go on asking.
func blocked(w *world, n node) {
	request, _ := csr(w.identity, true)
	good := ask{
		node: n, token: w.token("good"), cluster: w.cluster, csr: request,
		ttl: day,
	}
	got := w.send(good)
	err := got.refused(codes.PermissionDenied, once)
	if err == nil && !strings.Contains(got.err.Error(), "(keyCompromise)") {
		err = fmt.Errorf("the reason is missing: %w", got.err)
	}
	w.report(n, "a revoked identity with a good token: PermissionDenied, with the reason",
		err)
	next, _ := w.renewal(good)
	w.report(n, "a revoked identity with its certificate: PermissionDenied",
		w.send(next).refused(codes.PermissionDenied, once))
}

// lifted: it may ask again, but what was revoked renews nothing.
func lifted(w *world, n node) {
	request, key := csr(w.identity, true)
	good := ask{
		node: n, token: w.token("good"), cluster: w.cluster, csr: request,
		ttl: day,
	}
	w.report(n, "with the block lifted, a token is enough again",
		w.chain(good, key, day))
	next, _ := w.renewal(good)
	w.report(n, "a revoked certificate renews nothing: PermissionDenied",
		w.send(next).refused(codes.PermissionDenied, once))
}

// family keeps a certificate that was renewed from another, parent.pem.
func family(w *world, n node) {
	request, key := csr(w.identity, true)
	good := ask{
		node: n, token: w.token("good"), cluster: w.cluster, csr: request,
		ttl: day,
	}
	parent := w.send(good)
	err := parent.err
	if err == nil {
		err = os.WriteFile(filepath.Join(w.dir, "parent.pem"),
			[]byte(parent.chain[0]), 0o600)
	}
	if err == nil {
		err = w.keep(parent.chain, key)
	}
	if err == nil {
		next, key := w.renewal(good)
		child := w.send(next)
		if err = child.err; err == nil {
			err = w.keep(child.chain, key)
		}
	}
	w.report(n, "a certificate, and one renewed from it", err)
}

// orphan: the parent of the kept certificate is revoked.
func orphan(w *world, n node) {
	next, _ := w.renewal(ask{node: n, cluster: w.cluster, ttl: day})
	w.report(n, "the child of a revoked certificate renews nothing: PermissionDenied",
		w.send(next).refused(codes.PermissionDenied, once))
}

// second: one client that knows two addresses and is connected to the first;
// that node is killed, and its next request must reach the other.
func second(w *world, nodes []node) {
	request, key := csr(w.identity, true)
	a := ask{
		node: pair(nodes), token: w.token("good"), cluster: w.cluster,
		csr: request, ttl: day,
	}
	client, creds, err := w.client(a)
	if err != nil {
		w.report(a.node, "a client with two addresses", err)
		return
	}
	defer client.Close()
	for i, claim := range []string{"first address", "the first killed: second address"} {
		if i == 1 {
			if err := w.kill(); err != nil {
				w.report(nodes[0], claim, err)
				return
			}
		}
		got := creds.sign(client, a)
		if got.err == nil {
			got.err = w.checkChain(got.chain, key, day)
		}
		w.report(nodes[i], fmt.Sprintf("%s (%v, attempts: %v)", claim,
			got.took.Round(time.Millisecond), rounded(got.attempts)), got.err)
	}
}

// election: no leader for now.  The client's own retries must carry a workload
// over to the next one.
func election(w *world, n node) {
	request, key := csr(w.identity, true)
	got := w.send(ask{
		node: n, token: w.token("good"), cluster: w.cluster, csr: request,
		ttl: day,
	})
	if got.err == nil {
		got.err = w.checkChain(got.chain, key, day)
	}
	w.report(n, fmt.Sprintf("the client's retries outlast an election (%v, attempts: %v)",
		got.took.Round(time.Millisecond), rounded(got.attempts)), got.err)
}

// noQuorum: UNAVAILABLE, soon, each time the client tries.
func noQuorum(w *world, n node) {
	request, _ := csr(w.identity, true)
	got := w.send(ask{
		node: n, token: w.token("good"), cluster: w.cluster, csr: request,
		ttl: day,
	})
	w.report(n, fmt.Sprintf("no quorum: Unavailable (attempts: %v)",
		rounded(got.attempts)), got.refused(codes.Unavailable, all))
	var late error
	for _, took := range got.attempts {
		if took > sayNo+backoff {
			late = fmt.Errorf("an attempt took %v", took)
		}
	}
	w.report(n, "no quorum: said within two seconds", late)

	bad := w.send(ask{
		node: n, token: w.token("forged"), cluster: w.cluster, csr: request,
		ttl: day,
	})
	w.report(n, "no quorum: a bad token is still Unauthenticated",
		bad.refused(codes.Unauthenticated, once))
}

func rounded(times []time.Duration) (out []time.Duration) {
	for _, t := range times {
		out = append(out, t.Round(time.Millisecond))
	}
	return out
}
