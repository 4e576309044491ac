// The recipes on etcd, through the driver: one member, and three whose leader is killed.

import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, test } from 'vitest'
import { QuorateError } from '../../src/client/index.ts'
import { EtcdClient, type EtcdClientOptions } from '../../src/etcd-client/index.ts'
import { counter, lock, queue, registry, runAsLeader } from '../../src/recipes/index.ts'
import { type Etcd, startEtcd } from './etcd.ts'
import { CALLS, FLOWS } from './recipe-flows.ts'

function open(options: EtcdClientOptions): EtcdClient {
  const client = new EtcdClient({ timeoutMs: 20_000, ...options })
  onTestFinished(() => client.close())
  return client
}

describe('one member', () => {
  let etcd: Etcd
  let kv: EtcdClient
  beforeAll(async () => {
    etcd = await startEtcd()
    kv = new EtcdClient({ endpoints: etcd.endpoints, timeoutMs: 20_000 })
    await kv.status()
  })
  afterAll(async () => {
    await kv?.close()
    await etcd?.[Symbol.asyncDispose]()
  })

  test.each(Object.entries(CALLS))('the calls: %s', (name, flow) => flow(kv, `call ${name}`))

  test.each(Object.entries(FLOWS))('a recipe: %s', (name, flow) => flow(kv, name.replaceAll(' ', '-')))

  it('gives a lease in whole seconds, two at least', async () => {
    expect(await kv.grantLease({ ttlMs: 1_000 })).toMatchObject({ ttlMs: 2_000 })
    expect(await kv.grantLease({ ttlMs: 4_001 })).toMatchObject({ ttlMs: 5_000 })
  })

  it('loses a lock with its lease, and gives it to the next client', async () => {
    const dying = open({ endpoints: etcd.endpoints })
    const held = await lock(dying, 'dies', { ttlMs: 2_000 })
    const next = lock(kv, 'dies')
    await dying.close()
    const second = await next
    expect(second.token).toBeGreaterThan(held.token)
    await second.release()
  })

  it('keeps sessions alive beyond their time to live', async () => {
    await using session = await kv.session({ ttlMs: 2_000 })
    await session.put('kept alive', '1')
    await sleep(5_000)
    expect(session.signal.aborted).toBe(false)
    expect(await kv.get('kept alive')).toBeDefined()
  })

  it('delivers an item again whose consumer does nothing', async () => {
    const own = queue(kv, 'visible', { visibilityMs: 2_000 })
    await own.push('x')
    const first = await own.pop()
    expect(await own.pop()).toBeUndefined()
    await expect.poll(async () => (await own.pop())?.text(), { timeout: 10_000 }).toBe('x')
    await expect(first?.ack()).rejects.toThrow()
  })

  it('removes an instance whose process has died', async () => {
    const own = registry(kv, 'dying')
    const dying = open({ endpoints: etcd.endpoints })
    await registry(dying, 'dying').register({ url: 'one', ttlMs: 2_000 })
    await dying.close()
    for await (const instances of own.watch()) if (instances.length === 0) break
  })

  it('hears a quiet watch', async () => {
    const heard: number[] = []
    const watch = kv.watch({ key: 'quiet', progressMs: 100, onProgress: (revision) => heard.push(revision) })
    const revision = await watch.ready
    const next = watch.next()
    await expect.poll(() => heard.length).toBeGreaterThan(3)
    expect(new Set(heard)).toEqual(new Set([revision]))
    await watch.close()
    await next
  })
})

it('logs in where rights are checked, and again when its token has ended', async () => {
  await using etcd = await startEtcd()
  const user = { endpoints: etcd.endpoints, user: 'ann', password: 'secret' }
  const kv = open(user)
  // Rights are not checked yet.
  await kv.put('own/a', '1')
  const etcdctl = (...args: string[]) =>
    spawnSync('etcdctl', [`--endpoints=${etcd.endpoints}`, ...args], {
      env: { ...process.env, ETCDCTL_API: '3' },
      encoding: 'utf8',
    })
  for (const command of [
    'user add root:root',
    'role add root',
    'user grant-role root root',
    'user add ann:secret',
    'role add own',
    'role grant-permission own readwrite own/ own0',
    'user grant-role ann own',
    'auth enable',
  ])
    expect(etcdctl(...command.split(' '))).toMatchObject({ status: 0 })
  await kv.put('own/a', '2')
  expect((await kv.get('own/a'))?.text()).toBe('2')
  await expect(kv.put('other', '1')).rejects.toMatchObject({ code: 'permission_denied', written: 'no' })
  const denied = kv.watch({ key: 'other' })
  await expect(denied.next()).rejects.toMatchObject({ code: 'permission_denied' })
  await expect(open({ ...user, password: 'wrong' }).get('own/a')).rejects.toMatchObject({
    code: 'unauthenticated',
  })
  // A change of rights ends all tokens.
  expect(etcdctl('--user=root:root', 'user', 'add', 'bob:b')).toMatchObject({ status: 0 })
  await kv.put('own/a', '3')
  const watch = kv.watch({ prefix: 'own/' })
  await watch.ready
  await kv.put('own/a', '4')
  expect((await watch.next()).value?.events).toMatchObject([{ key: 'own/a' }])
})

