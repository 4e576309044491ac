package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
)

// A system to measure, through its own client, on one connection if that carries many operations.
type store interface {
	put(ctx context.Context, key, value string) error
	// Fails with errNotFound if the key is missing.
	get(ctx context.Context, key string, stale bool) error
	// Reads up to limit keys, from this one on.
	list(ctx context.Context, from string, limit int64, stale bool) error
	// Reads the keys from this one to that one, in pages at one revision; 0: in one response.
	listPages(ctx context.Context, from, to string, page int64) error
	// Fails if the key exists. Returns the revision of the key.
	create(ctx context.Context, key, value string) (int64, error)
	// Fails unless this is the revision of the key. Returns the new one.
	update(ctx context.Context, key, value string, revision int64) (int64, error)
	// Calls created when the watch exists, and event with the value of each put, until the process ends.
	watch(ctx context.Context, key string, created func(), event func(value string)) error
}

var (
	errNotFound = errors.New("not_found")
	errConflict = errors.New("conflict")
	errPartial  = errors.New("partial_list")
	// The system does not take part in such scenarios.
	errUnsupported = errors.New("unsupported")
)

// By the protocol that the load names. The first endpoint is preferred.
var connectors = map[string]func(endpoints []string) (store, error){
	"consul": connectConsul,
	"grpc":   connectEtcd,
	"nats":   connectNATS,
	"rqlite": connectRqlite,
}

func connect(over string, endpoints []string, count int) []store {
	connector := connectors[over]
	if connector == nil {
		check(fmt.Errorf("this generator has no protocol %q", over))
	}
	stores := make([]store, count)
	for i := range stores {
		var err error
		first := i % len(endpoints)
		stores[i], err = connector(slices.Concat(endpoints[first:], endpoints[:first]))
		check(err)
	}
	return stores
}

// For clients over HTTP/1.1. It keeps all its connections, where the default keeps two.
func pooledTransport() *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: math.MaxInt}
}
