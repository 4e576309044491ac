import { getEventListeners } from 'node:events'
import { describe, expect } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import { type Cache, cache } from '../../src/recipes/cache.ts'
import { noLeader } from './client-errors.ts'
import { it, kv, newClient, sleep, suspend } from './simulated-test.ts'
import { withCall } from './with-call.ts'

let prefixes = 0

const newPrefix = () => `cached${++prefixes}/`
const turn = () => new Promise((resolve) => setTimeout(resolve, 2))

async function watching(own: Cache): Promise<Cache> {
  while (!own.statistics.isWatching) await turn()
  return own
}

/** A client whose reads and watches a test can stop. */
function stopped(client: Client) {
  let broken = new AbortController()
  const state = {
    gets: 0,
    isReading: true,
    isWatching: true,
    beforeAnswer: async () => {},
    /** Called before a read of an earlier revision. */
    onHistory: () => {},
    /** Ends the watches that have begun. */
    breakWatches() {
      broken.abort()
      broken = new AbortController()
    },
  }
  const reading = withCall(client, 'get', async (...args) => {
    state.gets += 1
    if (!state.isReading) throw new Error('unreachable')
    if (args[1]?.revision !== undefined) state.onHistory()
    const record = await client.get(...args)
    await state.beforeAnswer()
    return record
  })
  const store = withCall(reading, 'watch', ({ signal, ...options }) => {
    if (!state.isWatching) throw new Error('no watch')
    return client.watch({ ...options, signal: AbortSignal.any([broken.signal, ...(signal ? [signal] : [])]) })
  })
  return { store, state }
}

