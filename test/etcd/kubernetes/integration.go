// Starts nodes of quorate where the tests of Kubernetes 1.20 start an etcd in their process. It takes the place of the
// package go.etcd.io/etcd/integration, with `go test -overlay`.

package integration

import (
	"context"
	"testing"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.etcd.io/etcd/pkg/transport"
)

type ClusterConfig struct {
	Size                        int
	ClientTLS                   *transport.TLSInfo
	WatchProgressNotifyInterval time.Duration
}

type Member struct{ address string }

func (m *Member) GRPCAddr() string { return m.address }

type ClusterV3 struct {
	Members []*Member
	client  *clientv3.Client
}

func NewClusterV3(t testing.TB, cfg *ClusterConfig) *ClusterV3 {
	var files *tlsFiles
	tls := cfg.ClientTLS
	if tls != nil {
		files = &tlsFiles{tls.CertFile, tls.KeyFile, tls.TrustedCAFile}
	}
	cluster := &ClusterV3{}
	config := clientv3.Config{DialTimeout: 10 * time.Second}
	for _, address := range startNodes(t, files) {
		cluster.Members = append(cluster.Members, &Member{address})
		config.Endpoints = append(config.Endpoints, address)
	}
	if tls != nil {
		var err error
		if config.TLS, err = tls.ClientConfig(); err != nil {
			t.Fatal(err)
		}
	}
	client, err := clientv3.New(config)
	if err != nil {
		t.Fatal(err)
	}
	// Tests with a short timeout need the connection.
	if _, err := client.Get(context.Background(), "connected"); err != nil {
		t.Fatal(err)
	}
	cluster.client = client
	return cluster
}

func (c *ClusterV3) RandClient() *clientv3.Client { return c.client }

func (c *ClusterV3) Client(int) *clientv3.Client { return c.client }

// Terminate closes the client. The nodes end with the test.
func (c *ClusterV3) Terminate(testing.TB) { c.client.Close() }
