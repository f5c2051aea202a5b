module quorate/tests/raft

go 1.26.0

// For its scripts: testdata, quorum/testdata, confchange/testdata.
require go.etcd.io/raft/v3 v3.7.0
