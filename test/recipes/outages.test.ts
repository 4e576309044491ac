// Whatever waits without a limit survives an outage that is longer than the timeout of every call and the life of
// every lease (RECIPE-7). What has not begun yet says that it cannot.

import { expect } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import { simulatedTransport } from '../../src/client/transport/simulated.ts'
import type { Transport, WatchMessages } from '../../src/client/transport/transport.ts'
import {
  barrier,
  cache,
  campaign,
  config,
  followLeader,
  lock,
  queue,
  registry,
  runAsLeader,
  rwLock,
  saga,
  semaphore,
  topic,
} from '../../src/recipes/index.ts'
import { noLeader } from './client-errors.ts'
import { it, newClient, node, kv as other, sleep } from './simulated-test.ts'

/** The client of the others. */
const TIMEOUT_MS = 1_000
const TTL_MS = 2_000
const OUTAGE_MS = 12_000
const ENDLESS = { waitMs: Number.POSITIVE_INFINITY } as const

/** Begins to wait. Returns a promise of what arrives, which must be what `act` causes after the outage. */
type Wait = (
  kv: Client,
  name: string,
  signal: AbortSignal,
) => Promise<{ readonly arrives: Promise<unknown>; readonly act: () => Promise<unknown> }>

/** The values of a stream until one satisfies the condition. */
async function untilIn<T>(stream: AsyncIterable<T>, is: (value: T) => boolean): Promise<T> {
  for await (const value of stream) if (is(value)) return value
  throw new Error('the stream has ended')
}

const behindLock =
  (
    take: (kv: Client, name: string, signal?: AbortSignal) => Promise<{ release(): Promise<boolean> }>,
  ): Wait =>
  async (kv, name, signal) => {
    const first = await take(other, name)
    return { arrives: take(kv, name, signal), act: () => first.release() }
  }

const waits: Readonly<Record<string, Wait>> = {
  lock: behindLock((kv, name, signal) => lock(kv, name, { ttlMs: TTL_MS, signal })),
  rwLock: behindLock((kv, name, signal) => rwLock(kv, name).write({ ttlMs: TTL_MS, signal })),
  semaphore: behindLock((kv, name, signal) => semaphore(kv, name, 1).acquire({ ttlMs: TTL_MS, signal })),
  campaign: behindLock((kv, name, signal) => campaign(kv, name, { ttlMs: TTL_MS, signal })),
  runAsLeader: async (kv, name, signal) => {
    const first = await campaign(other, name)
    const options = { ttlMs: TTL_MS, signal, onError: () => {} }
    return { arrives: runAsLeader(kv, name, () => 'led', options), act: () => first.release() }
  },
  followLeader: async (kv, name, signal) => ({
    arrives: untilIn(followLeader(kv, name, { signal }), (leader) => leader !== undefined),
    act: () => campaign(other, name),
  }),
  barrier: async (kv, name, signal) => {
    await barrier(other, name).raise()
    return { arrives: barrier(kv, name).wait({ signal }), act: () => barrier(other, name).lower() }
  },
  pop: async (kv, name, signal) => ({
    arrives: queue(kv, name).pop({ ...ENDLESS, signal }),
    act: () => queue(other, name).push('x'),
  }),
  consume: async (kv, name, signal) => {
    const handled = Promise.withResolvers<void>()
    const options = { signal, onError: () => {} }
    queue(kv, name)
      .consume(() => handled.resolve(), options)
      .catch(handled.reject)
    return { arrives: handled.promise, act: () => queue(other, name).push('x') }
  },
  subscribe: async (kv, name, signal) => ({
    arrives: untilIn(topic(kv, name, { ageMs: 60_000 }).subscribe({ signal }), (each) => each.text() === 'x'),
    act: () => topic(other, name, { ageMs: 60_000 }).publish('x'),
  }),
  'subscribe of a group': async (kv, name, signal) => {
    // Its lease lives for longer than the outage: otherwise it is lost, as it says.
    const group = { group: 'g', ttlMs: 10 * OUTAGE_MS, signal }
    return {
      arrives: untilIn(topic(kv, name).subscribe(group), (each) => each.text() === 'x'),
      act: () => topic(other, name).publish('x'),
    }
  },
  'registry.watch': async (kv, name, signal) => ({
    arrives: untilIn(registry(kv, name).watch({ signal }), (instances) => instances.length > 0),
    act: () => registry(other, name).register({ url: 'u' }),
  }),
  keepResuming: async (kv, name, signal) => {
    const done = Promise.withResolvers<void>()
    const of = (client: Client, run: () => unknown) => saga(client, name, [{ name: 'a', run }])
    of(kv, () => done.resolve())
      .keepResuming({ signal, onError: () => {} })
      .catch(done.reject)
    const aborted = new AbortController()
    const act = async () => {
      await of(other, () => aborted.abort())
        .run('1', null, { signal: aborted.signal })
        .catch(() => {})
    }
    return { arrives: done.promise, act }
  },
  config: async (kv, name) => {
    await other.put(name, '1')
    const live = await config(kv, { key: name, validate: Number, onError: () => {} })
    const changed = new Promise((resolve) => live.onChange(resolve)).finally(() => live.close())
    return { arrives: changed, act: () => other.put(name, '2') }
  },
  cache: async (kv, name) => {
    const values = cache(kv, { prefix: name, ttlMs: 1_000_000 })
    const isTwo = async () => {
      for (;;) {
        const value = await values.get('').catch(() => undefined)
        if (value?.text() === '2') return values.close()
        await sleep(500)
      }
    }
    await other.put(name, '1')
    return { arrives: isTwo(), act: () => other.put(name, '2') }
  },
  resolver: async (kv, name) => {
    const resolver = registry(kv, name).resolver()
    await resolver.resolve()
    const isThere = async () => {
      while (resolver.instances.length === 0) await sleep(10)
      await resolver.close()
    }
    return { arrives: isThere(), act: () => registry(other, name).register({ url: 'u' }) }
  },
  registration: async (kv, name) => {
    const registration = await registry(kv, name).register({ url: 'u', ttlMs: TTL_MS })
    const isListed = async () => {
      await sleep(OUTAGE_MS)
      while ((await registry(other, name).list()).length === 0) await sleep(10)
      await registration.close()
    }
    return { arrives: isListed(), act: async () => {} }
  },
}

