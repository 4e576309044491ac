import { describe, expect, vi } from 'vitest'
import { AbortedError, type Client } from '../../src/client/index.ts'
import { type Instance, type Registration, type Resolver, registry } from '../../src/recipes/index.ts'
import { unknownOutcome } from './client-errors.ts'
import { it, kv, newClient, node, sleep } from './simulated-test.ts'
import { withCall } from './with-call.ts'

let services = 0

/** A session renews its lease after each third of it, and notices then that the lease was revoked. */
const TTL_MS = 4_000

const newService = () => `api${++services}`
/** Whether it writes a value with this part. */
const puts = (txn: Parameters<Client['txn']>[0], part: string) =>
  (txn.success ?? []).some((each) => 'put' in each && String(each.put.value).includes(part))
const urls = (instances: readonly Instance[]) => instances.map(({ url }) => url).sort()

async function waitFor(resolver: Resolver, count: number): Promise<void> {
  while (resolver.instances.length !== count) await new Promise((resolve) => setTimeout(resolve, 2))
}

async function resolved(resolver: Resolver, times: number): Promise<string> {
  let found = ''
  for (let n = 0; n < times; n++) found += (await resolver.resolve())?.id ?? '-'
  return found
}

/** A response that does not come before the call is aborted. */
const noAnswer = (signal: AbortSignal | undefined) =>
  new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(aborted())))
const aborted = () => new AbortedError('aborted', { code: 'aborted', written: 'unknown' })

/** No instance has two turns, one after another. */
const alternate = (turns: string) => [...turns].every((turn, at) => turn !== turns[at + 1])

