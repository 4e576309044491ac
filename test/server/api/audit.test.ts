// The line of each operation in the audit log. The tables have every kind: without one they do not compile.

import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { encodeUtf8 } from '../../../src/bytes/index.ts'
import type { Revision } from '../../../src/operations/forms/index.ts'
import { ApiError } from '../../../src/operations/forms/index.ts'
import type { Operation, RequestedAuthChange } from '../../../src/operations/index.ts'
import type { ApiAnswer } from '../../../src/server/api/answer.ts'
import { Audit, type AuditedOperations } from '../../../src/server/api/audit.ts'
import type { Call } from '../../../src/server/api/call.ts'
import { EVERY_OPERATION } from './every-operation.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'performance', 'setTimeout', 'clearTimeout'], now: 0 })
  onTestFinished(() => void vi.useRealTimers())
})

const lease = '7'

/** The target in the line of each operation. Only changes have lines unless all operations are logged. */
const LINES: { readonly [K in Operation['kind']]: readonly [object, 'change' | 'read'] } = {
  put: [{ keys: [{ key: 'a' }], leases: [lease] }, 'change'],
  delete: [{ keys: [{ key: 'a' }] }, 'change'],
  get: [{ keys: [{ key: 'a' }] }, 'read'],
  range: [{ keys: [{ prefix: 'a/' }] }, 'read'],
  batch: [{ keys: [{ key: 'a' }, { key: 'b' }], leases: [lease] }, 'change'],
  'delete-range': [{ keys: [{ all: true }] }, 'change'],
  txn: [
    {
      keys: [
        ...[{ key: 'compared' }, { key: 'put' }, { key: 'compared inside' }],
        ...[{ prefix: 'a/' }, { key: 'put inside' }],
      ],
      leases: ['1', '2'],
    },
    'change',
  ],
  compact: [{}, 'change'],
  'raise-revision': [{}, 'change'],
  watch: [{ keys: [{ start: 'b', end: 'd' }] }, 'read'],
  grant: [{}, 'change'],
  revoke: [{ leases: [lease] }, 'change'],
  'keep-alive': [{ leases: [lease] }, 'read'],
  'show-lease': [{ leases: [lease] }, 'read'],
  'list-leases': [{}, 'read'],
  'open-session': [{}, 'read'],
  status: [{}, 'read'],
  cluster: [{}, 'read'],
  settings: [{}, 'read'],
  // It has every key and the hashes of passwords.
  backup: [{}, 'change'],
  'add-member': [{ name: 'n4' }, 'change'],
  'remove-member': [{ name: 'n3' }, 'change'],
  'replace-member': [{ name: 'n4', replaced: 'n3?' }, 'change'],
  'transfer-leadership': [{ name: 'n2' }, 'change'],
  'change-settings': [{}, 'change'],
  'show-auth': [{}, 'read'],
  'show-self': [{}, 'read'],
  'log-in': [{ name: 'bob' }, 'change'],
  'show-users': [{ name: 'bob' }, 'read'],
  'show-roles': [{ name: 'app' }, 'read'],
  'change-auth': [{ change: 'enable' }, 'change'],
}

const CASES = Object.values(EVERY_OPERATION).map(
  (operation) => [operation, ...LINES[operation.kind]] as const,
)

/** The only line of an operation of bob that ends so; undefined: it has none. */
function lineOf(operation: Operation, result: ApiAnswer, audited: AuditedOperations = 'changes'): unknown {
  const lines: string[] = []
  const answers: ApiAnswer[] = []
  const call: Call = {
    ...{ deadline: 0, expansion: 1, isAbandoned: () => false },
    principal: { user: 'bob', epoch: undefined },
    origin: () => ({ method: 'PUT', address: '10.0.0.1:2' }),
  }
  new Audit((line) => lines.push(line), audited).watch(operation, call, (answer) => answers.push(answer))(
    result,
  )
  expect(answers).toEqual([result])
  expect(lines.length).toBeLessThan(2)
  expect(lines.join('')).not.toContain('secret')
  // A terminal would obey these.
  expect(lines.join('')).not.toMatch(/[\x7f-\x9f]/)
  const [line] = lines
  return line === undefined ? undefined : JSON.parse(line)
}