describe('a near cache', () => {
  it('reads a key once, and then from memory, until it has changed', async () => {
    const prefix = newPrefix()
    const { store, state } = stopped(kv)
    await kv.put(`${prefix}a`, '1')
    await using own = await watching(cache(store, { prefix }))
    expect((await own.get('a'))?.text()).toBe('1')
    expect((await own.get('a'))?.text()).toBe('1')
    expect(state.gets).toBe(1)
    await kv.put(`${prefix}a`, '2')
    while ((await own.get('a'))?.text() !== '2') await turn()
    expect(state.gets).toBeLessThanOrEqual(3)
    await kv.delete(`${prefix}a`)
    while ((await own.get('a')) !== undefined) await turn()
    expect(own.statistics).toMatchObject({ entries: 1, isWatching: true })
  })

  it('reads a key once for all that ask at a time', async () => {
    const prefix = newPrefix()
    const { store, state } = stopped(kv)
    await using own = await watching(cache(store, { prefix }))
    await kv.put(`${prefix}a`, '1')
    const all = await Promise.all(Array.from({ length: 20 }, () => own.get('a')))
    expect(all.map((record) => record?.text())).toEqual(Array.from({ length: 20 }, () => '1'))
    expect(state.gets).toBe(1)
  })

  it('does not keep a value that has changed while it was read', async () => {
    const prefix = newPrefix()
    const { store, state } = stopped(kv)
    await using own = await watching(cache(store, { prefix }))
    await kv.put(`${prefix}a`, 'old')
    const witness = kv.watch({ prefix })
    await witness.ready
    state.beforeAnswer = async () => {
      state.beforeAnswer = async () => {}
      await kv.put(`${prefix}a`, 'new')
      // The cache's own watch receives the event a moment before or after this one.
      for await (const _ of witness) break
      for (let n = 0; n < 50; n++) await turn()
    }
    await own.get('a')
    expect((await own.get('a'))?.text()).toBe('new')
  })

  it('forgets what it holds when its watch was broken', async () => {
    const prefix = newPrefix()
    const { store, state } = stopped(kv)
    await using own = await watching(cache(store, { prefix, ttlMs: 3_600_000 }))
    await kv.put(`${prefix}a`, '1')
    expect((await own.get('a'))?.text()).toBe('1')
    state.isWatching = false
    state.breakWatches()
    while (own.statistics.isWatching) await turn()
    await kv.put(`${prefix}a`, '2')
    state.isWatching = true
    await watching(own)
    expect((await own.get('a'))?.text()).toBe('2')
  })

  it('forgets what it has read while its watch was broken', async () => {
    const prefix = newPrefix()
    const { store, state } = stopped(kv)
    await using own = await watching(cache(store, { prefix, ttlMs: 3_600_000 }))
    await kv.put(`${prefix}a`, '1')
    state.isWatching = false
    state.breakWatches()
    while (own.statistics.isWatching) await turn()
    expect((await own.get('a'))?.text()).toBe('1')
    await kv.put(`${prefix}a`, '2')
    state.isWatching = true
    await watching(own)
    expect((await own.get('a'))?.text()).toBe('2')
  })

  it('does not keep what it was reading while its watch was broken', async () => {
    const prefix = newPrefix()
    const { store, state } = stopped(kv)
    await using own = await watching(cache(store, { prefix, ttlMs: 3_600_000 }))
    await kv.put(`${prefix}a`, '1')
    state.beforeAnswer = async () => {
      state.beforeAnswer = async () => {}
      state.isWatching = false
      state.breakWatches()
      while (own.statistics.isWatching) await turn()
      await kv.put(`${prefix}a`, '2')
      state.isWatching = true
      await watching(own)
    }
    await own.get('a')
    expect((await own.get('a'))?.text()).toBe('2')
  })

  it('serves nothing older than its bound when the watch is broken, and fails rather than do it', async () => {
    const prefix = newPrefix()
    const { store, state } = stopped(kv)
    state.isWatching = false
    await kv.put(`${prefix}a`, '1')
    await using own = cache(store, { prefix, ttlMs: 60 })
    expect((await own.get('a'))?.text()).toBe('1')
    await kv.put(`${prefix}a`, '2')
    const wroteAt = performance.now()
    let text = '1'
    let readAt = wroteAt
    while (text === '1') {
      await turn()
      readAt = performance.now()
      text = (await own.get('a'))?.text() ?? ''
      if (text === '1') expect(readAt - wroteAt).toBeLessThan(60)
    }
    state.isReading = false
    await expect(
      (async () => {
        for (;;) {
          await own.get('a')
          await turn()
        }
      })(),
    ).rejects.toThrow('unreachable')
  })

  it('reads again what it has read before the machine slept', async () => {
    const prefix = newPrefix()
    // The watch delivers nothing, and reports no failure.
    const store = withCall(kv, 'watch', ({ signal }) => kv.watch({ prefix: 'nothing/', signal }))
    await kv.put(`${prefix}a`, '1')
    await using own = await watching(cache(store, { prefix, ttlMs: 3_600_000 }))
    expect((await own.get('a'))?.text()).toBe('1')
    await kv.put(`${prefix}a`, '2')
    suspend(3_601_000)
    expect((await own.get('a'))?.text()).toBe('2')
  })

  it('does not wait for a reading that has begun longer ago than its bound', async () => {
    const prefix = newPrefix()
    const goOn = Promise.withResolvers<void>()
    const hasRead = Promise.withResolvers<void>()
    let isFirst = true
    const slow = withCall(kv, 'get', async (key, options) => {
      const record = await kv.get(key, options)
      if (!isFirst) return record
      isFirst = false
      hasRead.resolve()
      await goOn.promise
      return record
    })
    await kv.put(`${prefix}a`, '1')
    await using own = cache(slow, { prefix, ttlMs: 20 })
    const first = own.get('a')
    await hasRead.promise
    await kv.put(`${prefix}a`, '2')
    await new Promise((resolve) => setTimeout(resolve, 25))
    const second = own.get('a')
    goOn.resolve()
    expect((await second)?.text()).toBe('2')
    // Its answer was too old when it came.
    expect((await first)?.text()).toBe('2')
    expect((await own.get('a'))?.text()).toBe('2')
  })

  it('holds at most so many keys, those that were used last', async () => {
    const prefix = newPrefix()
    const { store, state } = stopped(kv)
    await using own = await watching(cache(store, { prefix, entriesMax: 2 }))
    for (const key of ['a', 'b', 'a', 'c', 'a']) await own.get(key)
    expect(own.statistics.entries).toBe(2)
    expect(state.gets).toBe(3)
    await own.get('b')
    expect(state.gets).toBe(4)
  })

  it('stores what a loader returns, once, and everybody gets what is stored', async () => {
    const prefix = newPrefix()
    const caches = [cache(kv, { prefix }), cache(newClient(), { prefix })]
    const first = await caches[0]?.get('a', async () => {
      expect((await caches[1]?.get('a', () => 'loaded by the other'))?.text()).toBe('loaded by the other')
      return 'loaded too late'
    })
    expect(first?.text()).toBe('loaded by the other')
    expect((await kv.get(`${prefix}a`))?.text()).toBe('loaded by the other')
    let isLoaded = false
    await caches[0]?.get('a', () => {
      isLoaded = true
      return ''
    })
    expect(isLoaded).toBe(false)
    for (const own of caches) await own.close()
    await expect(caches[0]?.get('a')).rejects.toThrow(/closed/)
  })

  it('loads a key once, and has it from then on, whatever its watch tells', async () => {
    const prefix = newPrefix()
    const deaf = withCall(kv, 'watch', ({ signal }) => kv.watch({ prefix: 'nothing/', signal }))
    await using own = await watching(cache(deaf, { prefix }))
    expect(await own.get('a')).toBeUndefined()
    let loads = 0
    const load = () => `loaded ${++loads}`
    expect((await own.get('a', load))?.text()).toBe('loaded 1')
    expect((await own.get('a'))?.text()).toBe('loaded 1')
    expect((await own.get('a', load))?.text()).toBe('loaded 1')
    expect(loads).toBe(1)
  })

  it('refuses what is no option', async () => {
    expect(() => cache(kv, {} as never)).toThrow(/prefix/)
    expect(() => cache(kv, { prefix: 'x', entriesMax: 0 })).toThrow(/entriesMax/)
    await using own = cache(kv, { prefix: 'x' })
    await expect(own.get(7 as never)).rejects.toThrow(/key must be/)
  })
})

