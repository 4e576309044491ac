// Clocks of a simulated process.

import { uptime } from 'node:os'
import { performance as imported } from 'node:perf_hooks'
import { hrtime } from 'node:process'
import { expect, test } from 'vitest'
import { virtualHost } from './virtual-host.ts'

/** The time of a virtual host when it begins, as a date. */
const WALL_MS = 1_000_000

test('Date is the wall-clock time of the process', () => {
  const host = virtualHost()
  host.run(() => {
    expect(Date.now()).toBe(WALL_MS)
    expect(new Date()).toEqual(new Date(WALL_MS))
    expect(Date()).toBe(new Date(WALL_MS).toString())
    expect(new Date(5).getTime()).toBe(5)
    expect(new Date(2020, 1, 2, 3).getMonth()).toBe(1)
    expect(new Date(Number.NaN).getTime()).toBeNaN()
    expect(Date.UTC(1970, 0, 2)).toBe(86_400_000)
    expect(Date.parse('1970-01-02T00:00:00Z')).toBe(86_400_000)
    expect([Date.name, Date.length]).toEqual(['Date', 7])
  })
})

test('dates of a process and others are instances of both kinds of Date', () => {
  const Before = Date
  const real = new Date()
  const host = virtualHost()
  const simulated = host.run(() => new Date())
  for (const date of [real, simulated]) {
    expect(date).toBeInstanceOf(Date)
    expect(date).toBeInstanceOf(Before)
    expect(structuredClone(date)).toEqual(date)
  }
})

test('a subclass of Date has the time of the process', () => {
  const host = virtualHost()
  class Day extends Date {
    get number(): number {
      return Math.floor(this.getTime() / 1000)
    }
  }
  host.run(() => {
    const day = new Day()
    expect(day).toBeInstanceOf(Day)
    expect(day).toBeInstanceOf(Date)
    expect(day.number).toBe(1000)
    expect(new Day(7000).number).toBe(7)
  })
})

test('Intl formats the present of the process', () => {
  const host = virtualHost()
  const format = new Intl.DateTimeFormat('en', { timeStyle: 'medium', timeZone: 'UTC' })
  host.run(() => {
    expect(format.format()).toBe(format.format(WALL_MS))
    expect(format.formatToParts()).toEqual(format.formatToParts(WALL_MS))
    for (const first of [0, new Date(0)]) {
      expect(format.format(first)).toMatch(/^12:00:00/)
      expect(format.formatToParts(first)).not.toEqual(format.formatToParts())
    }
  })
})

test('all other clocks count from the beginning of the process', async () => {
  const host = virtualHost()
  await host.advance(2500)
  host.run(() => {
    expect(performance.now()).toBe(2500.25)
    expect(imported.now()).toBe(2500.25)
    expect(performance.timeOrigin).toBe(WALL_MS + 0.5)
    expect(process.hrtime()).toEqual([2, 500_250_000])
    expect(hrtime([1, 900_000_000])).toEqual([0, 600_250_000])
    expect(process.hrtime.bigint()).toBe(2_500_250_000n)
    expect(hrtime.bigint()).toBe(2_500_250_000n)
    expect(process.uptime()).toBeCloseTo(2.500_25, 9)
    expect(uptime()).toBeCloseTo(2.500_25, 9)
    expect(() => process.hrtime([1] as never)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
  })
})

test('marks and measures are those of the clock of the process', async () => {
  const host = virtualHost()
  host.run(() => performance.mark('begin'))
  await host.advance(100)
  host.run(() => {
    expect(performance.measure('until now', 'begin')).toMatchObject({ startTime: 0.25, duration: 100 })
    expect(performance.measure('from the start')).toMatchObject({ startTime: 0, duration: 100.25 })
    expect(performance.measure('options', { start: 'begin', detail: 'x' })).toMatchObject({
      duration: 100,
      detail: 'x',
    })
    expect(performance.measure('known', { start: 1, duration: 2 })).toMatchObject({
      startTime: 1,
      duration: 2,
    })
    expect(performance.measure('detail alone', { detail: 'x' })).toMatchObject({
      startTime: 0,
      duration: 100.25,
    })
    // As in Node, a duration without a start and an end has no meaning.
    expect(performance.measure('duration alone', { duration: 5 })).toMatchObject({
      startTime: 0,
      duration: 100.25,
    })
    expect(performance.measure('before its end', { end: 50, duration: 5 })).toMatchObject({
      startTime: 45,
      duration: 5,
    })
    expect(performance.mark('own', { startTime: 7 }).startTime).toBe(7)
  })
  performance.clearMarks()
  performance.clearMeasures()
})

test('code of no process finds the real clocks', () => {
  const before = [Date.now(), performance.now(), process.uptime()]
  virtualHost()
  for (const [at, now] of [Date.now(), performance.now(), process.uptime()].entries())
    expect(now).toBeGreaterThanOrEqual(before[at] ?? Number.NaN)
  expect(Date()).toBe(new Date(Date()).toString())
})
