// Lint judges what quorate signed, as others do: zlint's lints, and Go's own
// check of each CRL's signature.  Each object is one line, "ok ..." or
// "not ok ...".
//
//	lint -allow FILE KIND=FILE...
//
// A FILE holds PEM; of a node's chain only the first certificate is looked at.
// Kinds: root, issuer, node, leaf, crl (an issuer's), root-crl.  A line of the
// allow-list is "KIND[,KIND...] LINT REASON"; an error that has no line fails,
// and so does a line that nothing needed.
package main

import (
	"bufio"
	stdx509 "crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
)

// rule is one line of the allow-list, for one kind.
type rule struct {
	reason string
	used   bool
}

// allowed maps "KIND LINT" to its rule.
type allowed map[string]*rule

func readAllowed(path string) (allowed, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	rules := allowed{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return nil, fmt.Errorf("%s: %q has no reason", path, line)
		}
		reason := strings.Join(fields[2:], " ")
		for _, kind := range strings.Split(fields[0], ",") {
			rules[kind+" "+fields[1]] = &rule{reason: reason}
		}
	}
	return rules, lines.Err()
}

// object is one certificate or CRL of a file.
type object struct {
	kind, name string
	der        []byte
}

func (o object) isCRL() bool { return strings.HasSuffix(o.kind, "crl") }

func read(argument string) (objects []object, err error) {
	kind, path, ok := strings.Cut(argument, "=")
	if !ok {
		return nil, fmt.Errorf("%s: not KIND=FILE", argument)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		name := fmt.Sprintf("%s %d", argument[strings.LastIndex(argument, "/")+1:], len(objects)+1)
		objects = append(objects, object{kind, kind + " " + name, block.Bytes})
		if kind == "node" {
			break
		}
	}
	if len(objects) == 0 {
		return nil, fmt.Errorf("%s: nothing in it", argument)
	}
	return objects, nil
}

func (o object) lint() (*zlint.ResultSet, error) {
	if o.isCRL() {
		crl, err := x509.ParseRevocationList(o.der)
		if err != nil {
			return nil, err
		}
		return zlint.LintRevocationList(crl), nil
	}
	cert, err := x509.ParseCertificate(o.der)
	if err != nil {
		return nil, err
	}
	return zlint.LintCertificate(cert), nil
}

// check returns what zlint holds against the object and the list does not allow.
func (o object) check(rules allowed) (wrong []string, passed, excused int) {
	results, err := o.lint()
	if err != nil {
		return []string{err.Error()}, 0, 0
	}
	for name, result := range results.Results {
		switch result.Status {
		case lint.Pass:
			passed++
		case lint.Error, lint.Fatal:
			if r := rules[o.kind+" "+name]; r != nil {
				r.used = true
				excused++
				continue
			}
			wrong = append(wrong, strings.TrimSpace(fmt.Sprintf("%s %s %s",
				result.Status, name, result.Details)))
		}
	}
	slices.Sort(wrong)
	return wrong, passed, excused
}

// signed finds the CA that a CRL names and lets Go check the signature.
func signed(o object, cas []*stdx509.Certificate) error {
	crl, err := stdx509.ParseRevocationList(o.der)
	if err != nil {
		return err
	}
	for _, ca := range cas {
		if string(ca.SubjectKeyId) == string(crl.AuthorityKeyId) {
			return crl.CheckSignatureFrom(ca)
		}
	}
	return fmt.Errorf("none of the CAs has its authority key id")
}

var failed bool

func report(claim string, wrong ...string) {
	if len(wrong) == 0 {
		fmt.Println("ok " + claim)
		return
	}
	failed = true
	fmt.Println("not ok " + claim)
	for _, line := range wrong {
		fmt.Println("#   " + line)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(2)
}

func main() {
	list := flag.String("allow", "", "the allow-list")
	flag.Parse()
	rules, err := readAllowed(*list)
	if err != nil {
		fatal(err)
	}
	var objects []object
	var cas []*stdx509.Certificate
	for _, argument := range flag.Args() {
		more, err := read(argument)
		if err != nil {
			fatal(err)
		}
		objects = append(objects, more...)
	}
	for _, o := range objects {
		wrong, passed, excused := o.check(rules)
		report(fmt.Sprintf("zlint: %s (%d passed, %d allowed)", o.name,
			passed, excused), wrong...)
		if o.kind == "root" || o.kind == "issuer" {
			ca, err := stdx509.ParseCertificate(o.der)
			if err != nil {
				fatal(err)
			}
			cas = append(cas, ca)
		}
	}
	for _, o := range objects {
		if !o.isCRL() {
			continue
		}
		if err := signed(o, cas); err != nil {
			report("Go accepts the signature of "+o.name, err.Error())
		} else {
			report("Go accepts the signature of " + o.name)
		}
	}
	var idle []string
	for key, r := range rules {
		if !r.used {
			idle = append(idle, key)
		}
	}
	slices.Sort(idle)
	report("each line of the allow-list is needed", idle...)
	if failed {
		os.Exit(1)
	}
}
