// A contender with etcd's package concurrency: it enters critical sections one after the other, and does in each what
// contender.ts does.
//
//	contender ENDPOINTS KIND PREFIX NAME SECTIONS
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

const (
	leaseSeconds = 20
	insideMillis = 3
)

var background = context.Background()

type section interface {
	enter() error
	// leave may be called again after an error.
	leave() error
	key() string
}

type mutex struct{ *concurrency.Mutex }

func (m mutex) enter() error { return m.Lock(background) }
func (m mutex) leave() error { return m.Unlock(background) }
func (m mutex) key() string  { return m.Key() }

type election struct {
	*concurrency.Election
	name string
}

func (e election) enter() error {
	if err := e.Campaign(background, e.name); err != nil {
		return err
	}
	leader, err := e.Leader(background)
	if err == nil && string(leader.Kvs[0].Value) != e.name {
		fmt.Printf("wrong: %s leads, and the leader is %s\n", e.name, leader.Kvs[0].Value)
	}
	return nil
}
func (e election) leave() error { return e.Resign(background) }
func (e election) key() string  { return e.Key() }

// A node may be killed meanwhile: the same request is right again.
func again(what string, request func() error) {
	for err := request(); err != nil; err = request() {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		time.Sleep(50 * time.Millisecond)
	}
}

func main() {
	endpoints, kind, prefix, name := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	sections, _ := strconv.Atoi(os.Args[5])
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            strings.Split(endpoints, ","),
		DialTimeout:          5 * time.Second,
		DialKeepAliveTime:    time.Second,
		DialKeepAliveTimeout: time.Second,
	})
	if err != nil {
		panic(err)
	}
	var session *concurrency.Session
	again("session", func() error {
		session, err = concurrency.NewSession(client, concurrency.WithTTL(leaseSeconds))
		return err
	})
	var own section = mutex{concurrency.NewMutex(session, prefix)}
	if kind == "election" {
		own = election{concurrency.NewElection(session, prefix), name}
	}
	for at := 0; at != sections; at++ {
		again("enter", own.enter)
		var token int64
		again("token", func() error {
			response, err := client.Get(background, own.key())
			if err != nil {
				return err
			}
			if len(response.Kvs) == 0 {
				fmt.Printf("wrong: %s is inside, and its key is gone\n", name)
				return nil
			}
			token = response.Kvs[0].CreateRevision
			return nil
		})
		var count int64
		again("get", func() error {
			response, err := client.Get(background, "guarded/count")
			if err == nil && len(response.Kvs) > 0 {
				count, _ = strconv.ParseInt(string(response.Kvs[0].Value), 10, 64)
			}
			return err
		})
		fmt.Printf("inside %d %d\n", count, token)
		time.Sleep(insideMillis * time.Millisecond)
		entry := fmt.Sprintf("%s %d", name, token)
		again("put", func() error {
			_, err := client.Put(background, fmt.Sprintf("guarded/section/%d", count), entry)
			return err
		})
		again("put", func() error {
			_, err := client.Put(background, "guarded/count", strconv.FormatInt(count+1, 10))
			return err
		})
		again("leave", own.leave)
	}
	session.Close()
	client.Close()
}
