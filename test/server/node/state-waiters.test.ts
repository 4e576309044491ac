import { expect, test } from 'vitest'
import { StateWaiters } from '../../../src/server/node/membership/state-waiters.ts'
import { VirtualClock } from '../virtual-clock.ts'

function setUp() {
  const clock = new VirtualClock()
  const waits = new StateWaiters(clock)
  const state = { reached: false }
  const ends: boolean[] = []
  const wait = (timeoutMs = 100): (() => void) =>
    waits.until(
      () => state.reached,
      timeoutMs,
      (reached) => ends.push(reached),
    )
  return { clock, waits, state, ends, wait }
}

test('what holds already is answered at once, and giving it up later says nothing', () => {
  const { clock, waits, state, ends, wait } = setUp()
  state.reached = true
  const giveUp = wait()
  expect([ends, waits.size]).toEqual([[true], 0])
  giveUp()
  clock.advance(1000)
  waits.endAll()
  expect(ends).toEqual([true])
})

test('what comes to hold is answered at the next check, once', () => {
  const { clock, waits, state, ends, wait } = setUp()
  wait()
  waits.check()
  expect([ends, waits.size]).toEqual([[], 1])
  state.reached = true
  expect(ends).toEqual([])
  waits.check()
  waits.check()
  clock.advance(1000)
  expect([ends, waits.size]).toEqual([[true], 0])
})

test('what does not come to hold in time is answered then, and not before', () => {
  const { clock, waits, state, ends, wait } = setUp()
  wait(100)
  clock.advance(99)
  expect(ends).toEqual([])
  clock.advance(1)
  expect([ends, waits.size]).toEqual([[false], 0])
  state.reached = true
  waits.check()
  expect(ends).toEqual([false])
})

test('one that is given up is answered with no, and the others wait on', () => {
  const { waits, state, ends, wait } = setUp()
  const giveUp = wait()
  wait()
  giveUp()
  giveUp()
  expect([ends, waits.size]).toEqual([[false], 1])
  state.reached = true
  waits.check()
  expect(ends).toEqual([false, true])
})

test.each([true, false])('the end of the node answers all, with what holds then: %s', (reached) => {
  const { clock, waits, state, ends, wait } = setUp()
  wait()
  wait()
  state.reached = reached
  waits.endAll()
  clock.advance(1000)
  expect([ends, waits.size]).toEqual([[reached, reached], 0])
})

test('what is reached, or given up, leaves no timer behind', () => {
  const { clock, waits, state, wait } = setUp()
  wait()()
  wait()
  expect(clock.timers).toBe(1)
  state.reached = true
  waits.check()
  expect(clock.timers).toBe(0)
})
