package main

import (
	"context"

	"github.com/hashicorp/consul/api"
)

// The client of Consul, over HTTP/1.1: a connection for each operation in flight.
type consulStore struct{ client *api.Client }

func connectConsul(endpoints []string) (store, error) {
	client, err := api.NewClient(&api.Config{Address: endpoints[0], Transport: pooledTransport()})
	return consulStore{client}, err
}

func (s consulStore) put(ctx context.Context, key, value string) error {
	pair := &api.KVPair{Key: key, Value: []byte(value)}
	_, err := s.client.KV().Put(pair, new(api.WriteOptions).WithContext(ctx))
	return err
}

func (s consulStore) get(ctx context.Context, key string, stale bool) error {
	options := &api.QueryOptions{AllowStale: stale, RequireConsistent: !stale}
	pair, _, err := s.client.KV().Get(key, options.WithContext(ctx))
	if err == nil && pair == nil {
		return errNotFound
	}
	return err
}

func (s consulStore) list(context.Context, string, int64, bool) error { return errUnsupported }

func (s consulStore) listPages(context.Context, string, string, int64) error { return errUnsupported }

func (s consulStore) create(ctx context.Context, key, value string) (int64, error) {
	return s.update(ctx, key, value, 0)
}

// A transaction, since the answer to a put with an index has no new index. Index 0: the key does not exist.
func (s consulStore) update(ctx context.Context, key, value string, revision int64) (int64, error) {
	put := &api.KVTxnOp{Verb: api.KVCAS, Key: key, Value: []byte(value), Index: uint64(revision)}
	isDone, answer, _, err := s.client.Txn().Txn(
		api.TxnOps{{KV: put}}, new(api.QueryOptions).WithContext(ctx))
	if err != nil {
		return 0, err
	}
	if !isDone {
		return 0, errConflict
	}
	return int64(answer.Results[0].KV.ModifyIndex), nil
}

func (s consulStore) watch(context.Context, string, func(), func(string)) error {
	return errUnsupported
}