/** Limit on the failed calls of one outage: some a second. */
const FAILURES_MAX = (OUTAGE_MS / 1_000) * 5
const CALLS = ['get', 'put', 'txn', 'list', 'count', 'session', 'lease']

interface Failures {
  isOn: boolean
  count: number
}

const nothing = new Promise<never>(() => {})
/** The result of every call, and of a watch, that never comes. */
const NEVER = Object.assign(nothing, {
  ready: nothing,
  next: () => nothing,
  [Symbol.asyncIterator]: () => ({ next: () => nothing }),
})

/** A client whose calls with these names fail at once while `failures.isOn`. They are counted. */
const failing = (kv: Client, names: readonly string[], failures: Failures): Client =>
  new Proxy(kv, {
    get(_, name) {
      const own: unknown = Reflect.get(kv, name, kv)
      if (typeof own !== 'function') return own
      if (!names.includes(String(name))) return own.bind(kv)
      return (...args: readonly unknown[]) => {
        if (!failures.isOn) return own.apply(kv, args)
        failures.count += 1
        // Without a pause it would be repeated without end, and no timer would run.
        if (failures.count > FAILURES_MAX) return NEVER
        throw noLeader()
      }
    },
  })

/** A client whose open watches can be silenced: their connections carry nothing more, and do not end. */
function silenceableClient() {
  const transport = simulatedTransport()
  if (transport === undefined) throw new Error('this is no simulation')
  const streams: { isSilent: boolean }[] = []
  async function* messagesOf(stream: WatchMessages, silenceMs: number) {
    const state = { isSilent: false }
    streams.push(state)
    let lastAt = performance.now()
    for await (const message of stream.messages()) {
      if (state.isSilent) {
        await sleep(lastAt + silenceMs - performance.now())
        throw new Error('it has reported nothing for too long')
      }
      lastAt = performance.now()
      yield message
    }
  }
  const silenceable: Transport = {
    async send(endpoint, operation, request, options) {
      const outcome = await transport.send(endpoint, operation, request, options)
      if (outcome.kind !== 'streaming' || !('messages' in outcome.stream)) return outcome
      const { stream } = outcome
      const messages = () => messagesOf(stream, options.streamSilenceMs ?? options.timeoutMs)
      return { ...outcome, stream: { messages, destroy: () => stream.destroy() } }
    },
    get inFlight() {
      return transport.inFlight
    },
    close: () => transport.close(),
  }
  const silence = () => {
    for (const stream of streams) stream.isSilent = true
  }
  return { kv: newClient({ timeoutMs: TIMEOUT_MS }, silenceable), silence }
}

