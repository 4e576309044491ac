// The generator of watches. It does what bench/load/watch-generator.ts does for quorate; what the fields mean is said
// in bench/load/watch-load.ts.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type watchLoad struct {
	Over          string
	Endpoints     []string
	Connections   int
	Watchers      int64
	WatchedKeys   int64 `json:"watched_keys"`
	Rate          float64
	ValueBytes    int     `json:"value_bytes"`
	WarmupSeconds float64 `json:"warmup_seconds"`
	Seconds       float64
}

type watchReport struct {
	Puts    int64          `json:"puts"`
	Events  int            `json:"events"`
	Missing int64          `json:"missing"`
	P50     float64        `json:"p50_ms"`
	P99     float64        `json:"p99_ms"`
	P999    float64        `json:"p999_ms"`
	Max     float64        `json:"max_ms"`
	Errors  map[string]int `json:"errors"`
	CPU     int64          `json:"cpu_us"`
}

const lastEvents = 10 * time.Second

// One load of watches while it runs. Times count from its beginning.
type watchRun struct {
	watchLoad
	begin     time.Time
	countFrom int64
	mutex     sync.Mutex
	latencies []time.Duration
	errors    map[string]int
}

func watchMain(line []byte, input *bufio.Reader) {
	w := &watchRun{begin: time.Now(), countFrom: math.MaxInt64, errors: map[string]int{}}
	check(json.Unmarshal(line, &w.watchLoad))
	stores := connect(w.Over, w.Endpoints, w.Connections+1)
	writer := stores[w.Connections]
	var begun sync.WaitGroup
	for n := int64(0); n < w.Watchers; n++ {
		begun.Add(1)
		go w.watch(stores[n%int64(w.Connections)], keyName(n%w.WatchedKeys), &begun)
	}
	begun.Wait()
	fmt.Println("watching")
	_, err := input.ReadBytes('\n')
	check(err)

	started := time.Since(w.begin)
	measuredFrom := started + seconds(w.WarmupSeconds)
	end := measuredFrom + seconds(w.Seconds)
	random := rand.New(rand.NewSource(w.begin.UnixNano()))
	var puts, expected, underWay int64
	cpuAtBegin := cpuMicros()
	isBegun := false
	for number := 0; ; number++ {
		due := started + seconds(float64(number)/w.Rate)
		if due >= end {
			break
		}
		time.Sleep(due - time.Since(w.begin))
		if !isBegun && due >= measuredFrom {
			isBegun = true
			atomic.StoreInt64(&w.countFrom, int64(due))
			cpuAtBegin = cpuMicros()
			fmt.Println("begun")
		}
		key := random.Int63n(w.WatchedKeys)
		atomic.AddInt64(&underWay, 1)
		go func() {
			defer atomic.AddInt64(&underWay, -1)
			ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
			defer cancel()
			value := fmt.Sprintf("%*d", w.ValueBytes, int64(due))
			if err := writer.put(ctx, keyName(key), value); err != nil {
				w.mutex.Lock()
				w.errors[kindOf(err)]++
				w.mutex.Unlock()
			} else if int64(due) >= atomic.LoadInt64(&w.countFrom) {
				atomic.AddInt64(&puts, 1)
				atomic.AddInt64(&expected, (w.Watchers-1-key)/w.WatchedKeys+1)
			}
		}()
	}
	deadline := time.Now().Add(lastEvents)
	for time.Now().Before(deadline) {
		if atomic.LoadInt64(&underWay) == 0 && int64(w.count()) >= atomic.LoadInt64(&expected) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	cpu := cpuMicros() - cpuAtBegin
	w.mutex.Lock()
	defer w.mutex.Unlock()
	sort.Slice(w.latencies, func(a, b int) bool { return w.latencies[a] < w.latencies[b] })
	percentile := func(percent float64) float64 {
		if len(w.latencies) == 0 {
			return 0
		}
		rank := int(math.Ceil(percent / 100 * float64(len(w.latencies))))
		return float64(w.latencies[rank-1]) / float64(time.Millisecond)
	}
	result, err := json.Marshal(watchReport{
		Puts:    puts,
		Events:  len(w.latencies),
		Missing: expected - int64(len(w.latencies)),
		P50:     percentile(50),
		P99:     percentile(99),
		P999:    percentile(99.9),
		Max:     percentile(100),
		Errors:  w.errors,
		CPU:     cpu,
	})
	check(err)
	fmt.Println(string(result))
}

func (w *watchRun) count() int {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return len(w.latencies)
}

// Counts the events of one watcher, until the process ends.
func (w *watchRun) watch(s store, key string, begun *sync.WaitGroup) {
	check(s.watch(context.Background(), key, sync.OnceFunc(begun.Done), func(value string) {
		now := time.Since(w.begin)
		due, err := strconv.ParseInt(strings.TrimLeft(value, " "), 10, 64)
		check(err)
		if due >= atomic.LoadInt64(&w.countFrom) {
			w.mutex.Lock()
			w.latencies = append(w.latencies, now-time.Duration(due))
			w.mutex.Unlock()
		}
	}))
}
