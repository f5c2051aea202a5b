package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	pki "istio.io/istio/security/pkg/pki/util"
)

// one parses an element that must hold exactly one certificate.
func one(element string) (*x509.Certificate, error) {
	block, rest := pem.Decode([]byte(element))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("not a certificate: %.40q", element)
	}
	if len(bytes.TrimSpace(rest)) != 0 {
		return nil, fmt.Errorf("more than one certificate in an element")
	}
	return x509.ParseCertificate(block.Bytes)
}

// checkChain wants leaf, issuer and root, in that order, for the key.
func (w *world) checkChain(chain []string, key []byte, ttl time.Duration) error {
	if len(chain) != 3 {
		return fmt.Errorf("the chain has %d elements, not 3", len(chain))
	}
	leaf, err := one(chain[0])
	if err != nil {
		return fmt.Errorf("leaf: %w", err)
	}
	issuer, err := one(chain[1])
	if err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	root, err := os.ReadFile(filepath.Join(w.dir, "root.pem"))
	if err != nil {
		return err
	}
	if strings.TrimSpace(chain[2]) != strings.TrimSpace(string(root)) {
		return fmt.Errorf("the last element is not the trust domain's root")
	}
	if err := checkPath(leaf, issuer, root); err != nil {
		return err
	}
	if err := w.checkLeaf(leaf, ttl); err != nil {
		return fmt.Errorf("leaf: %w", err)
	}
	// Istio's own check: the key, the names, the usages.
	return pki.VerifyCertificate(key, []byte(strings.Join(chain[:2], "")), root,
		&pki.VerifyFields{
			ExtKeyUsage: []x509.ExtKeyUsage{
				x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth,
			},
			KeyUsage: leaf.KeyUsage,
			Host:     w.identity,
			TTL:      leaf.NotAfter.Sub(leaf.NotBefore),
		})
}

func checkPath(leaf, issuer *x509.Certificate, rootPEM []byte) error {
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(rootPEM)
	middle.AddCert(issuer)
	if !issuer.IsCA || issuer.MaxPathLen != 0 || !issuer.MaxPathLenZero {
		return fmt.Errorf("issuer: not a CA of path length 0")
	}
	if err := leaf.CheckSignatureFrom(issuer); err != nil {
		return fmt.Errorf("the second element did not sign the first: %w", err)
	}
	for _, usage := range []x509.ExtKeyUsage{
		x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth,
	} {
		_, err := leaf.Verify(x509.VerifyOptions{
			Roots:         roots,
			Intermediates: middle,
			KeyUsages:     []x509.ExtKeyUsage{usage},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *world) checkLeaf(leaf *x509.Certificate, ttl time.Duration) error {
	names := len(leaf.URIs) + len(leaf.DNSNames) + len(leaf.IPAddresses) +
		len(leaf.EmailAddresses)
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != w.identity || names != 1 {
		return fmt.Errorf("its name is not %s alone", w.identity)
	}
	if leaf.IsCA || !leaf.BasicConstraintsValid {
		return fmt.Errorf("not marked as an end entity")
	}
	want := x509.KeyUsageDigitalSignature
	if leaf.PublicKeyAlgorithm == x509.RSA {
		want |= x509.KeyUsageKeyEncipherment
	}
	if leaf.KeyUsage != want {
		return fmt.Errorf("key usage %b, expected %b", leaf.KeyUsage, want)
	}
	now := time.Now()
	if leaf.NotBefore.After(now) {
		return fmt.Errorf("not valid yet: %v", leaf.NotBefore)
	}
	left := leaf.NotAfter.Sub(now)
	if left > ttl || left < ttl-time.Minute {
		return fmt.Errorf("%v left, expected %v", left, ttl)
	}
	return nil
}
