// Every public call of a client with an unknown option, with a signal and with a time limit, in virtual time. No node
// answers.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { inspect } from '../../src/client/client.ts'
// Calls load these, for which virtual time does not wait.
import '../../src/client/backup.ts'
import '../../src/client/lease-sessions.ts'
import '../../src/client/mirror.ts'
import '../../src/client/transact.ts'
import type { CallOptions, Client, Session } from '../../src/client/index.ts'
import { type CallName, callsOf } from './call-names.ts'
import { answered, errorOf, type Fate, inVirtualTime, SILENT, scripted } from './scripted-transport.ts'

type Call = (kv: Client, options: CallOptions) => unknown

const first = (items: AsyncIterable<unknown>) => items[Symbol.asyncIterator]().next()
const member = { name: 'n4', replicaId: '4', peer: '127.0.0.1:1', url: 'http://127.0.0.1:1' }

const CALLS: Readonly<Record<CallName, Call>> = {
  put: (kv, options) => kv.put('k', 'v', options),
  putJson: (kv, options) => kv.putJson('k', {}, options),
  get: (kv, options) => kv.get('k', options),
  delete: (kv, options) => kv.delete('k', options),
  list: (kv, options) => first(kv.list(options)),
  count: (kv, options) => kv.count(options),
  txn: (kv, options) => kv.txn({ success: [{ put: { key: 'k', value: 'v' } }] }, options),
  transact: (kv, options) => kv.transact((tx) => tx.get('k'), options),
  deleteRange: (kv, options) => kv.deleteRange({ prefix: 'p' }, options),
  compact: (kv, options) => kv.compact(1, options),
  raiseRevision: (kv, options) => kv.raiseRevision(1, options),
  grantLease: (kv, options) => kv.grantLease({ ttlMs: 1_000 }, options),
  keepLeaseAlive: (kv, options) => kv.keepLeaseAlive('1', options),
  keepLeasesAlive: (kv, options) => kv.keepLeasesAlive(['1'], options),
  lease: (kv, options) => kv.lease('1', options),
  leases: (kv, options) => first(kv.leases(options)),
  revokeLease: (kv, options) => kv.revokeLease('1', options),
  session: (kv, options) => kv.session(options),
  watch: (kv, options) => first(kv.watch({ prefix: 'p', ...options })),
  mirror: (kv, options) => first(kv.mirror({ prefix: 'p', ...options })),
  status: (kv, options) => kv.status(options),
  cluster: (kv, options) => kv.cluster(options),
  members: (kv, options) => kv.members(options),
  leader: (kv, options) => kv.leader(options),
  addMember: (kv, options) => kv.addMember(member, options),
  removeMember: (kv, options) => kv.removeMember('n4', options),
  replaceMember: (kv, options) => kv.replaceMember('n3', member, options),
  transferLeader: (kv, options) => kv.transferLeader('n2', options),
  settings: (kv, options) => kv.settings(options),
  changeSettings: (kv, options) => kv.changeSettings({ value_bytes_max: 1 }, options),
  backup: (kv, options) => first(kv.backup(options)),
  'auth.status': (kv, options) => kv.auth.status(options),
  'auth.self': (kv, options) => kv.auth.self(options),
  'auth.enable': (kv, options) => kv.auth.enable(options),
  'auth.disable': (kv, options) => kv.auth.disable(options),
  'users.list': (kv, options) => kv.users.list(options),
  'users.get': (kv, options) => kv.users.get('u', options),
  'users.put': (kv, options) => kv.users.put('u', { roles: [] }, options),
  'users.delete': (kv, options) => kv.users.delete('u', options),
  'roles.list': (kv, options) => kv.roles.list(options),
  'roles.get': (kv, options) => kv.roles.get('r', options),
  'roles.put': (kv, options) => kv.roles.put('r', [], options),
  'roles.delete': (kv, options) => kv.roles.delete('r', options),
}
const names = Object.keys(CALLS) as CallName[]

const CLIENT_TIMEOUT_MS = 60_000
const atRest = { calls: 0, permits: 0, requests: 0, probes: 0 }

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const silent = (script: (at: number, nth: number) => Fate = () => SILENT) =>
  scripted(3, script, { timeoutMs: CLIENT_TIMEOUT_MS })

/** Begins a call. An error that it throws at once counts as well. */
const begun = async (call: Call, kv: Client, options: CallOptions) => call(kv, options)

test('the table has every call', () => {
  expect(callsOf(silent().kv).sort()).toEqual([...names].sort())
})