it('runs one loader for a key at a time', async () => {
  const prefix = newPrefix()
  await using own = cache(kv, { prefix })
  let loads = 0
  const load = async () => {
    loads += 1
    await turn()
    return 'loaded'
  }
  const records = await Promise.all(Array.from({ length: 10 }, () => own.get('a', load)))
  expect(new Set(records.map((record) => record?.text()))).toEqual(new Set(['loaded']))
  expect(loads).toBe(1)
})

it('never returns what a loader has put after a reading has shown that it is gone', async () => {
  const prefix = newPrefix()
  const goOn = Promise.withResolvers<void>()
  const hasRead = Promise.withResolvers<void>()
  let absent = 0
  // The response with the new value comes late.
  const slow = withCall(kv, 'get', async (key, options) => {
    const record = await kv.get(key, options)
    if (record?.text() === 'loaded') {
      hasRead.resolve()
      await goOn.promise
    } else if (record === undefined) absent += 1
    return record
  })
  await using own = cache(slow, { prefix, ttlMs: 1 })
  const first = own.get('a', () => 'loaded')
  await hasRead.promise
  await kv.delete(`${prefix}a`)
  await turn()
  expect(await own.get('a')).toBeUndefined()
  await turn()
  const second = own.get('a', () => 'loaded again')
  while (absent < 3) await turn()
  await turn()
  goOn.resolve()
  expect((await first)?.text()).not.toBe('loaded')
  expect((await second)?.text()).toBe('loaded again')
})

it('gives what a loader has put, although a reading that began before is still under way', async () => {
  const prefix = newPrefix()
  const hasRead = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  let readings = 0
  const slow = withCall(kv, 'get', async (key, options) => {
    const record = await kv.get(key, options)
    if (Buffer.from(key).toString() === `${prefix}a` && ++readings === 2) {
      hasRead.resolve()
      await goOn.promise
    }
    return record
  })
  // Only the key that was read last is kept.
  await using own = cache(slow, { prefix, entriesMax: 1 })
  let before: Promise<unknown> | undefined
  const first = own.get('a', async () => {
    await own.get('b')
    before = own.get('a')
    await hasRead.promise
    return 'loaded'
  })
  expect((await first)?.text()).toBe('loaded')
  goOn.resolve()
  expect(await before).toBeUndefined()
})