/** A wait of a client of its own. Calls of these names fail while `failures.isOn`. */
async function waiting(wait: Wait, name: string, failures: Failures, names: readonly string[]) {
  const end = new AbortController()
  const { kv, silence } = silenceableClient()
  const { arrives, act } = await wait(failing(kv, names, failures), name, end.signal)
  arrives.catch(() => {})
  return {
    act,
    silence,
    async arrival() {
      const hangs = sleep(120_000).then(() => Promise.reject(new Error('nothing arrives')))
      await Promise.race([arrives, hangs])
      end.abort()
      await kv.close()
    },
  }
}

it.each(Object.entries(waits))('%s survives an outage', async (name, wait) => {
  const { act, arrival } = await waiting(wait, name, { isOn: false, count: 0 }, [])
  // It has begun to wait.
  await sleep(500)
  node().pause()
  await sleep(OUTAGE_MS)
  node().resume()
  await act()
  await arrival()
})

it.each(Object.entries(waits))(
  '%s survives that its calls fail when something has changed',
  async (name, wait) => {
    const failures = { isOn: false, count: 0 }
    const { act, arrival } = await waiting(wait, `${name} fails`, failures, CALLS)
    await sleep(500)
    failures.isOn = true
    await act()
    await sleep(OUTAGE_MS)
    failures.isOn = false
    expect(failures.count).toBeLessThan(FAILURES_MAX)
    await arrival()
  },
)

it.each(Object.entries(waits))('%s survives that its watches cannot begin', async (name, wait) => {
  const failures = { isOn: true, count: 0 }
  const { act, arrival } = await waiting(wait, `${name} deaf`, failures, ['watch'])
  await sleep(OUTAGE_MS)
  expect(failures.count).toBeLessThan(FAILURES_MAX)
  failures.isOn = false
  await act()
  await arrival()
})

/** Virtual time after which a recipe has noticed a dead connection (docs/reference/recipes.md), and reconnected. */
const NOTICED_MS = 8_000

// A registration has no watch.
it.each(Object.entries(waits).filter(([name]) => name !== 'registration'))(
  '%s notices soon that the connection of its watch is dead, although nothing says so',
  async (name, wait) => {
    const { act, arrival, silence } = await waiting(wait, `${name} silent`, { isOn: false, count: 0 }, [])
    await sleep(500)
    silence()
    const silentAt = performance.now()
    await act()
    await arrival()
    expect(performance.now() - silentAt).toBeLessThan(
      name === 'registration' ? OUTAGE_MS + 1_000 : NOTICED_MS,
    )
  },
)

it('a candidate whose lease has ended asks for another one with pauses, and reports each failure', async () => {
  const held = await campaign(other, 'pauses')
  const failures = { isOn: false, count: 0 }
  const own = newClient()
  let reports = 0
  const onError = () => {
    reports += 1
  }
  const leading = runAsLeader(failing(own, ['session'], failures), 'pauses', () => 'led', { onError })
  await sleep(500)
  failures.isOn = true
  for await (const { keyBytes, lease } of other.list({ prefix: 'election/pauses/' }))
    if (lease !== undefined && !Buffer.from(keyBytes).equals(held.key)) await other.revokeLease(lease)
  await sleep(OUTAGE_MS)
  expect(failures.count).toBeGreaterThan(2)
  expect(failures.count).toBeLessThan(FAILURES_MAX)
  expect(reports).toBe(failures.count)
  failures.isOn = false
  await held.release()
  expect(await leading).toBe('led')
  await own.close()
})

/** Work that does not end while it fails. `begin` returns its end, after the failures. */
const HELD: Readonly<
  Record<
    string,
    readonly [calls: readonly string[], begin: (kv: Client, name: string) => Promise<() => unknown>]
  >
