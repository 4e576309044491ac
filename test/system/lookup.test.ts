// Host names with a simulated nameserver, which answers when the test tells it to.

import dns, { type LookupAddress } from 'node:dns'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { lookup } from '../../src/system/lookup.ts'

type Answer = (error: Error | null, addresses?: readonly LookupAddress[]) => void

const ADDRESSES = [
  { address: '10.0.0.1', family: 4 },
  { address: '::1', family: 6 },
]
let asked: { readonly host: string; readonly answer: Answer }[]
let number = 0

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] })
  asked = []
  const play = (host: string, _: unknown, answer: Answer): void => void asked.push({ host, answer })
  vi.spyOn(dns, 'lookup').mockImplementation(play as unknown as typeof dns.lookup)
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

/** An answer is valid for the whole process, so each test uses a new name. */
const newHost = (): string => `n${++number}.example`

const addressesOf = (host: string): Promise<unknown> =>
  new Promise((resolve) => lookup(host, { all: true }, (error, found) => resolve(error ?? found)))

test('a request for a name that is being looked up gets that answer, and the next one gets a new one', async () => {
  const host = newHost()
  const both = [addressesOf(host), addressesOf(host)]
  const other = addressesOf(newHost())
  expect(asked.map((each) => each.host)).toEqual([host, expect.not.stringContaining(host)])
  asked[0]?.answer(null, ADDRESSES)
  expect(await Promise.all(both)).toEqual([ADDRESSES, ADDRESSES])
  asked[1]?.answer(new Error('no such name'))
  expect(await other).toEqual(new Error('no such name'))
  const again = addressesOf(host)
  asked[2]?.answer(null, ADDRESSES.slice(0, 1))
  expect(await again).toEqual(ADDRESSES.slice(0, 1))
})

// An attempt may be given up after 0.25 s. With three nodes in turn, none whose lookup takes longer each time would be
// reached.
test.each([250, 2_500])(
  'an answer for which the caller may not have waited is kept for 5 s (%d ms)',
  async (ms) => {
    const host = newHost()
    const first = addressesOf(host)
    vi.advanceTimersByTime(ms)
    asked[0]?.answer(null, ADDRESSES)
    await first
    vi.advanceTimersByTime(4_999)
    const kept = addressesOf(host)
    expect(asked.length).toBe(1)
    expect(await kept).toEqual(ADDRESSES)
    vi.advanceTimersByTime(1)
    const late = addressesOf(host)
    vi.advanceTimersByTime(2_500)
    asked[1]?.answer(new Error('no such name'))
    expect(await late).toEqual(new Error('no such name'))
    void addressesOf(host)
    expect(asked.length).toBe(3)
  },
)

test('a request for one address gets the first, or an error if there is none', async () => {
  const host = newHost()
  const one = (): Promise<unknown[]> =>
    new Promise((resolve) => lookup(host, {}, (...given) => resolve(given)))
  const found = one()
  asked[0]?.answer(null, ADDRESSES)
  expect(await found).toEqual([null, '10.0.0.1', 4])
  const none = one()
  asked[1]?.answer(null, [])
  expect((await none)[0]).toEqual(new Error(`${host} has no address`))
})