describe('a registry', () => {
  it('lists an instance while it is registered', async () => {
    const own = registry(kv, newService())
    const instance = await own.register({ id: 'a/1', url: 'http://a:1', weight: 2, meta: { zone: 'x' } })
    expect(await own.list()).toEqual([{ id: 'a/1', url: 'http://a:1', weight: 2, meta: { zone: 'x' } }])
    await instance.update({ weight: 5 })
    expect(await own.list()).toMatchObject([{ weight: 5, meta: { zone: 'x' } }])
    expect(instance.isRegistered).toBe(true)
    await instance.close()
    expect(await own.list()).toEqual([])
    expect(instance.isRegistered).toBe(false)
  })

  it('shows every change to those that watch', async () => {
    const own = registry(kv, newService())
    const end = new AbortController()
    const seen: string[][] = []
    let registration: Registration | undefined
    const watching = (async () => {
      for await (const instances of own.watch({ signal: end.signal })) {
        seen.push(urls(instances))
        if (seen.length === 1) registration = await own.register({ url: 'one' })
        if (seen.length === 2) await registration?.close()
        if (seen.length === 3) end.abort()
      }
    })()
    await expect(watching).rejects.toMatchObject({ name: 'AbortError' })
    expect(seen).toEqual([[], ['one'], []])
  })

  it('ends its watch when its client is closed', async () => {
    const client = newClient()
    const watching = (async () => {
      for await (const _ of registry(client, newService()).watch()) await client.close()
    })()
    await expect(watching).rejects.toMatchObject({ code: 'closed' })
  })

  it('removes an instance whose process has died', async () => {
    const own = registry(kv, newService())
    const dying = newClient()
    await registry(dying, `api${services}`).register({ url: 'dying', ttlMs: 1_000 })
    expect(urls(await own.list())).toEqual(['dying'])
    await dying.close()
    for await (const instances of own.watch()) if (instances.length === 0) break
    expect(await own.list()).toEqual([])
  })

  it('registers again by itself when its lease was lost, and says so', async () => {
    const service = newService()
    const problems: unknown[] = []
    const own = registry(kv, service)
    const instance = await own.register({
      id: 'a',
      url: 'one',
      ttlMs: TTL_MS,
      onProblem: (error) => problems.push(error),
    })
    const lease = (await kv.get(`service/${service}/a`))?.lease ?? ''
    const watch = kv.watch({ key: `service/${service}/a`, only: 'put' })
    await watch.ready
    await kv.revokeLease(lease)
    for await (const _ of watch) break
    expect(urls(await own.list())).toEqual(['one'])
    expect(problems.length).toBeGreaterThan(0)
    await instance.close()
    expect(await own.list()).toEqual([])
  })

  it('leaves no instance behind when it is closed while it registers again', async () => {
    const service = newService()
    const client = newClient()
    const inSession = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    let sessions = 0
    const store = withCall(client, 'session', async ({ ttlMs } = {}) => {
      const session = await client.session({ ttlMs })
      if (++sessions === 1) return session
      // The new lease exists; its key is put when the instance is already closed.
      inSession.resolve()
      await goOn.promise
      return Object.assign(Object.create(session), {
        lease: session.lease,
        signal: session.signal,
        close: () => session.close(),
      })
    })
    const instance = await registry(store, service).register({ id: 'a', url: 'one', ttlMs: 1_000 })
    await kv.revokeLease((await kv.get(`service/${service}/a`))?.lease ?? '')
    await inSession.promise
    const closing = instance.close()
    goOn.resolve()
    await closing
    expect(await registry(kv, service).list()).toEqual([])
  })

  it('keeps the last update, also of those under way at a time, and of one while it registers again', async () => {
    const service = newService()
    const first = Promise.withResolvers<void>()
    const began = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    let puts = 0
    const beforePut = async () => {
      puts += 1
      // The first update arrives last; the put of the second registration waits.
      if (puts === 2) await first.promise
      if (puts === 4) {
        began.resolve()
        await goOn.promise
      }
    }
    const store = withCall(kv, 'txn', async (txn, options) => {
      await beforePut()
      return kv.txn(txn, options)
    })
    const weight = async () => (await registry(kv, service).list())[0]?.weight
    const instance = await registry(store, service).register({
      id: 'a',
      url: 'one',
      ttlMs: TTL_MS,
      weight: 1,
    })
    const updates = [instance.update({ weight: 2 }), instance.update({ weight: 3 })]
    setImmediate(first.resolve)
    await Promise.all(updates)
    expect(await weight()).toBe(3)
    await kv.revokeLease((await kv.get(`service/${service}/a`))?.lease ?? '')
    await began.promise
    const update = instance.update({ weight: 4 })
    goOn.resolve()
    await update
    await expect.poll(weight).toBe(4)
    expect(instance.isRegistered).toBe(true)
    await instance.close()
  })

  it('an instance that another process has replaced takes nothing from it', async () => {
    const service = newService()
    const before = await registry(newClient(), service).register({ id: 'a', url: 'before' })
    const own = registry(kv, service)
    const after = await own.register({ id: 'a', url: 'after' })
    await expect(before.update({ weight: 0 })).rejects.toMatchObject({
      code: 'registration_replaced',
      written: 'no',
    })
    await before.close()
    expect(urls(await own.list())).toEqual(['after'])
    await kv.delete(`service/${service}/a`)
    await after.update({ weight: 2 })
    expect(await own.list()).toMatchObject([{ url: 'after', weight: 2 }])
    await after.close()
    expect(await own.list()).toEqual([])
  })

  it('a replaced instance reports it, waits, and is listed again when the other one is gone', async () => {
    const service = newService()
    const [oldClient, ownClient] = [newClient(), newClient()]
    let sessions = 0
    const counted = withCall(oldClient, 'session', (options) => {
      sessions += 1
      return oldClient.session(options)
    })
    const problems: unknown[] = []
    const onProblem = (error: unknown) => problems.push((error as { readonly code?: unknown }).code)
    const ttlMs = 3_000
    const before = await registry(counted, service).register({ id: 'a', url: 'before', ttlMs, onProblem })
    const after = await registry(ownClient, service).register({ id: 'a', url: 'after', ttlMs })
    await sleep(1_100)
    expect([before.isRegistered, after.isRegistered, problems]).toEqual([
      false,
      true,
      ['registration_replaced'],
    ])
    await expect(before.update({ weight: 2 })).rejects.toMatchObject({ code: 'registration_replaced' })
    // Its lease may be lost as well: it does not take the id back, and asks for no lease in vain.
    for await (const { id } of kv.leases())
      if ((await kv.get(`service/${service}/a`))?.lease !== id) await kv.revokeLease(id).catch(() => {})
    await sleep(20_000)
    expect(urls(await registry(kv, service).list())).toEqual(['after'])
    expect([problems.length, sessions]).toEqual([1, 1])
    // The new process dies.
    await ownClient.close()
    await sleep(5_000)
    expect(urls(await registry(kv, service).list())).toEqual(['before'])
    expect([before.isRegistered, problems.length]).toEqual([true, 1])
    // The same once more: each replacement is reported.
    const third = await registry(kv, service).register({ id: 'a', url: 'third', ttlMs })
    await sleep(1_100)
    expect(problems).toEqual(['registration_replaced', 'registration_replaced'])
    await third.close()
    await sleep(1_100)
    expect(before.isRegistered).toBe(true)
    await before.close()
    expect(await registry(kv, service).list()).toEqual([])
  })

  it('is listed again when its key was deleted, or overwritten without a lease', async () => {
    const service = newService()
    const key = `service/${service}/a`
    const problems: unknown[] = []
    const onProblem = (error: unknown) => problems.push((error as { readonly code?: unknown }).code)
    const instance = await registry(kv, service).register({ id: 'a', url: 'u', ttlMs: 3_000, onProblem })
    await kv.delete(key)
    await sleep(1_100)
    expect(urls(await registry(kv, service).list())).toEqual(['u'])
    await kv.put(key, JSON.stringify({ url: 'restored' }))
    await sleep(1_100)
    expect(urls(await registry(kv, service).list())).toEqual(['u'])
    expect(problems).toEqual(['registration_lost', 'registration_lost'])
    // An outage that is shorter than its lease is no problem.
    node().pause()
    await sleep(2_000)
    node().resume()
    await sleep(2_000)
    expect([instance.isRegistered, problems.length]).toEqual([true, 2])
    await instance.close()
  })

  it('registers what it is given over a key without a lease', async () => {
    const service = newService()
    const own = registry(kv, service)
    await kv.put(`service/${service}/a`, JSON.stringify({ url: 'old', weight: 9, meta: { old: 1 } }))
    const instance = await own.register({ id: 'a', url: 'new' })
    expect(await own.list()).toEqual([{ id: 'a', url: 'new', weight: 1, meta: {} }])
    await instance.close()
  })

  it('leaves out a key that no registry has written, and says so once', async () => {
    const service = newService()
    const own = registry(kv, service)
    const [foreign, text] = [`service/${service}/b`, `service/${service}/c`]
    await kv.put(foreign, '{"of":"somebody else"}')
    await kv.put(text, 'of somebody else')
    await own.register({ id: 'a', url: 'one' })
    const warned = vi.spyOn(process, 'emitWarning')
    const errors: string[] = []
    const onError = (error: unknown) => errors.push((error as Error).message)
    await using resolver = own.resolver({ confirmMs: 20, onError })
    expect(await resolver.resolve()).toMatchObject({ url: 'one', isStale: false })
    const confirmedAt = () => performance.now() - resolver.confirmedMsAgo
    const before = confirmedAt()
    while (confirmedAt() - before < 60) await new Promise((done) => setTimeout(done, 5))
    const reports = [foreign, text].map((key) =>
      expect.stringContaining(`"${key}" was not written by a registry`),
    )
    expect(errors).toEqual([])
    expect(urls(await own.list())).toEqual(['one'])
    expect(urls(await own.list())).toEqual(['one'])
    for await (const instances of own.watch()) {
      expect(urls(instances)).toEqual(['one'])
      break
    }
    expect(warned.mock.calls.map(([warning]) => warning)).toEqual(reports)
  })

  it('resolves in turn, in proportion to the weights', async () => {
    const own = registry(kv, newService())
    await own.register({ id: 'a', url: 'a', weight: 3 })
    await own.register({ id: 'b', url: 'b', weight: 1 })
    await own.register({ id: 'c', url: 'c', weight: 0 })
    await using resolver = own.resolver()
    expect(await resolved(resolver, 8)).toBe('aabaaaba')
  })

  it('gives each its share of the turns also when weights have changed, or instances have gone and come', async () => {
    const own = registry(kv, newService())
    const large = await own.register({ id: 'a', url: 'a', weight: 1_000 })
    const small = await own.register({ id: 'b', url: 'b', weight: 1 })
    await using resolver = own.resolver()
    const knows = async (weight: number) => {
      while (resolver.instances[0]?.weight !== weight) await sleep(10)
    }
    await resolved(resolver, 502)
    await large.update({ weight: 1 })
    await knows(1)
    expect(alternate(await resolved(resolver, 10))).toBe(true)
    await large.update({ weight: 1_000 })
    await knows(1_000)
    await resolved(resolver, 502)
    await large.close()
    await waitFor(resolver, 1)
    await own.register({ id: 'c', url: 'c', weight: 1 })
    await waitFor(resolver, 2)
    expect(alternate(await resolved(resolver, 10))).toBe(true)
    await small.close()
  })

  it('an update leaves out what one before it could not write, and what has changed since it was called', async () => {
    const service = newService()
    const own = registry(kv, service)
    const instance = await own.register({ id: 'a', url: 'one' })
    const refused = instance.update({ weight: 7, meta: { text: 'x'.repeat(3_000_000) } })
    const changes = { url: 'two' }
    const done = instance.update(changes)
    changes.url = 'three'
    await expect(refused).rejects.toMatchObject({ code: 'value_too_large', written: 'no' })
    await done
    expect(await own.list()).toMatchObject([{ url: 'two', weight: 1, meta: {} }])
    await instance.close()
  })

  it('updates end when the registration is closed', async () => {
    const service = newService()
    const asked = Promise.withResolvers<void>()
    const slow = withCall(kv, 'txn', async (txn, options) => {
      if (!puts(txn, '"weight":7')) return kv.txn(txn, options)
      asked.resolve()
      return noAnswer(options?.signal)
    })
    const instance = await registry(slow, service).register({ id: 'a', url: 'one' })
    const [updating, waiting] = [instance.update({ weight: 7 }), instance.update({ weight: 8 })]
    const settled = Promise.allSettled([updating, waiting, asked.promise.then(() => instance.close())])
    const closed = { code: 'closed', written: 'no' }
    expect(await settled).toMatchObject([
      { reason: { code: 'closed', written: 'unknown' } },
      { reason: closed },
      { value: true },
    ])
    await expect(instance.update({ weight: 9 })).rejects.toMatchObject(closed)
    expect(await registry(kv, service).list()).toEqual([])
  })

  it('a signal ends an update in flight, and the next update is not undone when it arrives late', async () => {
    const service = newService()
    const end = new AbortController()
    let late = () => Promise.resolve<unknown>(undefined)
    const slow = withCall(kv, 'txn', async (txn, options) => {
      if (!puts(txn, '"weight":7') || options?.signal?.aborted === true) return kv.txn(txn, options)
      late = () => kv.txn(txn)
      setImmediate(() => end.abort())
      return noAnswer(options?.signal)
    })
    const own = registry(slow, service)
    const instance = await own.register({ id: 'a', url: 'one' })
    await expect(instance.update({ weight: 7 }, { signal: end.signal })).rejects.toMatchObject({
      name: 'AbortError',
      written: 'unknown',
    })
    await expect(instance.update({ weight: 7 }, { signal: end.signal })).rejects.toMatchObject({
      written: 'no',
    })
    await instance.update({ url: 'two' })
    await late()
    expect(await own.list()).toMatchObject([{ url: 'two', weight: 1 }])
    await instance.close()
  })

  it.each([[new Date(0)], [{ toJSON() {} }], [{ toJSON: () => [1] }]])(
    'refuses metadata that is no object as JSON (%#)',
    async (meta) => {
      const service = newService()
      const told = { name: 'TypeError', message: expect.stringContaining('meta') }
      const wrong = meta as unknown as Record<string, unknown>
      await expect(registry(kv, service).register({ url: 'one', meta: wrong })).rejects.toMatchObject(told)
      const instance = await registry(kv, service).register({ url: 'one' })
      await expect(instance.update({ meta: wrong })).rejects.toMatchObject(told)
      await instance.close()
    },
  )

  it('what the caller changes after the call does not change the instance', async () => {
    const service = newService()
    const meta = { load: { n: 1 } }
    const instance = await registry(kv, service).register({ id: 'a', url: 'one', meta })
    meta.load.n = 2
    await instance.update({ weight: 3 })
    expect(await registry(kv, service).list()).toMatchObject([{ weight: 3, meta: { load: { n: 1 } } }])
    await instance.close()
  })

  it('a signal ends the registering, and what was written is removed', async () => {
    const service = newService()
    const end = new AbortController()
    const store = withCall(kv, 'txn', async (txn, options) => {
      await kv.txn(txn)
      end.abort(new Error('enough'))
      return kv.txn({}, options)
    })
    const registering = registry(store, service).register({ id: 'a', url: 'one', signal: end.signal })
    await expect(registering).rejects.toMatchObject({ code: 'aborted', cause: { message: 'enough' } })
    expect(await registry(kv, service).list()).toEqual([])
  })

  it('an update registers the instance again when its lease is lost', async () => {
    const service = newService()
    const problems: unknown[] = []
    const instance = await registry(kv, service).register({
      ...{ id: 'a', url: 'one', ttlMs: TTL_MS },
      onProblem: (problem) => problems.push(problem),
    })
    await kv.revokeLease((await kv.get(`service/${service}/a`))?.lease ?? '')
    // The session does not know yet that its lease has ended.
    expect(instance.isRegistered).toBe(true)
    await instance.update({ weight: 7 })
    expect(await registry(kv, service).list()).toMatchObject([{ url: 'one', weight: 7 }])
    expect(problems).toMatchObject([{ code: 'registration_lost' }])
    await kv.delete(`service/${service}/a`)
    await instance.update({ url: 'two' })
    expect(await registry(kv, service).list()).toMatchObject([{ url: 'two', weight: 7 }])
    await instance.close()
  })

  it.each([
    ['its metadata is not JSON', { n: 1n }],
    ['the store refuses it', { text: 'x'.repeat(3_000_000) }],
    ['its outcome is unknown', { text: 'lost' }],
  ])('registers again as it was before an update that has failed, because %s', async (_, meta) => {
    const service = newService()
    const store = withCall(kv, 'txn', async (txn, options) => {
      const result = await kv.txn(txn, options)
      if (puts(txn, 'lost')) throw unknownOutcome()
      return result
    })
    const own = registry(store, service)
    const instance = await own.register({ id: 'a', url: 'one', ttlMs: TTL_MS })
    await instance.update({ weight: 2 })
    await expect(instance.update({ meta })).rejects.toThrow()
    await kv.revokeLease((await kv.get(`service/${service}/a`))?.lease ?? '')
    for await (const instances of own.watch()) if (instances.length === 1) break
    await expect.poll(() => own.list()).toMatchObject([{ url: 'one', weight: 2, meta: {} }])
    await instance.close()
  })

  it('resolves to the least connections', async () => {
    const own = registry(kv, newService())
    for (const id of ['a', 'b']) await own.register({ id, url: id })
    await using resolver = own.resolver({ strategy: 'least-connections' })
    const first = await resolver.resolve()
    const second = await resolver.resolve()
    expect([first?.id, second?.id].sort()).toEqual(['a', 'b'])
    first?.release()
    first?.release()
    expect((await resolver.resolve())?.id).toBe(first?.id)
  })

  it('resolves to the least connections in proportion to the weights', async () => {
    const own = registry(kv, newService())
    await own.register({ id: 'a', url: 'a', weight: 2 })
    await own.register({ id: 'b', url: 'b', weight: 1 })
    await using resolver = own.resolver({ strategy: 'least-connections' })
    const ids: string[] = []
    for (let count = 0; count < 9; count++) ids.push((await resolver.resolve())?.id ?? '')
    expect([ids.filter((id) => id === 'a').length, ids.filter((id) => id === 'b').length]).toEqual([6, 3])
  })

  it('resolves to an instance without weight when all others have failed', async () => {
    const own = registry(kv, newService())
    await own.register({ id: 'a', url: 'a', weight: 1 })
    await own.register({ id: 'b', url: 'b', weight: 0 })
    await using resolver = own.resolver({ failedMs: 60_000 })
    const first = await resolver.resolve()
    expect(first?.id).toBe('a')
    first?.failed()
    expect((await resolver.resolve())?.id).toBe('b')
  })

  it('leaves out what has failed, as long as there is another one', async () => {
    const own = registry(kv, newService())
    for (const id of ['a', 'b']) await own.register({ id, url: id })
    await using resolver = own.resolver({ failedMs: 60_000 })
    const first = await resolver.resolve()
    first?.failed()
    const other = first?.id === 'a' ? 'b' : 'a'
    expect(await resolved(resolver, 3)).toBe(other.repeat(3))
    ;(await resolver.resolve())?.failed()
    expect(new Set(await resolved(resolver, 4)).size).toBe(2)
  })

  it('follows changes, and has nothing to give when there is no instance', async () => {
    const own = registry(kv, newService())
    await using resolver = own.resolver()
    expect(await resolver.resolve()).toBeUndefined()
    const instance = await own.register({ url: 'new' })
    await waitFor(resolver, 1)
    expect(await resolver.resolve()).toMatchObject({ url: 'new', isStale: false })
    await instance.close()
    await waitFor(resolver, 0)
    expect(await resolver.resolve()).toBeUndefined()
  })

  it('goes on with what it knew last when the registry cannot be reached, and says so', async () => {
    const own = registry(newClient({ timeoutMs: 500 }), 'api')
    await own.register({ url: 'one' })
    const errors: unknown[] = []
    await using resolver = own.resolver({
      confirmMs: 50,
      staleMs: 300,
      onError: (error) => errors.push(error),
    })
    expect(await resolver.resolve()).toMatchObject({ url: 'one', isStale: false })
    node().pause()
    while (resolver.confirmedMsAgo < 300 || errors.length === 0)
      await new Promise((done) => setTimeout(done, 10))
    expect(await resolver.resolve()).toMatchObject({ url: 'one', isStale: true })
    node().resume()
    while (resolver.confirmedMsAgo > 300) await new Promise((done) => setTimeout(done, 10))
    expect(await resolver.resolve()).toMatchObject({ isStale: false })
  })

  it('fails when nothing is known in time, and refuses what is no option', async () => {
    node().pause()
    await expect(
      registry(newClient({ timeoutMs: 200 }), 'b')
        .resolver({ timeoutMs: 100 })
        .resolve(),
    ).rejects.toMatchObject({
      code: 'timeout',
    })
    await expect(registry(kv, 'x').register({ url: '' })).rejects.toThrow(/url must be/)
    for (const weight of [-1, Number.MAX_VALUE, Number.NaN])
      await expect(registry(kv, 'x').register({ url: 'x', weight })).rejects.toThrow(/weight must be/)
    expect(() => registry(kv, 'x').resolver({ strategy: 'random' as never })).toThrow(/one of round-robin/)
  })
})
