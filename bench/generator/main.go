// The load generator for systems whose best client is in Go: store.go lists them. With watchers it is that of watch.go.
// Otherwise it does what bench/load/generator.ts does for quorate: reads a Load as one line of JSON, prints "begun" when
// the warm-up is over, and then the report as one line of JSON.
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

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type load struct {
	Over          string
	Endpoints     []string
	Connections   int
	InFlight      int `json:"in_flight"`
	Rate          *float64
	Reads         float64
	Consistency   string
	Writes        string
	Range         int64
	Page          *int64
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
	updated   chan updatedKey
	// Changed by all workers.
	endsAt, arrivals, filled, created int64
}

// A key that the load updates, with its revision; 0: it does not exist yet.
type updatedKey struct {
	name     string
	revision int64
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
	// As in bench/load/operations.ts.
	updatedKeysPerWorker = 16
	fillTries            = 10
	fillAgain            = 500 * time.Millisecond
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
	stores := connect(r.Over, r.Endpoints, r.Connections)
	r.noise = make([]byte, noiseBytes+r.ValueBytes)
	rand.Read(r.noise)
	if r.FillFrom != nil {
		r.filled = *r.FillFrom
	}

	r.begin = time.Now()
	r.updated = make(chan updatedKey, r.InFlight*updatedKeysPerWorker)
	for i := 0; r.Writes == "update" && i < cap(r.updated); i++ {
		r.updated <- updatedKey{name: r.newName()}
	}
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
			tallies[i] = r.work(stores[i%len(stores)], random)
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
func (r *run) work(s store, random *rand.Rand) tally {
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
		err := operate(ctx, s)
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
type operation func(ctx context.Context, s store) error

// nil when every key is written.
func (r *run) next(random *rand.Rand) operation {
	if r.FillFrom != nil {
		key := atomic.AddInt64(&r.filled, 1) - 1
		if key >= r.Keys {
			return nil
		}
		return untilDone(r.put(key, random))
	}
	if r.Reads == 0 || random.Float64() >= r.Reads {
		switch r.Writes {
		case "create":
			return r.create(random)
		case "update":
			return r.update(random)
		default:
			return r.put(random.Int63n(r.Keys), random)
		}
	}
	stale := r.Consistency == "stale"
	if r.Range == 1 {
		key := keyName(random.Int63n(r.Keys))
		return func(ctx context.Context, s store) error { return s.get(ctx, key, stale) }
	}
	first := random.Int63n(max(1, r.Keys-r.Range+1))
	from := keyName(first)
	if r.Page != nil {
		to := keyName(first + r.Range)
		return func(ctx context.Context, s store) error { return s.listPages(ctx, from, to, *r.Page) }
	}
	return func(ctx context.Context, s store) error { return s.list(ctx, from, r.Range, stale) }
}

func (r *run) put(key int64, random *rand.Rand) operation {
	value := r.value(random)
	return func(ctx context.Context, s store) error { return s.put(ctx, keyName(key), value) }
}

// A busy machine may make a write time out. A write that fills the store may be repeated.
func untilDone(put operation) operation {
	return func(_ context.Context, s store) (err error) {
		for range fillTries {
			ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
			err = put(ctx, s)
			cancel()
			if err == nil {
				return nil
			}
			time.Sleep(fillAgain)
		}
		return err
	}
}

func (r *run) create(random *rand.Rand) operation {
	name, value := r.newName(), r.value(random)
	return func(ctx context.Context, s store) error {
		_, err := s.create(ctx, name, value)
		return err
	}
}

// The key whose last update is the longest ago. After an error its revision is not known: another key replaces it.
func (r *run) update(random *rand.Rand) operation {
	value := r.value(random)
	return func(ctx context.Context, s store) error {
		key := <-r.updated
		revision, err := s.update(ctx, key.name, value, key.revision)
		if err == nil {
			r.updated <- updatedKey{key.name, revision}
		} else {
			r.updated <- updatedKey{name: r.newName()}
		}
		return err
	}
}

func (r *run) value(random *rand.Rand) string {
	at := random.Intn(noiseBytes)
	return string(r.noise[at : at+r.ValueBytes])
}

// A key that no load has written before.
func (r *run) newName() string {
	return fmt.Sprintf("new-%x-%010d", r.begin.UnixNano(), atomic.AddInt64(&r.created, 1))
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
