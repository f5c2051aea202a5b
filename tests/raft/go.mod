module quorate/tests/raft

go 1.26.0

// For its scripts (testdata, quorum/testdata, confchange/testdata), and as the
// oracle of the differential test.
require go.etcd.io/raft/v3 v3.7.0

require google.golang.org/protobuf v1.36.11
