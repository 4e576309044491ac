package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/rqlite/gorqlite"
)

// The client of rqlite, over HTTP/1.1: a connection for each operation in flight. bench/clusters/rqlite.ts creates the
// table.
type rqliteStore struct{ linearizable, stale *gorqlite.Connection }

const (
	putRow = `INSERT INTO kv(key, value, revision) VALUES(?, ?, 1)
		ON CONFLICT(key) DO UPDATE SET value = excluded.value, revision = revision + 1`
	createRow = `INSERT INTO kv(key, value, revision) VALUES(?, ?, 1) ON CONFLICT(key) DO NOTHING`
	updateRow = `UPDATE kv SET value = ?, revision = revision + 1 WHERE key = ? AND revision = ?`
	getRow    = `SELECT value FROM kv WHERE key = ?`
	listRows  = `SELECT key, value FROM kv WHERE key >= ? ORDER BY key LIMIT ?`
)

func connectRqlite(endpoints []string) (store, error) {
	client := &http.Client{Transport: pooledTransport(), Timeout: requestTimeout}
	open := func(level string) (*gorqlite.Connection, error) {
		connection, err := gorqlite.OpenWithClient(
			endpoints[0]+"?disableClusterDiscovery=true&level="+level, client)
		if err != nil {
			return nil, err
		}
		// Each request has one statement, which SQLite makes a transaction anyway.
		return connection, connection.SetExecutionWithTransaction(false)
	}
	linearizable, err := open("linearizable")
	if err != nil {
		return nil, err
	}
	stale, err := open("none")
	return rqliteStore{linearizable, stale}, err
}

func (s rqliteStore) put(ctx context.Context, key, value string) error {
	_, err := s.write(ctx, putRow, key, blob(value))
	return err
}

func (s rqliteStore) get(ctx context.Context, key string, stale bool) error {
	return s.read(ctx, stale, getRow, key)
}

func (s rqliteStore) list(ctx context.Context, from string, limit int64, stale bool) error {
	return s.read(ctx, stale, listRows, from, limit)
}

func (s rqliteStore) read(ctx context.Context, stale bool, query string, arguments ...any) error {
	connection := s.linearizable
	if stale {
		connection = s.stale
	}
	answer, err := connection.QueryOneParameterizedContext(
		ctx, gorqlite.ParameterizedStatement{Query: query, Arguments: arguments})
	if err == nil && answer.NumRows() == 0 {
		return errNotFound
	}
	return err
}

func (s rqliteStore) listPages(context.Context, string, string, int64) error { return errUnsupported }

func (s rqliteStore) create(ctx context.Context, key, value string) (int64, error) {
	return s.writeIf(ctx, 1, createRow, key, blob(value))
}

func (s rqliteStore) update(ctx context.Context, key, value string, revision int64) (int64, error) {
	if revision == 0 {
		return s.create(ctx, key, value)
	}
	return s.writeIf(ctx, revision+1, updateRow, blob(value), key, revision)
}

// Returns the revision that the row then has, unless the statement has changed none.
func (s rqliteStore) writeIf(ctx context.Context, then int64, query string, arguments ...any) (int64, error) {
	changed, err := s.write(ctx, query, arguments...)
	if err == nil && changed == 0 {
		err = errConflict
	}
	return then, err
}

func (s rqliteStore) write(ctx context.Context, query string, arguments ...any) (int64, error) {
	answer, err := s.linearizable.WriteOneParameterizedContext(
		ctx, gorqlite.ParameterizedStatement{Query: query, Arguments: arguments})
	return answer.RowsAffected, err
}

func (s rqliteStore) watch(context.Context, string, func(), func(string)) error {
	return errUnsupported
}

// A value of any bytes, as rqlite takes it in JSON.
func blob(value string) string { return fmt.Sprintf("x'%x'", value) }
