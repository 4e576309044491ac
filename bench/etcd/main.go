// The load generator for etcd, on its own client (clientv3). With watchers it is that of watch.go. Otherwise it does
// what bench/load/generator.ts does for quorate:
// reads a Load as one line of JSON, prints "begun" when the warm-up is over, and then the report as one line of JSON.
// What the fields mean and which operations count is said in bench/load/load.ts and bench/load/loop.ts.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
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

// One load while it runs. Times count from its beginning.
type run struct {
	load
	begin     time.Time
	countFrom time.Duration
	noise     []byte
	// Changed by all workers.
	endsAt, arrivals, filled int64
}

// What one worker has seen; the tallies of all are merged at the end.
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
	line, err := input.ReadBytes('\n')
	check(err)
	var kind struct{ Watchers int }
	check(json.Unmarshal(line, &kind))
	if kind.Watchers > 0 {
		watchMain(line, input)
		return
	}
	r := &run{endsAt: math.MaxInt64}
	check(json.Unmarshal(line, &r.load))
	clients := make([]*clientv3.Client, r.Connections)
	for i := range clients {
		clients[i], err = clientv3.New(clientv3.Config{Endpoints: r.Endpoints, DialTimeout: requestTimeout})
		check(err)
	}
	r.noise = make([]byte, noiseBytes+r.ValueBytes)
	rand.Read(r.noise)
	if r.FillFrom != nil {
		r.filled = *r.FillFrom
	}

	r.begin = time.Now()
	r.countFrom = seconds(r.WarmupSeconds)
	if r.Seconds != nil {
		r.endsAt = int64(r.countFrom + seconds(*r.Seconds))
	}
	go func() {
		_, _ = input.ReadBytes('\n')
		atomic.StoreInt64(&r.endsAt, int64(r.now()))
	}()
	cpuAtBegin := make(chan int64)
	go func() {
		time.Sleep(r.countFrom - r.now())
		fmt.Println("begun")
		cpuAtBegin <- cpuMicros()
	}()

	tallies := make([]tally, r.InFlight)
	var workers sync.WaitGroup
	for i := range tallies {
		workers.Add(1)
		go func(i int) {
			defer workers.Done()
			random := rand.New(rand.NewSource(r.begin.UnixNano() + int64(i)))
			tallies[i] = r.work(clients[i%len(clients)], random)
		}(i)
	}
	workers.Wait()
	before := <-cpuAtBegin
	result, err := json.Marshal(merged(tallies, r.countFrom, cpuMicros()-before))
	check(err)
	fmt.Println(string(result))
}

func (r *run) now() time.Duration { return time.Since(r.begin) }

// When the next operation begins: in an open loop at fixed times, whatever the answers do.
func (r *run) nextDue() time.Duration {
	if r.Rate == nil {
		return r.now()
	}
	return seconds(float64(atomic.AddInt64(&r.arrivals, 1)-1) / *r.Rate)
}

func (r *run) isOver(due time.Duration) bool { return int64(due) >= atomic.LoadInt64(&r.endsAt) }

// One operation after the other, until the time is over or every key is written.
func (r *run) work(client *clientv3.Client, random *rand.Rand) tally {
	t := tally{errors: map[string]int{}, lastAnswer: r.countFrom}
	for {
		due := r.nextDue()
		if !r.isOver(due) {
			time.Sleep(due - r.now())
		}
		if r.isOver(due) {
			return t
		}
		operate := r.next(random)
		if operate == nil {
			return t
		}
		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
		err := operate(ctx, client)
		cancel()
		answered := r.now()
		if due >= r.countFrom {
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
}

// It fails unless the answer is a success.
type operation func(ctx context.Context, client *clientv3.Client) error

// nil when every key is written.
func (r *run) next(random *rand.Rand) operation {
	if r.FillFrom != nil {
		key := atomic.AddInt64(&r.filled, 1) - 1
		if key >= r.Keys {
			return nil
		}
		return r.put(key, random)
	}
	if r.Reads == 0 || random.Float64() >= r.Reads {
		return r.put(random.Int63n(r.Keys), random)
	}
	if r.Range == 1 {
		return r.get(random.Int63n(r.Keys))
	}
	starts := r.Keys - r.Range + 1
	if starts < 1 {
		starts = 1
	}
	return r.get(random.Int63n(starts), clientv3.WithFromKey(), clientv3.WithLimit(r.Range))
}

func (r *run) put(key int64, random *rand.Rand) operation {
	at := random.Intn(noiseBytes)
	value := string(r.noise[at : at+r.ValueBytes])
	return func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.Put(ctx, keyName(key), value)
		return err
	}
}

func (r *run) get(key int64, options ...clientv3.OpOption) operation {
	if r.Consistency == "stale" {
		options = append(options, clientv3.WithSerializable())
	}
	return func(ctx context.Context, client *clientv3.Client) error {
		answer, err := client.Get(ctx, keyName(key), options...)
		if err == nil && len(answer.Kvs) == 0 {
			return errNotFound
		}
		return err
	}
}

func merged(tallies []tally, countFrom time.Duration, cpu int64) report {
	all := []time.Duration{}
	last := countFrom
	counts := map[string]int{}
	for _, t := range tallies {
		all = append(all, t.latencies...)
		for kind, count := range t.errors {
			counts[kind] += count
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
	return report{
		Operations: len(all),
		Seconds:    (last - countFrom).Seconds(),
		P50:        percentile(50),
		P99:        percentile(99),
		P999:       percentile(99.9),
		Max:        percentile(100),
		Errors:     counts,
		CPU:        cpu,
	}
}

func keyName(number int64) string { return fmt.Sprintf("key-%010d", number) }

var errNotFound = errors.New("not_found")

// Errors are counted by their code, where they have one.
func kindOf(err error) string {
	if code := status.Code(err); code != codes.Unknown {
		return code.String()
	}
	return err.Error()
}

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