describe.each(names)('%s', (name) => {
  const call = CALLS[name]

  test('refuses an unknown option before anything is sent', async () => {
    const { kv, transport } = silent()
    const misspelt = Object.assign({ timeoutMs: 1_000 }, { timeOutMs: 1 })
    await expect(inVirtualTime(begun(call, kv, misspelt))).rejects.toThrow(
      new RegExp(`^${name.replace('.', '\\.')}: there is no option "timeOutMs"`),
    )
    expect(transport.sent).toEqual([])
  })

  test('sends nothing when its signal has fired', async () => {
    const { kv, transport } = silent()
    const signal = AbortSignal.abort('enough')
    const error = await errorOf(begun(call, kv, { signal }))
    expect(error).toMatchObject({ name: 'AbortError', code: 'aborted', written: 'no', cause: 'enough' })
    expect(transport.sent).toEqual([])
  })

  test('ends when its signal fires', async () => {
    const { kv, transport } = silent()
    const abort = new AbortController()
    const error = errorOf(begun(call, kv, { signal: abort.signal }))
    setTimeout(() => abort.abort('enough'), 100)
    expect(await error).toMatchObject({ name: 'AbortError', code: 'aborted', cause: 'enough' })
    expect(transport.sent.length).toBeGreaterThan(0)
    expect(kv[inspect]()).toEqual(atRest)
  })

  test('ends when its time is up', async () => {
    const { kv, transport } = silent()
    const startedAt = performance.now()
    const error = await errorOf(begun(call, kv, { timeoutMs: 1_500 }))
    expect(error.code).toMatch(/^(timeout|outcome_unknown)$/)
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(1_400)
    expect(performance.now() - startedAt).toBeLessThanOrEqual(1_600)
    expect(transport.sent.length).toBeGreaterThan(0)
  })
})

describe('calls of a session', () => {
  const GRANTED = answered(200, { id: '7', ttl_ms: 10_000 })
  const SESSION: Readonly<Record<string, (session: Session, options: CallOptions) => Promise<unknown>>> = {
    'session.put': (session, options) => session.put('k', 'v', options),
    'session.close': (session, options) => session.close(options),
  }
  const opened = async () => {
    const { kv, transport } = silent((_, nth) => (nth === 0 ? GRANTED : SILENT))
    return { session: await inVirtualTime(kv.session({ ttlMs: 600_000 })), transport }
  }

  test.each(Object.entries(SESSION))('%s refuses an unknown option', async (_, call) => {
    const { session, transport } = await opened()
    const misspelt = Object.assign({ timeoutMs: 1_000 }, { timeOutMs: 1 })
    await expect(inVirtualTime(call(session, misspelt))).rejects.toThrow('there is no option "timeOutMs"')
    expect(transport.sent.length).toBe(1)
  })

  test('session.put ends when its signal fires, and when its time is up', async () => {
    const { session } = await opened()
    const signal = AbortSignal.abort('enough')
    expect(await errorOf(session.put('k', 'v', { signal }))).toMatchObject({ code: 'aborted', written: 'no' })
    expect(await errorOf(session.put('k', 'v', { timeoutMs: 1_500 }))).toMatchObject({
      code: 'outcome_unknown',
    })
  })

  test.each<CallOptions>([{ signal: AbortSignal.abort('enough') }, { timeoutMs: 1_500 }])(
    'session.close says that no node has confirmed it: %j',
    async (options) => {
      const { session } = await opened()
      expect(await inVirtualTime(session.close(options))).toBe(false)
    },
  )
})

test('conditions have no type that the client refuses; other options may be undefined', async () => {
  const { kv, transport } = silent()
  const calls = [
    // @ts-expect-error A condition that got lost would make the write unconditional.
    () => kv.put('k', 'v', { ifRevision: undefined }),
    // @ts-expect-error The same.
    () => kv.put('k', 'v', { ifAbsent: undefined }),
    // @ts-expect-error The same.
    () => kv.putJson('k', 'v', { ifRevision: undefined }),
    // @ts-expect-error The same.
    () => kv.delete('k', { ifRevision: undefined }),
    // @ts-expect-error The same.
    () => kv.users.put('u', {}, { ifRevision: undefined }),
    // @ts-expect-error The same.
    () => kv.roles.delete('r', { ifRevision: undefined }),
    // @ts-expect-error The same.
    () => kv.txn({ compare: undefined }),
    // @ts-expect-error A bound that got lost would delete more.
    () => kv.deleteRange({ start: 'a', end: undefined }),
  ]
  for (const call of calls) await expect(begun(call, kv, {})).rejects.toBeInstanceOf(TypeError)
  expect(transport.sent).toEqual([])
  const none = { signal: undefined, timeoutMs: undefined }
  void kv.put('k', 'v', { ...none, lease: undefined, ttlMs: undefined }).catch(() => {})
  void kv
    .get('k', { ...none, consistency: undefined, revision: undefined, onAnswer: undefined })
    .catch(() => {})
  void kv.count({ ...none, prefix: undefined }).catch(() => {})
  await vi.advanceTimersByTimeAsync(1)
  expect(transport.sent.length).toBe(3)
  await kv.close()
})
