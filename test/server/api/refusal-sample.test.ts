// Refusals that anybody can cause are sampled in the audit log, and those of users are not.

import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { ApiError, type ApiErrorCode } from '../../../src/operations/forms/index.ts'
import type { Operation } from '../../../src/operations/index.ts'
import { Audit } from '../../../src/server/api/audit.ts'
import type { Call } from '../../../src/server/api/call.ts'
import { AUDIT_FILE_BYTES, AUDIT_FILES_MAX } from '../../../src/server/audit/audit-file.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
})

const address = '[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535'
const origin = () => ({ method: 'mux get', address })
const refusal = (code: ApiErrorCode) => new ApiError(code, 'refused')

function audited() {
  const lines: string[] = []
  const audit = new Audit((line) => lines.push(line), 'changes')
  const taken = () => lines.splice(0).map((line) => JSON.parse(line) as Record<string, unknown>)
  return { audit, lines, taken }
}

/** An operation that ends with this refusal, of this user or of nobody. */
const refuse = (audit: Audit, operation: Operation, code: ApiErrorCode, user?: string): void =>
  audit.watch(operation, { origin, principal: user && { user } } as Call, () => {})(refusal(code))

const key = (name: string) => Buffer.from(name)
const GET: Operation = {
  ...{ kind: 'get', key: key('a') },
  freshness: { consistency: 'linearizable', maxStalenessMs: undefined, minRevision: undefined },
}

test('ten lines at once, one a second, and the number of all others by code', () => {
  const { audit, taken } = audited()
  for (let count = 0; count < 1_000; count++) audit.refused({ origin }, refusal('unauthenticated'))
  for (let count = 0; count < 500; count++) refuse(audit, GET, 'loopback_only')
  expect(taken()).toHaveLength(10)
  expect(audit.skippedTotal).toBe(1_490)
  vi.advanceTimersByTime(999)
  expect(taken()).toEqual([])
  vi.advanceTimersByTime(1)
  const rest = { unauthenticated: 990, loopback_only: 500 }
  expect(taken()).toEqual([{ time: expect.any(String), user: null, skipped: rest }])
  // After ten quiet seconds there is room for ten more.
  vi.advanceTimersByTime(11_000)
  for (let count = 0; count < 20; count++) audit.refused({ origin }, refusal('unauthenticated'))
  expect(taken()).toHaveLength(10)
  audit.flush()
  expect(taken()).toEqual([{ time: expect.any(String), user: null, skipped: { unauthenticated: 10 } }])
  audit.flush()
  expect(taken()).toEqual([])
})

test('a refusal that is only counted does not read the keys of its operation', () => {
  const { audit, taken } = audited()
  let collected = 0
  const command = {
    ...({ kind: 'delete', condition: undefined, prev: false } as const),
    get key() {
      collected++
      return key('a')
    },
  }
  const batch: Operation = { kind: 'batch', commands: [command], idempotency: undefined }
  for (let count = 0; count < 10; count++) refuse(audit, batch, 'unauthenticated')
  expect(taken()).toHaveLength(10)
  const before = collected
  for (let count = 0; count < 1_000; count++) refuse(audit, batch, 'unauthenticated')
  expect([taken(), collected - before]).toEqual([[], 0])
  // After a pause, lines have their facts again.
  vi.advanceTimersByTime(11_000)
  taken()
  refuse(audit, batch, 'unauthenticated')
  expect(taken()).toEqual([expect.objectContaining({ keys: [{ key: 'a' }] })])
})

test('each flood after a pause is told like the first', () => {
  const { audit, taken } = audited()
  for (const flood of [1, 2, 3]) {
    for (let count = 0; count < 30; count++) audit.refused({ origin }, refusal('unauthenticated'))
    expect(taken(), `flood ${flood}`).toHaveLength(10)
    vi.advanceTimersByTime(1_000)
    expect(taken(), `flood ${flood}`).toEqual([
      { time: expect.any(String), user: null, skipped: { unauthenticated: 20 } },
    ])
    vi.advanceTimersByTime(20_000)
    expect(taken()).toEqual([])
  }
  expect(audit.skippedTotal).toBe(60)
})

test('a flood fills the files of the audit log in two weeks at the earliest', () => {
  const { audit, lines } = audited()
  const name = '\u{1f600}'.repeat(1_000)
  const all = Array.from({ length: 100 }, (_, at) => ({
    ...({ kind: 'put', value: key(''), lease: undefined, condition: undefined, prev: false } as const),
    key: key(`${at}${'\u0000'.repeat(4_000)}`),
  }))
  const batch: Operation = { kind: 'batch', commands: all, idempotency: undefined }
  const logIn: Operation = { kind: 'log-in', user: name, password: 'x' }
  const seconds = 600
  for (let at = 0; at < seconds * 20; at++) {
    audit.refused({ origin }, refusal('unauthenticated'), { name, certificate: 'unattributed' })
    refuse(audit, batch, 'loopback_only')
    refuse(audit, logIn, 'overloaded')
    refuse(audit, logIn, 'unauthenticated')
    audit.refused({ origin }, refusal('host_not_allowed'))
    vi.advanceTimersByTime(50)
  }
  expect(lines.length).toBeLessThanOrEqual(10 + seconds)
  const bytesADay = (lines.join('').length / seconds) * 86_400
  expect((AUDIT_FILE_BYTES * (AUDIT_FILES_MAX + 1)) / bytesADay).toBeGreaterThan(14)
})

test('refusals of users have their lines, whatever unauthenticated clients do', () => {
  const { audit, taken } = audited()
  for (let count = 0; count < 100; count++) audit.refused({ origin }, refusal('unauthenticated'))
  taken()
  for (let count = 0; count < 100; count++) refuse(audit, GET, 'permission_denied', 'bob')
  expect(taken()).toEqual(
    Array(100).fill(expect.objectContaining({ user: 'bob', code: 'permission_denied' })),
  )
})

test.each([
  ['bob', 'bob'],
  ['x'.repeat(100), 'x'.repeat(64)],
  ['b\u001b[31m\u202eob', 'b??31m?ob'],
])('a name that a client claims: %j', (claimed, shown) => {
  const { audit, taken } = audited()
  audit.refused({ origin }, refusal('unauthenticated'), { name: claimed })
  refuse(audit, { kind: 'log-in', user: claimed, password: 'secret' }, 'unauthenticated')
  expect(taken().map(({ name }) => name)).toEqual([shown, shown])
})
