package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// ---- quorated ----

type ours struct {
	operator, workload *http.Client
	address            string
	token              string
	request            []byte
}

// newOurs reads the operator's folder, dir/admin, and a workload's token,
// dir/token.
func newOurs(dir, net string) (*party, error) {
	admin := filepath.Join(dir, "admin")
	operator, err := tls.LoadX509KeyPair(filepath.Join(admin, "operator.pem"),
		filepath.Join(admin, "operator.key"))
	if err != nil {
		return nil, err
	}
	root, err := os.ReadFile(filepath.Join(admin, "root.pem"))
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(filepath.Join(dir, "token"))
	if err != nil {
		return nil, err
	}
	request, err := framedRequest()
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	client := func(certs ...tls.Certificate) *http.Client {
		return &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true,
			TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: certs}}}
	}
	p := &party{name: "ours", dir: dir, names: [members]string{"east", "west", "south"}}
	for i := range members {
		p.peers[i] = &ours{operator: client(operator), workload: client(),
			address: fmt.Sprintf("https://%s.%d", net, i+1),
			token:   string(bytes.TrimSpace(token)), request: request}
	}
	return p, nil
}

// framedRequest is an IstioCertificateRequest, with a CSR and no more, as gRPC
// frames it.
func framedRequest() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	csr := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	message := append(binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(csr))), csr...)
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	return append(frame, message...), nil
}

func (o *ours) status(ctx context.Context) (standing, error) {
	s := standing{leader: -1}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, o.address+":8444/v1/status", nil)
	if err != nil {
		return s, err
	}
	answer, err := o.operator.Do(r)
	if err != nil {
		return s, err
	}
	defer answer.Body.Close()
	var said struct{ Leader, Term, Commit, Applied uint64 }
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
		return s, err
	}
	_, err = io.Copy(io.Discard, answer.Body) // the connection is used again
	// The nodes joined in this order: the first has the id 1.
	return standing{int(said.Leader) - 1, said.Term, said.Commit, said.Applied}, err
}

// write: a certificate is one entry, and is handed out when it is committed.
func (o *ours) write(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost,
		o.address+":8443/istio.v1.auth.IstioCertificateService/CreateCertificate",
		bytes.NewReader(o.request))
	if err != nil {
		return err
	}
	r.Header.Set("content-type", "application/grpc")
	r.Header.Set("te", "trailers")
	r.Header.Set("authorization", "Bearer "+o.token)
	answer, err := o.workload.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	status := answer.Trailer.Get("grpc-status") + answer.Header.Get("grpc-status")
	if status != "0" {
		return fmt.Errorf("grpc-status %s: %s%s", status,
			answer.Trailer.Get("grpc-message"), answer.Header.Get("grpc-message"))
	}
	return nil
}

// ---- etcd ----

type etcd struct {
	client *clientv3.Client
	calls  pb.MaintenanceClient
	number int
	ids    *sync.Map // id of a member: its number
}

func newEtcd(dir, net string) (*party, error) {
	var ids sync.Map
	p := &party{name: "etcd", dir: dir, names: [members]string{"n1", "n2", "n3"}}
	for i := range members {
		c, err := clientv3.New(clientv3.Config{
			Endpoints: []string{fmt.Sprintf("%s.%d:2379", net, i+1)},
			Logger:    zap.NewNop(),
			// A member that is back is met again at once.
			DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
				Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond,
					Multiplier: 1.5, MaxDelay: 200 * time.Millisecond},
				MinConnectTimeout: time.Second})}})
		if err != nil {
			return nil, err
		}
		p.peers[i] = &etcd{client: c, number: i, ids: &ids,
			calls: pb.NewMaintenanceClient(c.ActiveConnection())}
	}
	return p, nil
}

func (e *etcd) status(ctx context.Context) (standing, error) {
	// clientv3's own Status dials anew for each call.
	said, err := e.calls.Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return standing{leader: -1}, err
	}
	e.ids.Store(said.Header.MemberId, e.number)
	s := standing{-1, said.RaftTerm, said.RaftIndex, said.RaftAppliedIndex}
	if number, known := e.ids.Load(said.Leader); known {
		s.leader = number.(int)
	}
	return s, nil
}

func (e *etcd) write(ctx context.Context) error {
	_, err := e.client.Put(ctx, "key", "value")
	return err
}