it('never says that nothing was written while a change was made, when etcd is full', async () => {
  await using etcd = await startEtcd(1, { args: ['--quota-backend-bytes', String(8 * 1024 * 1024)] })
  const kv = open({ endpoints: etcd.endpoints, callsMax: 64 })
  await kv.status()
  const value = new Uint8Array(500_000)
  const refused = new Map<string, string>()
  const putting = Array.from({ length: 30 }, (_, n) =>
    kv.put(`k${n}`, value).catch((error) => refused.set(`k${n}`, error.written)),
  )
  await Promise.all(putting)
  for (const [key, written] of refused) if (written === 'no') expect(await kv.get(key)).toBeUndefined()
})

it('sends nothing to a member without a leader, and ends its watch there', async () => {
  await using etcd = await startEtcd(3)
  const kv = open({ endpoints: etcd.endpoints.slice(0, 1) })
  await kv.put('a', '1')
  const causes: string[] = []
  const watch = kv.watch({ all: true, progressMs: 500, onResume: ({ cause }) => causes.push(cause.message) })
  await watch.ready
  const others = etcd.members.slice(1)
  for (const member of others) await member.kill()
  const put = () => kv.put('a', '2', { timeoutMs: 300 }).then(String, ({ code }) => code)
  await expect.poll(put, { timeout: 20_000 }).toBe('no_leader')
  await expect(kv.put('a', '2', { timeoutMs: 300 })).rejects.toMatchObject({ written: 'no' })
  expect((await kv.get('a', { consistency: 'stale' }))?.text()).toBeDefined()
  await sleep(3_000)
  for (const member of others) member.start()
  await expect.poll(() => causes[0], { timeout: 20_000 }).toContain('no leader')
  await watch.close()
})

describe('three members whose leader is killed', () => {
  let etcd: Etcd
  let kv: EtcdClient
  beforeAll(async () => {
    etcd = await startEtcd(3)
    kv = new EtcdClient({ endpoints: etcd.endpoints, timeoutMs: 60_000 })
    await kv.status()
  })
  afterAll(async () => {
    await kv?.close()
    await etcd?.[Symbol.asyncDispose]()
  })

  async function crashLeader(): Promise<void> {
    const { leader, members } = await kv.cluster()
    const { url } = members.find(({ name }) => name === leader) ?? {}
    const member = etcd.members.find((each) => each.url === url)
    if (member === undefined) throw new Error('there is no leader')
    await member.kill()
    member.start()
  }

  /** Tries again while the outcome is unknown: these calls are the same twice. */
  async function untilKnown<T>(call: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await call()
      } catch (error) {
        if (!(error instanceof QuorateError) || error.written !== 'unknown') throw error
      }
    }
  }

  it('a lock stays with its holder, and then goes to the next client', async () => {
    const first = await lock(kv, 'l', { ttlMs: 60_000 })
    const next = lock(kv, 'l', { ttlMs: 60_000 })
    await expect.poll(() => kv.count({ prefix: 'lock/l/' }), { timeout: 20_000 }).toBe(2)
    await crashLeader()
    await untilKnown(() => first.put('guarded', 'by the first'))
    await first.release()
    const second = await next
    expect(second.token).toBeGreaterThan(first.token)
    await expect(first.put('guarded', 'late')).rejects.toMatchObject({ code: 'lock_lost' })
    await second.release()
    expect((await kv.get('guarded'))?.text()).toBe('by the first')
  })

  it('a counter counts each add with a name once, whatever answers are lost', async () => {
    const hits = counter(kv, 'c')
    const adding = Array.from({ length: 20 }, (_, n) => untilKnown(() => hits.add(1, { once: `add ${n}` })))
    await crashLeader()
    await Promise.all(adding)
    expect(await hits.get()).toBe(20)
  })

  it('an election has one leader at a time', async () => {
    const tokens: number[] = []
    let leading = 0
    const candidate = () =>
      runAsLeader(
        kv,
        'e',
        async ({ token, put }) => {
          leading += 1
          expect(leading).toBe(1)
          tokens.push(token)
          if (tokens.length === 1) await crashLeader()
          await untilKnown(() => put('led', String(token)))
          leading -= 1
        },
        { ttlMs: 60_000 },
      )
    await Promise.all([candidate(), candidate()])
    expect(tokens).toHaveLength(2)
    expect(tokens[1]).toBeGreaterThan(tokens[0] ?? 0)
  })

  it('a watch sees every change once, in order', async () => {
    const watch = kv.watch({ prefix: 'w/' })
    await watch.ready
    const writing = (async () => {
      for (let n = 0; n < 50; n++) {
        if (n === 20) await crashLeader()
        await untilKnown(() => kv.put(`w/${n}`, String(n)))
      }
    })()
    const seen: string[] = []
    let last = 0
    for await (const { revision, events } of watch) {
      expect(revision).toBeGreaterThan(last)
      last = revision
      seen.push(...events.map(({ key }) => key))
      if (seen.at(-1) === 'w/49') break
    }
    await writing
    expect([...new Set(seen)]).toEqual(Array.from({ length: 50 }, (_, n) => `w/${n}`))
  })
})
