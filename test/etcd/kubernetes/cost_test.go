// Writes, lists and watches on the storage layer, in phases whose costs kubernetes-cost.long.test.ts measures. It is
// compiled beside the tests of k8s.io/apiserver/pkg/storage/etcd3, which have the store that it uses.

package etcd3

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

func numberOf(t *testing.T, name string) int {
	number, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		t.Fatal(err)
	}
	return number
}

// TestCost prints the name of each phase and how many operations it has, reads a line, works, and prints `done`.
func TestCost(t *testing.T) {
	ctx, store, _ := testSetup(t)
	objects, watchers := numberOf(t, "QUORATE_OBJECTS"), numberOf(t, "QUORATE_WATCHERS")
	input := bufio.NewReader(os.Stdin)
	phase := func(name string, count int, act func()) {
		t.Helper()
		fmt.Printf("phase %s: %d\n", name, count)
		if _, err := input.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		act()
		fmt.Println("done")
	}
	// Sixteen callers.
	concurrently := func(count int, act func(at int) error) {
		var next atomic.Int64
		var working sync.WaitGroup
		for range 16 {
			working.Go(func() {
				for at := int(next.Add(1)) - 1; at < count; at = int(next.Add(1)) - 1 {
					if err := act(at); err != nil {
						t.Error(err)
					}
				}
			})
		}
		working.Wait()
	}
	name := func(at int) string { return fmt.Sprintf("pod-%06d", at) }
	key := func(at int) string { return "/pods/load/" + name(at) }
	change := func(at int) error {
		return store.GuaranteedUpdate(ctx, key(at), &example.Pod{}, false, nil, storage.SimpleUpdate(func(current runtime.Object) (runtime.Object, error) {
			changed := current.DeepCopyObject().(*example.Pod)
			changed.Labels = map[string]string{"at": strconv.FormatInt(time.Now().UnixNano(), 10)}
			return changed, nil
		}), nil)
	}
	list := func() string {
		var listed example.PodList
		if err := store.GetList(ctx, "/pods/", storage.ListOptions{Recursive: true, Predicate: storage.Everything}, &listed); err != nil {
			t.Fatal(err)
		}
		if len(listed.Items) != objects {
			t.Errorf("listed %d of %d objects", len(listed.Items), objects)
		}
		return listed.ResourceVersion
	}

	phase("rest for 10 s, by second", 10, func() { time.Sleep(10 * time.Second) })
	text := strings.Repeat("x", 1000)
	phase("create", objects, func() {
		concurrently(objects, func(at int) error {
			pod := &example.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "load", Name: name(at), Annotations: map[string]string{"text": text}}}
			return store.Create(ctx, key(at), pod, &example.Pod{}, 0)
		})
	})
	phase("update", objects, func() { concurrently(objects, change) })
	phase("get", objects, func() {
		concurrently(objects, func(at int) error { return store.Get(ctx, key(at), storage.GetOptions{}, &example.Pod{}) })
	})
	const lists = 10
	phase("list, by object", lists*objects, func() {
		for range lists {
			list()
		}
	})
	const changes = 500
	phase("500 updates without watches", changes, func() {
		for at := range changes {
			if err := change(at % objects); err != nil {
				t.Error(err)
			}
		}
	})

	var events atomic.Int64
	// Opens the watches, and returns what ends them.
	open := func(watched func(at int) string, isRecursive bool) context.CancelFunc {
		from := list()
		watching, end := context.WithCancel(ctx)
		for at := range watchers {
			opts := storage.ListOptions{ResourceVersion: from, Recursive: isRecursive, Predicate: storage.Everything}
			watcher, err := store.Watch(watching, watched(at), opts)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for event := range watcher.ResultChan() {
					if event.Type == watch.Error {
						if watching.Err() == nil {
							t.Errorf("watch %d: %v", at, event.Object)
						}
						return
					}
					events.Add(1)
				}
			}()
		}
		return end
	}
	await := func(count int) {
		for deadline := time.Now().Add(10 * time.Minute); events.Load() < int64(count); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d events", events.Load(), count)
			}
		}
		if got := events.Swap(0); got != int64(count) {
			t.Errorf("%d events, not %d", got, count)
		}
	}
	var end context.CancelFunc
	phase("open watches of one object each", watchers, func() {
		end = open(func(at int) string { return key(at % objects) }, false)
		// All watches of a client share a stream, in order: each has begun when the last one has an event.
		if err := change((watchers - 1) % objects); err != nil {
			t.Error(err)
		}
		await(watched(watchers, objects, (watchers-1)%objects))
	})
	phase("rest for 10 s with them, by second", 10, func() { time.Sleep(10 * time.Second) })
	phase("500 updates of watched objects", changes, func() {
		count := 0
		for at := range changes {
			if err := change(at % objects); err != nil {
				t.Error(err)
			}
			count += watched(watchers, objects, at%objects)
		}
		await(count)
	})
	end()
	const changesOfAll = 20
	phase("open watches of all objects", watchers, func() {
		end = open(func(int) string { return "/pods/" }, true)
		if err := change(0); err != nil {
			t.Error(err)
		}
		await(watchers)
	})
	phase("20 updates that all watches receive, by event", changesOfAll*watchers, func() {
		for at := range changesOfAll {
			if err := change(at); err != nil {
				t.Error(err)
			}
		}
		await(changesOfAll * watchers)
	})
	end()
}

// The number of watches of an object.
func watched(watchers, objects, at int) int { return (watchers - at + objects - 1) / objects }