const HEAD = { time: '1970-01-01T00:00:00.000Z', user: 'bob', method: 'PUT', address: '10.0.0.1:2' }
const DONE: ApiAnswer = { kind: 'show-auth', result: { enabled: true, revision: 5 }, head: {} }

test.each(CASES)('$kind', (operation, target, is) => {
  const done = { ...HEAD, operation: operation.kind, ...target, revision: 5, code: 'ok' }
  expect(lineOf(operation, DONE)).toEqual(is === 'change' ? done : undefined)
  expect(lineOf(operation, DONE, 'all')).toEqual(done)
  for (const code of ['permission_denied', 'loopback_only'] as const)
    expect(lineOf(operation, new ApiError(code, 'refused'))).toEqual({
      ...HEAD,
      ...{ operation: operation.kind, ...target, code },
    })
  // A read that fails for another reason is no refusal.
  const failed = lineOf(operation, new ApiError('not_found', 'it is not there', { revision: 4 as Revision }))
  expect(failed).toEqual(is === 'change' ? { ...done, revision: 4, code: 'not_found' } : undefined)
})

test('of many and long keys a line has the first ones, none of which is longer than a key may be', () => {
  const linesOf = (...keys: readonly Uint8Array[]) => {
    const compare = keys.map((key) => ({ where: { key }, target: 'version', op: '=', to: 0 }) as const)
    const txn = { compare, success: [], failure: [] }
    return lineOf({ kind: 'txn', txn, freshness: {}, idempotency: undefined }, DONE)
  }
  const keyOf = (byte: number, length: number) => new Uint8Array(length).fill(byte)
  const [a, b] = [{ key: 'a' }, { key: 'b' }]
  const repeated = linesOf(keyOf(0x61, 1), keyOf(0x61, 1), keyOf(0x62, 1))
  expect(repeated).toMatchObject({ keys: [a, b] })
  expect(repeated).not.toHaveProperty('more')
  const longest = linesOf(keyOf(0, 4096), keyOf(1, 4096), keyOf(2, 1))
  expect(longest).toMatchObject({ keys: [{ key: '\0'.repeat(4096) }], more: 2 })
  const tooLong = linesOf(keyOf(0x61, 1), keyOf(0, 65_534), keyOf(0x62, 1))
  expect(tooLong).toMatchObject({ keys: [a, b], more: 1 })
  const keys = Array.from({ length: 128 }, (_, at) => keyOf(at, 1))
  const many = linesOf(...keys, ...keys)
  expect(many).toMatchObject({ keys: { length: 100 }, more: 28 })
})

test('a key with a character that a terminal obeys is in the line as it is', () => {
  const key = encodeUtf8('\x9b31m')
  expect(lineOf({ ...EVERY_OPERATION.delete, key }, DONE)).toMatchObject({ keys: [{ key: '\x9b31m' }] })
})

type ChangeKind = RequestedAuthChange['kind']

const CHANGES: { readonly [K in ChangeKind]: readonly [RequestedAuthChange & { readonly kind: K }, object] } =
  {
    enable: [{ kind: 'enable' }, {}],
    disable: [{ kind: 'disable' }, {}],
    'put-user': [
      { kind: 'put-user', name: 'carl', password: 'secret', oldPassword: 'secret', roles: ['app'] },
      { name: 'carl' },
    ],
    'delete-user': [{ kind: 'delete-user', name: 'carl' }, { name: 'carl' }],
    'put-role': [{ kind: 'put-role', name: 'app', permissions: [] }, { name: 'app' }],
    'delete-role': [{ kind: 'delete-role', name: 'app' }, { name: 'app' }],
  }

test.each(Object.values(CHANGES))('change-auth: $kind', (change, target) => {
  expect(lineOf({ kind: 'change-auth', change, ifRevision: undefined }, DONE)).toEqual({
    ...HEAD,
    ...{ operation: 'change-auth', change: change.kind, ...target, revision: 5, code: 'ok' },
  })
})
