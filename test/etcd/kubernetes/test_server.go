// Starts nodes of quorate where the tests of Kubernetes' storage start an etcd in their process. It takes the place of
// k8s.io/apiserver/pkg/storage/etcd3/testserver/test_server.go, with `go test -overlay`.

package testserver

import (
	"context"
	"net/url"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/embed"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
)

// NewTestConfig returns a configuration of which RunEtcd uses the certificates.
func NewTestConfig(t testing.TB) *embed.Config {
	cfg := embed.NewConfig()
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{{}}, []url.URL{{}}
	return cfg
}

// RunEtcd returns a client of nodes that end with the test.
func RunEtcd(t testing.TB, cfg *embed.Config) *kubernetes.Client {
	t.Helper()
	if cfg == nil {
		cfg = NewTestConfig(t)
	}
	var files *tlsFiles
	scheme := "http://"
	if tls := cfg.ClientTLSInfo; tls.CertFile != "" {
		files = &tlsFiles{tls.CertFile, tls.KeyFile, tls.TrustedCAFile}
		scheme = "https://"
	}
	tls, err := cfg.ClientTLSInfo.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	config := clientv3.Config{TLS: tls, DialTimeout: 10 * time.Second}
	for _, address := range startNodes(t, files) {
		config.Endpoints = append(config.Endpoints, scheme+address)
	}
	client, err := kubernetes.New(config)
	if err != nil {
		t.Fatal(err)
	}
	// Tests with a short timeout need the connection.
	if _, err := client.Client.Get(context.Background(), "connected"); err != nil {
		t.Fatal(err)
	}
	// The tests count requests by these.
	recorder := storagetesting.NewKubernetesRecorder(client.Kubernetes)
	client.KV = storagetesting.NewKVRecorder(client.KV, recorder)
	client.Kubernetes = recorder
	return client
}
