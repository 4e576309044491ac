// Virtual time: what is cancelled, or belongs to nobody any more, takes no memory until it would have been due.

import { expect, test } from 'vitest'
import { TIMER, Time } from '../../../../jepsen-lite/sim/world/time.ts'

const DAY_MS = 86_400_000

test('events of an owner that is gone are dropped, and the others keep their order', () => {
  const time = new Time()
  const gone = { live: true, paused: false, number: 1, defer() {} }
  const ran: number[] = []
  for (let at = 1; at <= 100; at++) time.push(at, TIMER, undefined, () => ran.push(at))
  for (let at = 0; at < 50_000; at++) time.push(DAY_MS + at, TIMER, gone, () => {})
  gone.live = false
  for (let at = 101; at <= 100_000; at++) time.push(at, TIMER, undefined, () => ran.push(at)).cancel()
  time.push(100_001, TIMER, undefined, () => ran.push(100_001))
  let left = 0
  time.waiting(() => {
    left++
    return false
  })
  expect(left).toBe(101)
  for (let event = time.next(DAY_MS * 2); event !== undefined; event = time.next(DAY_MS * 2))
    event.run?.(event)
  expect(ran).toEqual([...Array.from({ length: 100 }, (_, at) => at + 1), 100_001])
})
