package main

import (
	"context"
	"errors"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The bucket that bench/clusters/nats.ts creates.
const bucket = "bench"

// The client of NATS, with the API of JetStream for buckets of keys and values.
type natsStore struct{ bucket jetstream.KeyValue }

func connectNATS(endpoints []string) (store, error) {
	connection, err := nats.Connect(strings.Join(endpoints, ","), nats.DontRandomize(), nats.Timeout(requestTimeout))
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(connection)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	opened, err := js.KeyValue(ctx, bucket)
	return natsStore{opened}, err
}

func (s natsStore) put(ctx context.Context, key, value string) error {
	_, err := s.bucket.PutString(ctx, key, value)
	return err
}

// Any replica answers, which may be behind. A bucket has no other reads.
func (s natsStore) get(ctx context.Context, key string, stale bool) error {
	if !stale {
		return errUnsupported
	}
	_, err := s.bucket.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return errNotFound
	}
	return err
}

func (s natsStore) list(context.Context, string, int64, bool) error { return errUnsupported }

func (s natsStore) listPages(context.Context, string, string, int64) error { return errUnsupported }

func (s natsStore) create(ctx context.Context, key, value string) (int64, error) {
	revision, err := s.bucket.Create(ctx, key, []byte(value))
	return int64(revision), conflictOr(err)
}

func (s natsStore) update(ctx context.Context, key, value string, revision int64) (int64, error) {
	updated, err := s.bucket.Update(ctx, key, []byte(value), uint64(revision))
	return int64(updated), conflictOr(err)
}

// Its messages name sequences; errors are counted by kind.
func conflictOr(err error) error {
	if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return errConflict
	}
	return err
}

func (s natsStore) watch(ctx context.Context, key string, created func(), event func(value string)) error {
	watcher, err := s.bucket.Watch(ctx, key, jetstream.UpdatesOnly())
	if err != nil {
		return err
	}
	created()
	for each := range watcher.Updates() {
		// nil ends the values that existed before.
		if each != nil {
			event(string(each.Value()))
		}
	}
	return ctx.Err()
}
