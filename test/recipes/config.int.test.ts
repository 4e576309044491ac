import { getEventListeners } from 'node:events'
import { describe, expect } from 'vitest'
import type { Watch } from '../../src/client/index.ts'
import { type Config, type ConfigError, config } from '../../src/recipes/config.ts'
import { noLeader } from './client-errors.ts'
import { it, kv, newClient, node, sleep } from './simulated-test.ts'
import { withCall } from './with-call.ts'

let configs = 0

const newKey = () => `config${++configs}/`

function portOf(value: unknown): number {
  const { port } = Object(value) as { port?: unknown }
  if (typeof port !== 'number') throw new Error('port must be a number')
  return port
}

/** The next change. */
const changed = <T>(live: Config<T>) =>
  new Promise<[T, T]>((resolve) => {
    const stop = live.onChange((current, before) => {
      stop()
      resolve([current, before])
    })
  })

describe('config', () => {
  it('reads, checks and follows one key', async () => {
    const key = newKey()
    await kv.put(key, '{"port":1}')
    await using live = await config(kv, { key, validate: portOf })
    expect(live.current).toBe(1)
    expect(live.revision).toBeGreaterThan(0)
    expect(live.confirmedMsAgo).toBeLessThan(Number.POSITIVE_INFINITY)
    const change = changed(live)
    await kv.put(key, '{"port":2}')
    expect(await change).toEqual([2, 1])
    expect(live.current).toBe(2)
  })

  it('learns of a change from the watch, not only from looking now and then', async () => {
    const key = newKey()
    await kv.put(key, '{"port":1}')
    await using live = await config(kv, { key, validate: portOf, confirmMs: 3_600_000 })
    const change = changed(live)
    await kv.put(key, '{"port":2}')
    expect(await change).toEqual([2, 1])
  })

  it('learns of a change before its watch has begun, also when that begins late', async () => {
    const key = newKey()
    await kv.put(key, '1')
    const goOn = Promise.withResolvers<void>()
    const late = withCall(kv, 'watch', (options) => {
      const opening = goOn.promise.then(() => kv.watch(options))
      async function* batches() {
        yield* await opening
      }
      return Object.assign(batches(), { ready: opening.then(({ ready }) => ready) }) as unknown as Watch
    })
    await using live = await config(late, { key, validate: Number, confirmMs: 3_600_000 })
    expect(live.current).toBe(1)
    // It has read as often as it does without a watch.
    await sleep(5_000)
    await kv.put(key, '2')
    goOn.resolve()
    await expect.poll(() => live.current).toBe(2)
  })

  it('learns of a change while it is read', async () => {
    const key = newKey()
    await kv.put(key, '1')
    let told = 0
    let wake = () => {}
    let isChanged = false
    const telling = withCall(kv, 'watch', (options) => {
      const watch = kv.watch(options)
      async function* batches() {
        for await (const batch of watch) {
          yield batch
          // The value is used.
          told = batch.revision
          wake()
        }
      }
      return Object.assign(batches(), { ready: watch.ready }) as unknown as Watch
    })
    const store = withCall(telling, 'txn', async (txn, options) => {
      const read = await kv.txn(txn, options)
      const value = read.results[0]?.get?.kvs?.[0]?.text()
      if (value !== '2' || isChanged) return read
      isChanged = true
      const { revision } = await kv.put(key, '3')
      while (told < revision)
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      return read
    })
    await using live = await config(store, { key, validate: Number, confirmMs: 3_600_000 })
    await kv.put(key, '2')
    await expect.poll(() => live.current).toBe(3)
  })

  it('is never read only to look, and waited for as long as it takes, with times that are Infinity', async () => {
    const key = newKey()
    await kv.put(key, '{"port":1}')
    let reads = 0
    const counting = withCall(kv, 'txn', (txn, options) => {
      reads += 1
      return kv.txn(txn, options)
    })
    const forever = Number.POSITIVE_INFINITY
    await using live = await config(counting, {
      key,
      validate: portOf,
      confirmMs: forever,
      timeoutMs: forever,
    })
    const change = changed(live)
    await kv.put(key, '{"port":2}')
    expect(await change).toEqual([2, 1])
    for (let n = 0; n < 20; n++) await kv.get(key)
    // The first read, one when the watch has begun, and one after the change.
    expect(reads).toBeLessThanOrEqual(3)
  })

  it('makes one object of all keys with a prefix, and sees a transaction as a whole', async () => {
    const prefix = newKey()
    await kv.txn({
      success: [{ put: { key: `${prefix}a`, value: '1' } }, { put: { key: `${prefix}b/c`, value: '"x"' } }],
    })
    await using live = await config(kv, { prefix, validate: (value) => value })
    expect(live.current).toEqual({ a: 1, 'b/c': 'x' })
    const change = changed(live)
    await kv.txn({
      success: [{ put: { key: `${prefix}a`, value: '2' } }, { delete: { key: `${prefix}b/c` } }],
    })
    expect((await change)[0]).toEqual({ a: 2 })
  })

  it('keeps the last good value, reports a bad one once, and goes on with the next good one', async () => {
    const key = newKey()
    await kv.put(key, '{"port":1}')
    const errors: ConfigError[] = []
    let wake = () => {}
    const onError = (error: ConfigError) => {
      errors.push(error)
      wake()
    }
    await using live = await config(kv, { key, validate: portOf, onError, confirmMs: 20 })
    for (const bad of ['{"port":"x"}', '{', '']) {
      const reported = new Promise<void>((resolve) => {
        wake = resolve
      })
      await kv.put(key, bad)
      await reported
      expect(live.current).toBe(1)
      expect(live.error).toMatchObject({ code: 'config_invalid' })
    }
    expect(errors[0]?.message).toMatch(/port must be a number/)
    expect(errors[1]?.message).toMatch(/is not JSON/)
    // The value is read repeatedly, and reported once.
    for (let n = 0; n < 3; n++) {
      const before = performance.now()
      while (performance.now() - live.confirmedMsAgo < before)
        await new Promise((done) => setTimeout(done, 5))
    }
    const change = changed(live)
    await kv.put(key, '{"port":3}')
    await change
    expect(live.current).toBe(3)
    expect(live.error).toBeUndefined()
    expect(errors).toHaveLength(3)
  })

  it('refuses what a validation promises, which may turn out to be bad', async () => {
    const key = newKey()
    await kv.put(key, '{"port":"x"}')
    const live = config(kv, { key, validate: async (value) => portOf(value), onError: () => {} })
    await expect(live).rejects.toThrow(/validate must return the value itself/)
  })

  it('begins with `initial` when there is nothing good, and fails without it', async () => {
    const key = newKey()
    await expect(config(kv, { key, validate: portOf, onError: () => {} })).rejects.toMatchObject({
      code: 'config_invalid',
    })
    await using live = await config(kv, { key, validate: portOf, initial: 80, onError: () => {} })
    expect(live.current).toBe(80)
    expect(live.revision).toBe(0)
    const change = changed(live)
    await kv.put(key, '{"port":81}')
    expect(await change).toEqual([81, 80])
  })

  it('reports a value as bad whatever its validation has thrown', async () => {
    const key = newKey()
    await kv.put(key, '1')
    const errors: ConfigError[] = []
    const validate = () => {
      throw Object.create(null)
    }
    const live = config(kv, { key, validate, onError: (error) => errors.push(error) })
    await expect(live).rejects.toMatchObject({ code: 'config_invalid' })
    expect(errors).toHaveLength(1)
  })

  it('says that `initial` is not what is in the store when that could not be read in time', async () => {
    const silent = withCall(kv, 'txn', async (_, options) => {
      await new Promise((resolve) => options?.signal?.addEventListener('abort', resolve))
      throw new Error('closed')
    })
    const errors: ConfigError[] = []
    const onError = (error: ConfigError) => errors.push(error)
    const options = { key: newKey(), validate: portOf, initial: 80, timeoutMs: 5, onError }
    await using live = await config(silent, options)
    expect(live.current).toBe(80)
    expect(live.error).toMatchObject({ code: 'config_unreachable' })
    expect(errors).toEqual([live.error])
  })

  it('keeps the last value while the store cannot be reached, and says how old it is', async () => {
    const store = newClient({ timeoutMs: 300 })
    await store.put('c', '{"port":1}')
    const errors: ConfigError[] = []
    const onError = (error: ConfigError) => errors.push(error)
    await using live = await config(store, { key: 'c', validate: portOf, confirmMs: 50, onError })
    node().pause()
    while (errors.length === 0) await new Promise((done) => setTimeout(done, 10))
    expect(errors[0]).toMatchObject({ code: 'config_unreachable' })
    expect(live.error).toMatchObject({ code: 'config_unreachable' })
    expect(live.current).toBe(1)
    node().resume()
    while (live.error !== undefined) await new Promise((done) => setTimeout(done, 10))
    expect(live.current).toBe(1)
  })

  it('says once that it could not be read, and reads again soon, however rarely it is confirmed', async () => {
    const key = newKey()
    await kv.put(key, '{"port":1}')
    let failures = 0
    const faulty = withCall(kv, 'txn', (txn, options) => {
      if (failures === 0) return kv.txn(txn, options)
      failures -= 1
      return Promise.reject(noLeader())
    })
    const errors: ConfigError[] = []
    const onError = (error: ConfigError) => errors.push(error)
    await using live = await config(faulty, { key, validate: portOf, confirmMs: 3_600_000, onError })
    failures = 2
    const change = changed(live)
    await kv.put(key, '{"port":2}')
    expect(await change).toEqual([2, 1])
    expect([failures, errors.map(({ code }) => code), live.error]).toEqual([
      0,
      ['config_unreachable'],
      undefined,
    ])
  })

  it('leaves nothing on its signal', async () => {
    const key = newKey()
    await kv.put(key, '{"port":1}')
    const { signal } = new AbortController()
    const live = await config(kv, { key, validate: portOf, signal })
    await live.close()
    await expect(config(kv, { key: `${key}none`, validate: portOf, signal, onError() {} })).rejects.toThrow(
      'port must be a number',
    )
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it('has all keys, as many as the setting range_keys_max allows, and never a part of them', async () => {
    const store = newClient()
    await store.changeSettings({ range_keys_max: 3 })
    const prefix = 'config/'
    for (const name of ['a', 'b', 'c', 'd']) await store.put(`${prefix}${name}`, '1')
    const validate = (value: unknown) => Object.keys(Object(value)).length
    const end = new AbortController()
    const errors: ConfigError[] = []
    const onError = (error: ConfigError) => {
      errors.push(error)
      end.abort()
    }
    const { signal } = end
    const read = config(store, { prefix, validate, signal, timeoutMs: Number.POSITIVE_INFINITY, onError })
    await expect(read).rejects.toMatchObject({ code: 'aborted' })
    expect(errors).toMatchObject([{ cause: { code: 'range_too_large' } }])
    await store.changeSettings({ range_keys_max: 4 })
    await using all = await config(store, { prefix, validate })
    expect(all.current).toBe(4)
  })

  it('does not change after it is closed', async () => {
    const key = newKey()
    await kv.put(key, '{"port":1}')
    const live = await config(kv, { key, validate: portOf })
    await live.close()
    await kv.put(key, '{"port":2}')
    await using later = await config(kv, { key, validate: portOf })
    expect(later.current).toBe(2)
    expect(live.current).toBe(1)
  })

  it('refuses what is no option', async () => {
    await expect(config(kv, { validate: portOf })).rejects.toThrow(/either key or prefix/)
    await expect(config(kv, { key: 'a', prefix: 'b', validate: portOf })).rejects.toThrow(
      /either key or prefix/,
    )
    await expect(config(kv, { key: 'a' } as never)).rejects.toThrow(/validate must be a function/)
    const aborted = AbortSignal.abort(new Error('enough'))
    await expect(config(kv, { key: 'a', validate: portOf, signal: aborted })).rejects.toMatchObject({
      name: 'AbortError',
    })
  })
})
