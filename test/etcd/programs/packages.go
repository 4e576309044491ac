// Package programs names the packages of etcd's client that the programs of tests and benchmarks import.
package programs

import (
	_ "go.etcd.io/etcd/client/v3"
	_ "go.etcd.io/etcd/client/v3/concurrency"
)
