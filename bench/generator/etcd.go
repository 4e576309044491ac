package main

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// The client of etcd, which quorate answers as well.
type etcdStore struct{ client *clientv3.Client }

func connectEtcd(endpoints []string) (store, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: requestTimeout})
	return etcdStore{client}, err
}

func (s etcdStore) put(ctx context.Context, key, value string) error {
	_, err := s.client.Put(ctx, key, value)
	return err
}

func (s etcdStore) get(ctx context.Context, key string, stale bool) error {
	return s.read(ctx, key, stale)
}

func (s etcdStore) list(ctx context.Context, from string, limit int64, stale bool) error {
	return s.read(ctx, from, stale, clientv3.WithFromKey(), clientv3.WithLimit(limit))
}

// As the API server of Kubernetes reads a resource.
func (s etcdStore) listPages(ctx context.Context, from, to string, page int64) error {
	var revision, count, read int64
	for {
		answer, err := s.client.Get(ctx, from, clientv3.WithRange(to), clientv3.WithLimit(page), clientv3.WithRev(revision))
		if err != nil {
			return err
		}
		if revision == 0 {
			revision, count = answer.Header.Revision, answer.Count
		}
		read += int64(len(answer.Kvs))
		if !answer.More {
			break
		}
		from = string(answer.Kvs[len(answer.Kvs)-1].Key) + "\x00"
	}
	if read == 0 || read != count {
		return errPartial
	}
	return nil
}

func (s etcdStore) read(ctx context.Context, key string, stale bool, options ...clientv3.OpOption) error {
	if stale {
		options = append(options, clientv3.WithSerializable())
	}
	answer, err := s.client.Get(ctx, key, options...)
	if err == nil && len(answer.Kvs) == 0 {
		return errNotFound
	}
	return err
}

func (s etcdStore) create(ctx context.Context, key, value string) (int64, error) {
	return s.putIf(ctx, clientv3.Compare(clientv3.CreateRevision(key), "=", 0), key, value)
}

// As the API server of Kubernetes writes: if the object has changed, the answer has the new one.
func (s etcdStore) update(ctx context.Context, key, value string, revision int64) (int64, error) {
	return s.putIf(ctx, clientv3.Compare(clientv3.ModRevision(key), "=", revision), key, value, clientv3.OpGet(key))
}

func (s etcdStore) putIf(
	ctx context.Context, condition clientv3.Cmp, key, value string, otherwise ...clientv3.Op,
) (int64, error) {
	answer, err := s.client.Txn(ctx).If(condition).Then(clientv3.OpPut(key, value)).Else(otherwise...).Commit()
	if err != nil {
		return 0, err
	}
	if !answer.Succeeded {
		return 0, errConflict
	}
	return answer.Header.Revision, nil
}

func (s etcdStore) watch(ctx context.Context, key string, created func(), event func(value string)) error {
	for answer := range s.client.Watch(ctx, key, clientv3.WithCreatedNotify()) {
		if err := answer.Err(); err != nil {
			return err
		}
		if answer.Created {
			created()
		}
		for _, each := range answer.Events {
			event(string(each.Kv.Value))
		}
	}
	return ctx.Err()
}