> = {
  'the watch of a held lock': [
    ['watch', 'txn'],
    async (kv, name) => {
      const held = await lock(kv, name, { ttlMs: 10 * OUTAGE_MS })
      // The watch that has begun ends with a change.
      await other.put(held.key, '', { lease: (await other.get(held.key))?.lease })
      return () => held.release()
    },
  ],
  'the acknowledgement of an item': [
    ['txn'],
    async (kv, name) => {
      await queue(other, name).push('x')
      const end = new AbortController()
      const began = Promise.withResolvers<void>()
      const handler = async () => {
        began.resolve()
        await sleep(1_000)
      }
      const options = { signal: end.signal, onError: () => {} }
      const consuming = queue(kv, name).consume(handler, options)
      await began.promise
      return async () => {
        end.abort()
        await consuming
        expect(await queue(other, name).len()).toEqual({ ready: 0, held: 0, dead: 0 })
      }
    },
  ],
  'the record of a saga': [
    ['txn'],
    async (kv, name) => {
      const began = Promise.withResolvers<void>()
      const run = async () => {
        began.resolve()
        await sleep(100)
      }
      const running = saga(kv, name, [{ name: 'a', run }], { ttlMs: 10 * OUTAGE_MS }).run('1', null)
      await began.promise
      return async () => expect(await running).toMatchObject({ status: 'completed' })
    },
  ],
  'the candidacy of a leader': [
    ['session'],
    async (kv, name) => {
      const leading = sleep(100).then(() => runAsLeader(kv, name, () => 'led', { onError: () => {} }))
      return async () => expect(await leading).toBe('led')
    },
  ],
  'a lost registration': [
    ['txn', 'session'],
    async (kv, name) => {
      const registration = await registry(kv, name).register({ url: 'u', ttlMs: TTL_MS, onProblem: () => {} })
      for await (const { lease } of other.list({ prefix: `service/${name}/` }))
        if (lease !== undefined) await other.revokeLease(lease)
      return () => registration.close()
    },
  ],
}

it.each(Object.entries(HELD))('%s is repeated with pauses', async (name, [calls, begin]) => {
  const own = newClient({ timeoutMs: TIMEOUT_MS })
  const failures = { isOn: false, count: 0 }
  const end = await begin(failing(own, calls, failures), name.replaceAll(' ', '-'))
  failures.isOn = true
  await sleep(OUTAGE_MS)
  expect(failures.count).toBeGreaterThan(2)
  expect(failures.count).toBeLessThan(FAILURES_MAX)
  failures.isOn = false
  await end()
  await own.close()
})

const UNREACHED = /^(?:timeout|outcome_unknown)$/
const BEGINNINGS: Readonly<Record<string, (kv: Client, name: string) => Promise<unknown>>> = {
  lock: (kv, name) => lock(kv, name),
  campaign: (kv, name) => campaign(kv, name),
  followLeader: (kv, name) => followLeader(kv, name).next(),
  barrier: (kv, name) => barrier(kv, name).wait(),
  pop: (kv, name) => queue(kv, name).pop(ENDLESS),
  subscribe: (kv, name) => topic(kv, name).subscribe().next(),
  'subscribe of a group': (kv, name) => topic(kv, name).subscribe({ group: 'g' }).next(),
  'registry.watch': (kv, name) => registry(kv, name).watch().next(),
}

it.each(Object.entries(BEGINNINGS))('%s that cannot begin says so', async (name, begin) => {
  const kv = newClient({ timeoutMs: TIMEOUT_MS })
  node().pause()
  const hangs = sleep(30_000).then(() => 'hangs')
  const end = await Promise.race([begin(kv, name).catch((error: unknown) => error), hangs])
  node().resume()
  // A node that is silent may have what it was sent.
  expect(end).toMatchObject({ code: expect.stringMatching(UNREACHED) })
  await kv.close()
})

it.each([lock, campaign])(
  'a waiter whose lease has ended in an outage fails when its time is over',
  async (take) => {
    const held = await take(other, 'bounded')
    const kv = newClient({ timeoutMs: TIMEOUT_MS })
    const waiting = take(kv, 'bounded', { ttlMs: TTL_MS, waitMs: 8_000 })
    waiting.catch(() => {})
    await sleep(500)
    node().pause()
    await expect(waiting).rejects.toMatchObject({ code: expect.stringMatching(UNREACHED) })
    node().resume()
    await held.release()
    await kv.close()
  },
)
