// The load generator for etcd, on its own client (clientv3). It does what bench/load/generator.ts does for quorate:
// reads a Load as one line of JSON, prints "begun" when the warm-up is over, and then the report as one line of JSON.
// What the fields mean and which operations count is said in bench/load/load.ts and bench/load/loop.ts.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/etcd/clientv3"
	"google.golang.org/grpc/status"
)

type load struct {
	Endpoints     []string
	Connections   int
	InFlight      int `json:"in_flight"`
	Rate          *float64
	Reads         float64
	Consistency   string
	Range         int64
	Keys          int64
	FillFrom      *int64  `json:"fill_from"`
	ValueBytes    int     `json:"value_bytes"`
	WarmupSeconds float64 `json:"warmup_seconds"`
	Seconds       *float64
}

type report struct {
	Operations int            `json:"operations"`
	Seconds    float64        `json:"seconds"`
	P50        float64        `json:"p50_ms"`
	P99        float64        `json:"p99_ms"`
	P999       float64        `json:"p999_ms"`
	Max        float64        `json:"max_ms"`
	Errors     map[string]int `json:"errors"`
	CPU        int64          `json:"cpu_us"`
}

// What one worker has seen; the tallies of all are merged at the end. Times count from the beginning of the load.
type tally struct {
	latencies  []time.Duration
	errors     map[string]int
	lastAnswer time.Duration
}

const (
	noiseBytes     = 4 << 20
	afterError     = 20 * time.Millisecond
	requestTimeout = 5 * time.Second
)

func main() {
	input := bufio.NewReader(os.Stdin)
	var l load
	line, err := input.ReadBytes('\n')
	check(err)
	check(json.Unmarshal(line, &l))
	clients := make([]*clientv3.Client, l.Connections)
	for i := range clients {
		clients[i], err = clientv3.New(clientv3.Config{Endpoints: l.Endpoints, DialTimeout: requestTimeout})
		check(err)
	}

	begin := time.Now()
	now := func() time.Duration { return time.Since(begin) }
	countFrom := seconds(l.WarmupSeconds)
	endsAt := int64(math.MaxInt64)
	if l.Seconds != nil {
		endsAt = int64(countFrom + seconds(*l.Seconds))
	}
	go func() {
		_, _ = input.ReadBytes('\n')
		atomic.StoreInt64(&endsAt, int64(now()))
	}()
	isOver := func(due time.Duration) bool { return int64(due) >= atomic.LoadInt64(&endsAt) }
	arrivals := int64(-1)
	nextDue := func() time.Duration {
		if l.Rate == nil {
			return now()
		}
		return seconds(float64(atomic.AddInt64(&arrivals, 1)) / *l.Rate)
	}
	filled := int64(-1)
	if l.FillFrom != nil {
		filled = *l.FillFrom - 1
	}

	begun := make(chan int64)
	go func() {
		time.Sleep(countFrom - now())
		fmt.Println("begun")
		begun <- cpuMicros()
	}()

	noise := make([]byte, noiseBytes+l.ValueBytes)
	rand.Seed(begin.UnixNano())
	rand.Read(noise)
	tallies := make([]tally, l.InFlight)
	var workers sync.WaitGroup
	for i := range tallies {
		workers.Add(1)
		go func(t *tally, client *clientv3.Client, random *rand.Rand) {
			defer workers.Done()
			t.errors = map[string]int{}
			t.lastAnswer = countFrom
			for {
				due := nextDue()
				if !isOver(due) {
					time.Sleep(due - now())
				}
				if isOver(due) {
					return
				}
				key := random.Int63n(l.Keys)
				if l.FillFrom != nil {
					key = atomic.AddInt64(&filled, 1)
					if key >= l.Keys {
						return
					}
				}
				at := random.Intn(noiseBytes)
				err := operate(client, &l, random, key, string(noise[at:at+l.ValueBytes]))
				answered := now()
				if due >= countFrom {
					t.lastAnswer = answered
					if err == nil {
						t.latencies = append(t.latencies, answered-due)
					} else {
						t.errors[kindOf(err)]++
					}
				}
				if err != nil {
					time.Sleep(afterError)
				}
			}
		}(&tallies[i], clients[i%len(clients)], rand.New(rand.NewSource(begin.UnixNano()+int64(i))))
	}
	workers.Wait()
	cpuAtBegin := <-begun
	result, err := json.Marshal(merged(tallies, countFrom, cpuMicros()-cpuAtBegin))
	check(err)
	fmt.Println(string(result))
}

// One operation: it fails unless the answer is a success.
func operate(client *clientv3.Client, l *load, random *rand.Rand, key int64, value string) error {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	if l.FillFrom != nil || l.Reads == 0 || random.Float64() >= l.Reads {
		_, err := client.Put(ctx, keyName(key), value)
		return err
	}
	options := []clientv3.OpOption{}
	if l.Consistency == "stale" {
		options = append(options, clientv3.WithSerializable())
	}
	if l.Range > 1 {
		options = append(options, clientv3.WithFromKey(), clientv3.WithLimit(l.Range))
		if last := l.Keys - l.Range; key > last && last > 0 {
			key = last
		}
	}
	answer, err := client.Get(ctx, keyName(key), options...)
	if err == nil && len(answer.Kvs) == 0 {
		return fmt.Errorf("not_found")
	}
	return err
}

func merged(tallies []tally, countFrom time.Duration, cpu int64) report {
	all := []time.Duration{}
	last := countFrom
	r := report{Errors: map[string]int{}, CPU: cpu}
	for _, t := range tallies {
		all = append(all, t.latencies...)
		for kind, count := range t.errors {
			r.Errors[kind] += count
		}
		if t.lastAnswer > last {
			last = t.lastAnswer
		}
	}
	sort.Slice(all, func(a, b int) bool { return all[a] < all[b] })
	percentile := func(percent float64) float64 {
		if len(all) == 0 {
			return 0
		}
		rank := int(math.Ceil(percent / 100 * float64(len(all))))
		return float64(all[rank-1]) / float64(time.Millisecond)
	}
	r.Operations = len(all)
	r.Seconds = (last - countFrom).Seconds()
	r.P50, r.P99, r.P999, r.Max = percentile(50), percentile(99), percentile(99.9), percentile(100)
	return r
}

func keyName(number int64) string { return fmt.Sprintf("key-%010d", number) }

func kindOf(err error) string { return status.Convert(err).Code().String() }

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// CPU time of this process so far.
func cpuMicros() int64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Microseconds()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
