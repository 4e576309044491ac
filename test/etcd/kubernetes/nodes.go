// Nodes of quorate for a test. This file is compiled beside test_server.go.

package testserver

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"testing"
)

type tlsFiles struct {
	Cert string `json:"cert"`
	Key  string `json:"key"`
	CA   string `json:"ca"`
}

// startNodes returns the addresses, HOST:PORT, of new nodes that run until the test ends. The program nodes.ts, at the
// address QUORATE_NODES, runs them.
func startNodes(t testing.TB, tls *tlsFiles) []string {
	t.Helper()
	connection, err := net.Dial("tcp", os.Getenv("QUORATE_NODES"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	if err := json.NewEncoder(connection).Encode(map[string]*tlsFiles{"tls": tls}); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(connection).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var reply struct {
		Addresses []string
		Error     string
	}
	if err := json.Unmarshal(line, &reply); err != nil {
		t.Fatal(err)
	}
	if reply.Error != "" {
		t.Fatal(reply.Error)
	}
	return reply.Addresses
}
