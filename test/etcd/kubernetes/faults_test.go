// Writers and watchers on the storage layer and its cache, while nodes are killed. It is compiled beside the tests of
// k8s.io/apiserver/pkg/storage/cacher, which have the store that it uses.

package cacher

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// What the writer of one object knows of it. A write with an unknown outcome may have happened or not.
type written struct {
	acknowledged map[uint64]bool
	unknown      int
	exists       bool
	last         uint64
}

func revisionOf(object runtime.Object) uint64 {
	revision, _ := storage.APIObjectVersioner{}.ObjectResourceVersion(object)
	return revision
}

// TestFaults writes QUORATE_WRITES times, and prints each hundredth acknowledgement.
func TestFaults(t *testing.T) {
	ctx, store, server, terminate := testSetupWithEtcdServer(t)
	t.Cleanup(terminate)
	writes, err := strconv.Atoi(os.Getenv("QUORATE_WRITES"))
	if err != nil {
		t.Fatal(err)
	}
	first, err := store.GetCurrentResourceVersion(ctx)
	if err != nil {
		t.Fatal(err)
	}

	// The history, as etcd's client has it.
	history, byKey := map[uint64]string{}, map[string][]uint64{}
	watching, endWatching := context.WithCancel(ctx)
	defer endWatching()
	var historyLock sync.Mutex
	responses := server.V3Client.Watch(watching, "/registry/pods/", clientv3.WithPrefix(), clientv3.WithRev(int64(first)+1))
	go func() {
		for response := range responses {
			if err := response.Err(); err != nil && watching.Err() == nil {
				t.Errorf("watch of the history: %v", err)
			}
			historyLock.Lock()
			for _, event := range response.Events {
				key, at := string(event.Kv.Key), uint64(event.Kv.ModRevision)
				if history[at] != "" {
					t.Errorf("the history has revision %d twice", at)
				}
				history[at] = key
				byKey[key] = append(byKey[key], at)
			}
			historyLock.Unlock()
		}
	}()

	// Watchers of the cache, which continue where they have ended.
	const watchers = 3
	var seen [watchers]map[string][]uint64
	var seenLock sync.Mutex
	var continued atomic.Int64
	for at := range watchers {
		seen[at] = map[string][]uint64{}
		go func() {
			from := first
			for watching.Err() == nil {
				opts := storage.ListOptions{ResourceVersion: strconv.FormatUint(from, 10), Recursive: true, Predicate: storage.Everything}
				opts.Predicate.AllowWatchBookmarks = true
				watcher, err := store.Watch(watching, "/pods/", opts)
				if err != nil {
					time.Sleep(100 * time.Millisecond)
					continue
				}
				for event := range watcher.ResultChan() {
					if event.Type == watch.Error {
						t.Logf("watcher %d ends after %d: %v", at, from, event.Object)
						break
					}
					from = revisionOf(event.Object)
					object := event.Object
					// Watchers of one event share what encodes it.
					if shared, isShared := object.(runtime.CacheableObject); isShared {
						object = shared.GetObject()
					}
					if pod, isPod := object.(*example.Pod); isPod && event.Type != watch.Bookmark {
						seenLock.Lock()
						key := "/registry" + computePodKey(pod)
						seen[at][key] = append(seen[at][key], from)
						seenLock.Unlock()
					}
				}
				watcher.Stop()
				continued.Add(1)
			}
		}()
	}

	const writers = 8
	var count, unknown atomic.Int64
	var objects sync.Map
	var working sync.WaitGroup
	for writer := range writers {
		working.Add(1)
		go func() {
			defer working.Done()
			for round := 0; count.Load() < int64(writes); round++ {
				pod := &example.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprintf("ns-%d", writer), Name: fmt.Sprintf("pod-%d", round%50)}}
				key := computePodKey(pod)
				known, _ := objects.LoadOrStore("/registry"+key, &written{acknowledged: map[uint64]bool{}})
				object := known.(*written)
				out := &example.Pod{}
				limited, cancel := context.WithTimeout(ctx, 20*time.Second)
				var err error
				exists := true
				switch {
				case !object.exists:
					err = store.Create(limited, key, pod, out, 0)
				case round%7 == 6:
					exists = false
					err = store.Delete(limited, key, out, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{})
				default:
					err = store.GuaranteedUpdate(limited, key, out, false, nil, storage.SimpleUpdate(func(current runtime.Object) (runtime.Object, error) {
						changed := current.DeepCopyObject().(*example.Pod)
						changed.Labels = map[string]string{"round": strconv.Itoa(round)}
						return changed, nil
					}), nil)
				}
				cancel()
				if err == nil {
					object.exists, object.last = exists, revisionOf(out)
					object.acknowledged[object.last] = true
					if done := count.Add(1); done%100 == 0 {
						fmt.Printf("acknowledged %d\n", done)
					}
					continue
				}
				object.unknown++
				unknown.Add(1)
				// What is there now?
				for {
					limited, cancel := context.WithTimeout(ctx, 20*time.Second)
					err := store.Get(limited, key, storage.GetOptions{}, out)
					cancel()
					if err == nil || storage.IsNotFound(err) {
						object.exists = err == nil
						break
					}
				}
			}
		}()
	}
	working.Wait()

	// All of it, from the nodes, and from the cache.
	stored, err := server.V3Client.KV.Get(ctx, "/registry/pods/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	var listed example.PodList
	if err := store.GetList(ctx, "/pods/", storage.ListOptions{Recursive: true, Predicate: storage.Everything}, &listed); err != nil {
		t.Fatal(err)
	}
	last := uint64(stored.Header.Revision)
	complete := func() bool {
		historyLock.Lock()
		defer historyLock.Unlock()
		seenLock.Lock()
		defer seenLock.Unlock()
		for _, each := range seen {
			for key, revisions := range byKey {
				if len(each[key]) < len(revisions) {
					return false
				}
			}
		}
		return history[last] != ""
	}
	for deadline := time.Now().Add(2 * time.Minute); !complete() && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
	historyLock.Lock()
	defer historyLock.Unlock()
	seenLock.Lock()
	defer seenLock.Unlock()

	inStore, inList := map[string]uint64{}, map[string]uint64{}
	for _, kv := range stored.Kvs {
		inStore[string(kv.Key)] = uint64(kv.ModRevision)
	}
	for at := range listed.Items {
		inList["/registry"+computePodKey(&listed.Items[at])] = revisionOf(&listed.Items[at])
	}
	if fmt.Sprint(inStore) != fmt.Sprint(inList) {
		t.Errorf("the cache lists %v, and the nodes have %v", inList, inStore)
	}
	objects.Range(func(name, known any) bool {
		key, object := name.(string), known.(*written)
		for at := range object.acknowledged {
			if history[at] != key {
				t.Errorf("%s was acknowledged at %d, where the history has %q", key, at, history[at])
			}
		}
		if extra := len(byKey[key]) - len(object.acknowledged); extra < 0 || extra > object.unknown {
			t.Errorf("%s: %d writes without an acknowledgement, of %d with an unknown outcome", key, extra, object.unknown)
		}
		if _, isThere := inStore[key]; isThere != object.exists {
			t.Errorf("%s exists: %v, acknowledged: %v", key, isThere, object.exists)
		}
		for at, each := range seen {
			if fmt.Sprint(each[key]) != fmt.Sprint(byKey[key]) {
				t.Errorf("watcher %d of %s had %v, the history %v", at, key, each[key], byKey[key])
			}
		}
		return true
	})
	for key := range inStore {
		if _, isKnown := objects.Load(key); !isKnown {
			t.Errorf("nobody has written %s", key)
		}
	}
	fmt.Printf("%d writes acknowledged, %d with an unknown outcome; %d changes, %d objects; %d watchers of the cache, which continued %d times\n",
		count.Load(), unknown.Load(), len(history), len(inStore), watchers, continued.Load())
}