it('does not say that it watches when its watch is silent, and says so again when it is heard', async () => {
  const prefix = newPrefix()
  let onProgress = (_: number) => {}
  let progressMs = 0
  // A node that was stopped: the connection is open, and nothing comes.
  const silent = withCall(kv, 'watch', (options) => {
    onProgress = options.onProgress ?? onProgress
    progressMs = options.progressMs ?? 0
    return kv.watch({ prefix: 'nothing/', signal: options.signal })
  })
  await using own = await watching(cache(silent, { prefix }))
  expect(progressMs).toBe(1_000)
  for (let n = 0; n < 3; n++) {
    await sleep(1_900)
    expect(own.statistics.isWatching).toBe(true)
    onProgress(n)
  }
  await sleep(2_100)
  expect(own.statistics.isWatching).toBe(false)
  onProgress(9)
  expect(own.statistics.isWatching).toBe(true)
  suspend(2_100)
  expect(own.statistics.isWatching).toBe(false)
})

it('shows nothing older than it has shown before, of any key, while its watch is silent', async () => {
  const prefix = newPrefix()
  const silent = withCall(kv, 'watch', ({ signal }) => kv.watch({ prefix: 'nothing/', signal }))
  const { store, state } = stopped(silent)
  const both = (value: string) =>
    kv.txn({ success: ['a', 'b', 'c'].map((key) => ({ put: { key: `${prefix}${key}`, value } })) })
  await both('1')
  await using own = await watching(cache(store, { prefix, entriesMax: 2 }))
  await own.get('a')
  await own.get('b')
  await both('2')
  expect((await own.get('b'))?.text()).toBe('1')
  // The first one that is read again shows the change of all.
  expect((await own.get('c'))?.text()).toBe('2')
  expect((await own.get('b'))?.text()).toBe('2')
  const { gets } = state
  expect((await own.get('b'))?.text()).toBe('2')
  expect((await own.get('c'))?.text()).toBe('2')
  expect(state.gets).toBe(gets)
})

/** A cache that holds `a` and `b` as they were before a transaction which its watch does not report. */
async function behind(prefix: string) {
  const silent = withCall(kv, 'watch', ({ signal }) => kv.watch({ prefix: 'nothing/', signal }))
  const { store, state } = stopped(silent)
  await kv.put(`${prefix}mark`, 'before')
  await kv.put(`${prefix}a`, 'money')
  const own = await watching(cache(store, { prefix }))
  await own.get('a')
  await own.get('b')
  return { own, state }
}

it('shows no key as it was before another one was absent', async () => {
  const prefix = newPrefix()
  const { own, state } = await behind(prefix)
  // A value moves: the first read after that finds a third key that the same transaction has deleted.
  await kv.txn({
    success: [
      { delete: { key: `${prefix}a` } },
      { delete: { key: `${prefix}mark` } },
      { put: { key: `${prefix}b`, value: 'money' } },
    ],
  })
  expect(await own.get('mark')).toBeUndefined()
  expect((await own.get('b'))?.text()).toBe('money')
  expect(await own.get('a')).toBeUndefined()
  const { gets } = state
  expect([await own.get('mark'), (await own.get('b'))?.text()]).toEqual([undefined, 'money'])
  expect(state.gets).toBe(gets)
  await own.close()
})

it('shows an absent key a second time only together with what came before it', async () => {
  const prefix = newPrefix()
  const { own, state } = await behind(prefix)
  await kv.txn({ success: ['c', 'd'].map((key) => ({ put: { key: `${prefix}${key}`, value: '1' } })) })
  const hasRead = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  state.beforeAnswer = () => {
    state.beforeAnswer = async () => {}
    hasRead.resolve()
    return goOn.promise
  }
  const reading = own.get('d')
  await hasRead.promise
  await kv.txn({ success: [{ delete: { key: `${prefix}c` } }, { put: { key: `${prefix}d`, value: '2' } }] })
  // It is absent before the first transaction, and after the second one.
  expect(await own.get('c')).toBeUndefined()
  goOn.resolve()
  expect((await reading)?.text()).toBe('1')
  expect(await own.get('c')).toBeUndefined()
  expect((await own.get('d'))?.text()).toBe('2')
  await own.close()
})

