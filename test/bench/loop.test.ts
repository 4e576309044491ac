import { expect, test } from 'vitest'
import { type Loop, runLoop } from '../../bench/load/loop.ts'
import { FakeClock } from './fake-clock.ts'

const LOOP: Loop = { inFlight: 1, rate: null, warmupMs: 0, measuredMs: 1000 }

test('closed loop: each worker begins the next operation when it has an answer; the warm-up does not count', async () => {
  const clock = new FakeClock()
  const done = runLoop(() => clock.after(10), { ...LOOP, inFlight: 2, warmupMs: 500 }, clock)
  const { latencies, measuredMs } = await clock.pass(done)
  expect(latencies.count).toBe(200)
  expect(latencies.percentile(50)).toBeCloseTo(10, 1)
  expect(measuredMs).toBe(1000)
})

test('open loop: every operation that falls due while the server stalls counts from when it was due', async () => {
  const clock = new FakeClock()
  let asked = 0
  // Every 10 ms one is due and takes 1 ms, but the 21st takes half a second.
  const answer = (): Promise<void> => clock.after(++asked === 21 ? 500 : 1)
  const { latencies } = await clock.pass(runLoop(answer, { ...LOOP, rate: 100 }, clock))
  expect(latencies.count).toBe(100)
  expect(latencies.max).toBeCloseTo(500, 0)
  // The 21st waits 500 ms, the one after it 491, then 482 and so on, each 9 ms less: 56 of them wait.
  expect(latencies.percentile(44)).toBeCloseTo(1, 2)
  expect(latencies.percentile(72)).toBeGreaterThan(240)
})

test('open loop: what was due before the end is answered, and counts, even when all of it is late', async () => {
  const clock = new FakeClock()
  const { latencies, measuredMs } = await clock.pass(
    runLoop(() => clock.after(50), { ...LOOP, rate: 100 }, clock),
  )
  expect(latencies.count).toBe(100)
  expect(measuredMs).toBe(5000)
  expect(latencies.max).toBeCloseTo(5000 - 990, -1)
})

test('an operation that fails counts as an error of its kind, and the next one begins a little later', async () => {
  const clock = new FakeClock()
  let asked = 0
  const answer = async (): Promise<void> => {
    await clock.after(5)
    if (++asked % 2 === 0) throw new Error('status 503')
  }
  const { latencies, errors } = await clock.pass(runLoop(answer, LOOP, clock))
  expect(latencies.max).toBeCloseTo(5, 1)
  expect(errors).toEqual(new Map([['status 503', 34]]))
})

test('the measured time goes on while operations fail', async () => {
  const clock = new FakeClock()
  let asked = 0
  const answer = async (): Promise<void> => {
    await clock.after(5)
    if (++asked > 100) throw new Error('status 503')
  }
  const { latencies, measuredMs } = await clock.pass(runLoop(answer, LOOP, clock))
  expect(latencies.count).toBe(100)
  expect(measuredMs).toBe(980)
})

test('open loop: when it is told to stop, what was due before is still answered, and counts', async () => {
  const clock = new FakeClock()
  const stop = new AbortController()
  const answer = (): Promise<void> => clock.after(50)
  const done = runLoop(answer, { ...LOOP, rate: 100, measuredMs: null, stop: stop.signal }, clock)
  void clock.until(995).then(() => stop.abort())
  const { latencies, measuredMs } = await clock.pass(done)
  expect(latencies.count).toBe(100)
  expect(measuredMs).toBe(5000)
})

test('a loop without an end stops when it is told to, or when there are no more operations', async () => {
  const clock = new FakeClock()
  const stop = new AbortController()
  let asked = 0
  const answer = (): Promise<void> => {
    if (++asked === 7) stop.abort()
    return clock.after(1)
  }
  const stopped = await clock.pass(runLoop(answer, { ...LOOP, measuredMs: null, stop: stop.signal }, clock))
  expect(stopped.latencies.count).toBe(7)
  let left = 5
  const operate = (): Promise<void> | undefined => (left-- > 0 ? clock.after(1) : undefined)
  const ended = await clock.pass(runLoop(operate, { ...LOOP, inFlight: 3, measuredMs: null }, clock))
  expect(ended.latencies.count).toBe(5)
})
