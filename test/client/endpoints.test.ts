// Which endpoint is asked next, and which is left out: round robin, circuit breakers and their pauses, and timers.

import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { Backoff } from '../../src/client/backoff.ts'
import { Endpoint, Endpoints } from '../../src/client/endpoints.ts'
import { after as later } from '../../src/client/timer.ts'

const endpoint = (url = 'http://127.0.0.1:7301') => new Endpoint(new URL(url))

test.each([
  ['http://127.0.0.1:7301', '127.0.0.1', 7301],
  ['http://[::1]:7301', '::1', 7301],
  ['http://node-1', 'node-1', 80],
])('%s: host %s, port %d', (url, host, port) => {
  expect(endpoint(url)).toMatchObject({ url, host, port })
})

describe('a pause is drawn between the base and three times the pause before', () => {
  test.each([
    [0, [10, 10, 10, 10]],
    [0.5, [20, 35, 57.5, 91.25]],
    [1, [30, 90, 100, 100]],
  ])('at %d of the way', (share, pauses) => {
    const backoff = new Backoff(10, 100, () => share)
    for (let round = 0; round < 2; round++) {
      expect(pauses.map(() => backoff.next())).toEqual(pauses)
      backoff.reset()
    }
  })
})

describe('a circuit breaker', () => {
  const [one, other] = [{}, {}]

  test('lets all requests pass while it is closed', () => {
    const each = endpoint()
    for (const caller of [one, other]) {
      expect(each.allows(0)).toBe(true)
      each.requestSent(caller, 0)
      expect(each.isProbed).toBe(false)
    }
  })

  test('lets no request pass during a pause, and then one at a time', () => {
    vi.spyOn(Math, 'random').mockReturnValue(0)
    onTestFinished(() => void vi.restoreAllMocks())
    const each = endpoint()
    each.failed(1_000)
    expect([1_000, 1_099, 1_100].map((ms) => each.allows(ms))).toEqual([false, false, true])
    each.requestSent(one, 0)
    expect(each.isProbed).toBe(true)
    expect(each.allows(1_100)).toBe(false)
    each.requestEnded(other)
    expect(each.isProbed).toBe(true)
    each.requestEnded(one)
    expect(each.isProbed).toBe(false)
    expect(each.allows(1_100)).toBe(true)
    each.worked()
    expect(each.allows(0)).toBe(true)
  })

  test('pauses for longer after each failure, until it works', () => {
    vi.spyOn(Math, 'random').mockReturnValue(1)
    onTestFinished(() => void vi.restoreAllMocks())
    const each = endpoint()
    for (let round = 0; round < 2; round++) {
      for (const pauseMs of [300, 900, 2_700, 5_000, 5_000]) {
        each.failed(0)
        expect(each.allows(pauseMs - 1)).toBe(false)
        expect(each.allows(pauseMs)).toBe(true)
      }
      each.worked()
    }
  })
})

describe('endpoints', () => {
  const urls = [1, 2, 3].map((at) => `http://127.0.0.1:${at}`)
  const picked = (endpoints: Endpoints, count: number) =>
    Array.from({ length: count }, () => endpoints.pick(() => true, 0)?.url)

  test.each([
    [0, [0, 1, 2, 0]],
    [0.34, [1, 2, 0, 1]],
    [0.99, [2, 0, 1, 2]],
  ])('take turns; the first is drawn (%d)', (share, order) => {
    const endpoints = new Endpoints(urls, () => share)
    expect(picked(endpoints, 4)).toEqual(order.map((at) => urls[at]))
  })

  test('that pause are passed over, unless no other is left', () => {
    const endpoints = new Endpoints(urls, () => 0)
    const [first, second, third] = endpoints.all
    first?.failed(0)
    expect(picked(endpoints, 3)).toEqual([urls[1], urls[2], urls[1]])
    const rest = new Set(endpoints.all.slice(1))
    expect(endpoints.pick((each) => !rest.has(each), 0)).toBe(first)
    expect(endpoints.pick(() => false, 0)).toBeUndefined()
    second?.failed(0)
    third?.failed(0)
    expect(new Set(picked(endpoints, 3))).toEqual(new Set(urls))
  })

  test('of a client with secure endpoints are all secure', () => {
    const endpoints = new Endpoints(['https://127.0.0.1:1'])
    endpoints.learn(['http://127.0.0.1:2', 'https://127.0.0.1:3'], true)
    expect(endpoints.all.map(({ url }) => url)).toEqual(['https://127.0.0.1:1', 'https://127.0.0.1:3'])
  })

  test('that are learned again keep their state', () => {
    const endpoints = new Endpoints(['http://127.0.0.1:1', '127.0.0.1:1/'], () => 0)
    const [given] = endpoints.all
    expect(endpoints.all.length).toBe(1)
    endpoints.learn(urls.slice(1), true)
    const [, second, third] = endpoints.all
    endpoints.learn([...urls.slice(1), 'ftp://127.0.0.1:4', ...urls], true)
    expect(endpoints.all.length).toBe(3)
    expect(endpoints.all[0]).toBe(given)
    expect(endpoints.all[1]).toBe(second)
    expect(endpoints.all[2]).toBe(third)
    endpoints.learn([], true)
    expect(endpoints.all.length).toBe(3)
    endpoints.learn(urls.slice(2), true)
    expect(endpoints.all.map(({ url }) => url)).toEqual([urls[0], urls[2]])
  })
})

describe('a timer', () => {
  test.each([1, 2 ** 31 - 1, 2 ** 31, 2 ** 33 + 7])('of %d ms runs then, not before, and once', (delayMs) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    let ran = 0
    later(delayMs, () => void ran++)
    vi.advanceTimersByTime(delayMs - 1)
    expect(ran).toBe(0)
    vi.advanceTimersByTime(1)
    expect(ran).toBe(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('that was cancelled does not run', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const stop = later(2 ** 32, () => expect.unreachable())
    vi.advanceTimersByTime(2 ** 31)
    stop()
    expect(vi.getTimerCount()).toBe(0)
  })
})