it('serves its entries from memory after a key was absent, while other clients write other keys', async () => {
  const prefix = newPrefix()
  const { own, state } = await behind(prefix)
  for (const key of ['c', 'd', 'e']) {
    await kv.put('elsewhere', key)
    expect(await own.get(key)).toBeUndefined()
    const { gets } = state
    expect([(await own.get('a'))?.text(), await own.get('b')]).toEqual(['money', undefined])
    expect(state.gets).toBe(gets)
  }
  await own.close()
})

it('reads its entries again after a key was absent, if nobody says whether it was so before', async () => {
  const prefix = newPrefix()
  const { own, state } = await behind(prefix)
  await kv.txn({ success: [{ put: { key: `${prefix}b`, value: 'new' } }] })
  state.onHistory = () => {
    throw noLeader()
  }
  expect(await own.get('c')).toBeUndefined()
  expect((await own.get('b'))?.text()).toBe('new')
  await own.close()
})

it('keeps its other entries when its watch has told all that it has shown', async () => {
  const prefix = newPrefix()
  const { store, state } = stopped(kv)
  await kv.put(`${prefix}a`, '1')
  await using own = await watching(cache(store, { prefix }))
  await own.get('a')
  await kv.put(`${prefix}b`, '1')
  await own.get('b')
  await sleep(20)
  const { gets } = state
  await own.get('a')
  expect(state.gets).toBe(gets)
})

it('a call that shares a read has its own limits: neither those of the first one nor its failure', async () => {
  const prefix = newPrefix()
  const goOn = Promise.withResolvers<void>()
  let gets = 0
  const slow = withCall(kv, 'get', async (key, options) => {
    gets += 1
    if (gets > 1) return kv.get(key, options)
    await goOn.promise
    throw noLeader()
  })
  await kv.put(`${prefix}a`, '1')
  await using own = cache(slow, { prefix })
  const first = own.get('a')
  first.catch(() => {})
  const end = new AbortController()
  const aborted = own.get('a', undefined, { signal: end.signal })
  aborted.catch(() => {})
  const hangs = sleep(1_000).then(() => Promise.reject(new Error('the time of the call is not limited')))
  hangs.catch(() => {})
  const short = Promise.race([own.get('a', undefined, { timeoutMs: 100 }), hangs])
  const late = own.get('a')
  await expect(short).rejects.toMatchObject({ code: 'timeout', written: 'no' })
  end.abort()
  await expect(aborted).rejects.toMatchObject({ name: 'AbortError', written: 'no' })
  expect(gets).toBe(1)
  goOn.resolve()
  await expect(first).rejects.toMatchObject({ code: 'no_leader' })
  expect((await late)?.text()).toBe('1')
  expect(gets).toBe(2)
})

it('a call that gives up leaves nothing at its signal, however long its loader runs', async () => {
  await using own = cache(kv, { prefix: newPrefix() })
  const loaded = Promise.withResolvers<string>()
  const call = own.get('a', () => loaded.promise)
  const end = new AbortController()
  const { signal } = end
  const late = own.get('a', () => 'other', { signal, timeoutMs: 50 })
  await expect(late).rejects.toMatchObject({ code: 'timeout', written: 'unknown' })
  expect(getEventListeners(signal, 'abort')).toEqual([])
  const aborted = own.get('a', () => 'other', { signal, timeoutMs: 3_600_000 })
  setTimeout(() => end.abort(), 50)
  await expect(aborted).rejects.toMatchObject({ code: 'aborted', written: 'unknown' })
  expect(getEventListeners(signal, 'abort')).toEqual([])
  loaded.resolve('1')
  expect((await call)?.text()).toBe('1')
})

it('is not watching any more when it, or its client, is closed', async () => {
  const client = newClient()
  const own = await watching(cache(client, { prefix: newPrefix() }))
  const other = await watching(cache(client, { prefix: newPrefix() }))
  await own.close()
  expect(own.statistics.isWatching).toBe(false)
  await client.close()
  while (other.statistics.isWatching) await turn()
})
