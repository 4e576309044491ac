// Randomness of a simulated process.

import { AsyncLocalStorage } from 'node:async_hooks'
import crypto, { randomBytes, randomFill, randomFillSync, randomInt, randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { VirtualHost, virtualHost } from './virtual-host.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

const memory = () => new Uint8Array(37)

test.each<[string, () => unknown]>([
  ['Math.random', () => Math.random()],
  ['randomBytes', () => randomBytes(37)],
  ['pseudoRandomBytes', () => crypto.pseudoRandomBytes(37)],
  ['randomInt', () => randomInt(2 ** 40)],
  ['randomUUID', () => randomUUID()],
  ['randomUUID without a cache', () => randomUUID({ disableEntropyCache: true })],
  ['randomFillSync', () => randomFillSync(memory())],
  ['randomFillSync of a part of words', () => randomFillSync(new Uint32Array(9), 1, 6)],
  ['getRandomValues of node:crypto', () => crypto.getRandomValues(memory())],
  ['getRandomValues', () => globalThis.crypto.getRandomValues(memory())],
  ['getRandomValues of webcrypto', () => crypto.webcrypto.getRandomValues(memory())],
  ['randomUUID of webcrypto', () => globalThis.crypto.randomUUID()],
])('%s follows from the seed of the process', (_name, draw) => {
  const host = virtualHost()
  const first = host.run(() => [draw(), draw()])
  expect(new VirtualHost().run(() => [draw(), draw()])).toEqual(first)
  expect(new VirtualHost(2).run(draw)).not.toEqual(first[0])
  expect(first[1]).not.toEqual(first[0])
  expect(draw()).not.toEqual(draw())
})

type Callback = (error: Error | null | undefined, drawn: unknown) => void

test.each<[string, (callback: Callback) => void]>([
  ['randomBytes', (callback) => randomBytes(37, callback)],
  ['randomInt', (callback) => randomInt(2 ** 40, callback)],
  ['randomInt with a minimum', (callback) => randomInt(-5, 2 ** 40, callback)],
  ['randomFill', (callback) => randomFill(memory(), callback)],
  ['randomFill of a part', (callback) => randomFill(memory(), 2, 30, callback)],
  ['randomFill of a part of words', (callback) => randomFill(new Uint32Array(9), 1, 6, callback)],
])('%s calls back in a later turn, with what follows from the seed', async (_name, draw) => {
  virtualHost()
  const user = new AsyncLocalStorage<string>()
  const drawn = async (host: VirtualHost): Promise<unknown> => {
    const outcomes: unknown[] = []
    host.run(() =>
      user.run('caller', () => draw((error, outcome) => outcomes.push(error ?? outcome, user.getStore()))),
    )
    expect(outcomes).toEqual([])
    await host.advance(0)
    expect(outcomes[1]).toBe('caller')
    return outcomes[0]
  }
  const first = await drawn(new VirtualHost())
  expect(await drawn(new VirtualHost())).toEqual(first)
  expect(await drawn(new VirtualHost(2))).not.toEqual(first)
})

test('UUIDs are valid', () => {
  const host = virtualHost()
  for (const id of host.run(() => [randomUUID(), globalThis.crypto.randomUUID(), randomUUID()]))
    expect(id).toMatch(UUID)
})

test('a UUID of version 7 has the time of the process', () => {
  const host = virtualHost()
  const id: string = host.run(() => Reflect.get(crypto, 'randomUUIDv7').call(crypto))
  expect(Number.parseInt(id.replace('-', '').slice(0, 12), 16)).toBe(1_000_000)
})

test('only the part that is named is filled', () => {
  const host = virtualHost()
  host.run(() => {
    const bytes = randomFillSync(memory(), 30, 4)
    expect(bytes.subarray(0, 30).every((byte) => byte === 0)).toBe(true)
    expect(bytes.subarray(34).every((byte) => byte === 0)).toBe(true)
    expect(bytes.subarray(30, 34).some((byte) => byte !== 0)).toBe(true)
    const words = new Uint32Array(new ArrayBuffer(24), 4, 4)
    randomFillSync(words, 1, 2)
    expect([...new Uint32Array(words.buffer)].map((word) => word !== 0)).toEqual([
      false,
      false,
      true,
      true,
      false,
      false,
    ])
  })
})

test('whole numbers are drawn from their whole range, and from no other', () => {
  const host = virtualHost()
  const drawn = host.run(() => Array.from({ length: 200 }, () => randomInt(-2, 3)))
  expect(new Set(drawn)).toEqual(new Set([-2, -1, 0, 1, 2]))
  const large = host.run(() => Array.from({ length: 50 }, () => randomInt(2 ** 47)))
  expect(Math.max(...large)).toBeGreaterThan(2 ** 46)
  expect(new Set(large.map((number) => number % 2))).toEqual(new Set([0, 1]))
})

test('arguments that are not valid are rejected as Node rejects them', () => {
  const host = virtualHost()
  host.run(() => {
    expect(() => randomBytes(-1)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
    expect(() => randomBytes(1, 'no' as never)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
    )
    expect(() => randomInt(5, 5)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
    expect(() => randomFillSync(memory(), 38)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
    expect(() => crypto.getRandomValues(new Uint8Array(65_537))).toThrow(
      expect.objectContaining({ name: 'QuotaExceededError' }),
    )
  })
})
