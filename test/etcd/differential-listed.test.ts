// The comparison excuses the listed differences, and nothing else.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { isAlike, isExpected, type Recorded } from './differential/comparison.ts'
import type { Step } from './differential/conversation.ts'
import { FIRST_REVISION, type Json, type JsonObject } from './differential/frame.ts'
import { LISTED } from './differential/listed.ts'

const RECORDED = join(import.meta.dirname, 'testdata')
const RELEASES = ['3.6', '3.4'] as const
/** Long responses have the same alterations again and again. */
const CHARACTERS_MAX = 3_000

/** Every response that differs from this one in one place. */
function* alterations(json: Json, name = ''): Generator<Json> {
  if (Array.isArray(json)) {
    const list: readonly Json[] = json
    for (const [at, each] of list.entries()) {
      yield list.toSpliced(at, 0, each)
      yield list.toSpliced(at, 1)
      for (const altered of alterations(each, name)) yield list.with(at, altered)
    }
    if (list.length > 1) yield list.toReversed()
  } else if (typeof json === 'object' && json !== null) {
    for (const [field, value] of Object.entries(json as JsonObject)) {
      const { [field]: _, ...others } = json as JsonObject
      yield others
      for (const altered of alterations(value, field)) yield { ...json, [field]: altered }
    }
  } else if (typeof json === 'number') yield json + (name === 'ttl' ? 6 : 1)
  else if (typeof json === 'string') yield `${json}x`
  else if (typeof json === 'boolean') yield !json
}

const conversations = RELEASES.flatMap((release) =>
  readdirSync(join(RECORDED, release)).flatMap((file) => {
    const text = readFileSync(join(RECORDED, release, file), 'utf8')
    return Object.values(JSON.parse(text) as Record<string, Recorded>).map((each) => ({ release, ...each }))
  }),
)

/** Differences that one of the two responses shows alone, whatever the other one is. */
const SHOWN_BY_ONE = new Set([
  'a token while rights are not checked',
  'rights to a range without keys',
  'the role root',
  'the role root is deleted',
  'a hash at the compacted revision',
  'a header with a revision',
  'an RPC that this release of etcd does not have',
  'an unauthenticated client that asks for what is refused anyway',
  'the code of an error of the store in locks and elections',
  'the compact revision of a hash at the compacted revision',
  'who asks whether rights are checked',
  'who may not see the upkeep of the store',
  'why bytes are no message',
])

test('no recorded response may be another one', () => {
  const excused = new Set<string>()
  for (const { release, exchanges } of conversations) {
    const steps = exchanges.map(({ step }) => step)
    for (const { step, response: etcd } of exchanges) {
      if (JSON.stringify(etcd).length > CHARACTERS_MAX) continue
      const others = [...alterations(etcd), { code: 13, text: 'etcdserver: a fault' }, null]
      for (const quorate of others) {
        if (JSON.stringify(etcd) === JSON.stringify(quorate)) continue
        const exchange = { release, steps, step, etcd, quorate }
        const listed = LISTED.find((each) => (each.release ?? release) === release && each.shows(exchange))
        if (isAlike(exchange)) excused.add(JSON.stringify({ step, etcd, quorate }))
        else if (listed !== undefined) excused.add(listed.name)
      }
    }
  }
  expect([...excused].filter((each) => !SHOWN_BY_ONE.has(each))).toEqual([])
})

test('no recorded event of a watch may be another one, but for what etcd lacks at the compact revision', () => {
  const excused = conversations.flatMap(({ release, exchanges, watched: etcd }) => {
    const steps = exchanges.map(({ step }) => step)
    if (JSON.stringify(etcd).length > CHARACTERS_MAX) return []
    return [...alterations(etcd)]
      .filter((quorate) => JSON.stringify(etcd) !== JSON.stringify(quorate))
      .filter((quorate) => isAlike({ release, steps, etcd, quorate }))
      .map((quorate) => ({ release, etcd, quorate }))
  })
  expect(excused).toEqual([])
})

const step = (rpc: Step['rpc'], request: JsonObject, as?: string): Step => ({
  rpc,
  request,
  ...(as && { as }),
})
const refused = (text: string): JsonObject => ({ code: 3, text: `etcdserver: ${text}` })
const leases = (...ids: number[]): JsonObject => ({
  header: { revision: 10 },
  leases: ids.map((id) => ({ id })),
})
const roles = (...names: string[]): JsonObject => ({ header: { revision: 10 }, roles: names })

const YEAR_S = 31_536_000
const granted = { header: { revision: 10 }, id: 1, ttl: 5 * YEAR_S }

test.each<[string, Step, Json, Json]>([
  ['a lease of other users only', step('leaseLeases', {}, 'ann'), leases(1, 2, 3), leases(1, 3)],
  ['the role root in a list', step('roleList', {}), roles('one', 'root'), roles('one')],
])('%s is a listed difference', (_, each, etcd, quorate) => {
  expect(isExpected({ release: '3.6', steps: [each], step: each, etcd, quorate })).toBe(true)
})

test.each<[string, Step, Json, Json]>([
  ['a lease twice', step('leaseLeases', {}, 'ann'), leases(1, 2), leases(1, 1)],
  ['a lease that does not exist', step('leaseLeases', {}, 'ann'), leases(1, 2), leases(3)],
  ['no list of leases', step('leaseLeases', {}, 'ann'), leases(1, 2), refused('a fault')],
  ['a lease that is missing without a user', step('leaseLeases', {}), leases(1, 2), leases(1)],
  ['no list of roles', step('roleList', {}), roles('one'), refused('a fault')],
  ['a role that is missing', step('roleList', {}), roles('one', 'root'), roles('root')],
  [
    'a lease of five years that is refused',
    step('leaseGrant', { ttl: 5 * YEAR_S }),
    granted,
    refused('too large lease TTL'),
  ],
  [
    'another code of an error of a put',
    step('put', { key: 'a' }),
    { code: 2, text: 'x' },
    { code: 3, text: 'x' },
  ],
  [
    'other rights than those of the request',
    step('put', { key: 'a' }, 'ann'),
    {},
    refused('permission denied'),
  ],
])('%s is no listed difference', (_, each, etcd, quorate) => {
  const exchange = { steps: [each], step: each, etcd, quorate }
  for (const release of RELEASES) expect(isExpected({ release, ...exchange })).toBe(false)
})

const event = (modRevision: number, more: JsonObject = {}): JsonObject => ({
  kv: { key: 'a', modRevision },
  ...more,
})
const prevKv = { key: 'a', modRevision: 9 }
const watched = (...events: JsonObject[]): JsonObject => ({ 'stream 0': { 'watch 0': events } })
const compacted = [step('compact', { revision: 14 })]

test.each([FIRST_REVISION, 14])('at the compact revision %i etcd lacks the record before', (revision) => {
  const [etcd, quorate] = [watched(event(revision)), watched(event(revision, { prevKv }))]
  for (const release of RELEASES) expect(isAlike({ release, steps: compacted, etcd, quorate })).toBe(true)
})

test('elsewhere it has the record before, and the same type and value everywhere', () => {
  const pairs: [JsonObject, JsonObject][] = [
    [event(13), event(13, { prevKv })],
    [event(14), event(14, { type: 1 })],
    [event(14), event(14, { kv: { key: 'a', modRevision: 14, value: '1' } })],
  ]
  for (const release of RELEASES)
    for (const [etcd, quorate] of pairs)
      expect(isAlike({ release, steps: compacted, etcd: watched(etcd), quorate: watched(quorate) })).toBe(
        false,
      )
})

test('only etcd 3.4 lacks the deletion at the compact revision', () => {
  const deletion = (revision: number) => ({
    ...{
      steps: compacted,
      etcd: watched(event(20)),
      quorate: watched(event(revision, { type: 1 }), event(20)),
    },
  })
  expect(isAlike({ release: '3.4', ...deletion(14) })).toBe(true)
  expect(isAlike({ release: '3.6', ...deletion(14) })).toBe(false)
  expect(isAlike({ release: '3.4', ...deletion(15) })).toBe(false)
})

test('the rest of a time to live may differ by seconds, and no other number may', () => {
  const alike = (etcd: Json, quorate: Json): boolean => isAlike({ release: '3.6', steps: [], etcd, quorate })
  expect(alike({ ttl: 300 }, { ttl: 295 })).toBe(true)
  expect(alike({ ttl: 300 }, { ttl: 294 })).toBe(false)
  for (const name of ['grantedTtl', 'id', 'count', 'revision', 'version', 'code', 'rev'])
    expect(alike({ [name]: 300 }, { [name]: 299 })).toBe(false)
  expect(alike({ ttl: 300 }, { ttl: '300' })).toBe(false)
  expect(alike({}, { ttl: 1 })).toBe(false)
  expect(alike([{ ttl: 300 }], [{ ttl: 300 }, { ttl: 300 }])).toBe(false)
  expect(alike([], {})).toBe(false)
})

const PERMISSION = refused('permission denied')
const NO_TOKEN = refused('invalid auth token')
const TOO_LARGE = refused('request is too large')
const done = { header: { revision: 11 } }
const value = { bytes: 3_000_000 }
const nested = { requestTxn: { success: [{ requestPut: { key: 'a' } }] } }
const error = (code: number, text = 'x'): JsonObject => ({ code, text })

/** Differences by their names, each with an exchange that shows it, and with others that do not. */
const SHOWN: readonly (readonly [string, Shown, ...Partial<Shown>[]])[] = [
  [
    'a put with the lease of another user',
    { step: step('put', { key: 'a', lease: 1 }, 'ann'), etcd: done, quorate: PERMISSION },
    { step: step('put', { key: 'a' }, 'ann') },
    { step: step('put', { key: 'a', lease: 0 }, 'ann') },
    { quorate: NO_TOKEN },
    { step: step('deleteRange', { key: 'a', lease: 1 }, 'ann') },
  ],
  [
    'a user who revokes the lease of another user',
    { step: step('leaseRevoke', { id: 1 }, 'ann'), etcd: done, quorate: PERMISSION },
    { quorate: refused('requested lease not found') },
    { etcd: refused('requested lease not found') },
  ],
  [
    'a user who changes the own password',
    { step: step('userChangePassword', { name: 'ann' }, 'ann'), etcd: done, quorate: PERMISSION },
    { step: step('userChangePassword', { name: 'bob' }, 'ann') },
    { quorate: NO_TOKEN },
  ],
  [
    'rights that etcd 3.4 does not check',
    { step: step('compact', { revision: 1 }, 'ann'), etcd: done, quorate: PERMISSION },
    { step: step('range', { key: 'a' }, 'ann') },
    { step: step('txn', { success: [{}] }, 'ann') },
  ],
  [
    'rights within nested transactions',
    { step: step('txn', { success: [nested] }, 'ann'), etcd: done, quorate: PERMISSION },
    { step: step('txn', { success: [{ requestPut: { key: 'a' } }] }, 'ann') },
  ],
  [
    'a token while rights are not checked',
    { step: step('put', { key: 'a' }, 'ann'), etcd: NO_TOKEN, quorate: done },
    { step: step('put', { key: 'a' }) },
    { quorate: refused('a fault'), etcd: PERMISSION },
  ],
  [
    'a hash at the compacted revision',
    { step: step('hashKv', { revision: 10 }), etcd: error(11), quorate: done },
    { etcd: error(3) },
    { quorate: error(13) },
  ],
  [
    'a permission for a range without keys',
    {
      step: step('roleGrantPermission', { name: 'one' }),
      etcd: done,
      quorate: refused('invalid auth management'),
    },
    { quorate: PERMISSION },
  ],
  [
    'a transaction that reads more than 4 MiB',
    { step: step('txn', {}), etcd: { a: value, b: value }, quorate: TOO_LARGE },
    { etcd: { a: value } },
    { step: step('range', {}) },
  ],
  [
    'a key of more than 4 KiB',
    { step: step('put', { key: 'a'.repeat(4_100) }), etcd: done, quorate: TOO_LARGE },
    { step: step('put', { key: 'a' }) },
    { etcd: TOO_LARGE, quorate: done },
  ],
  [
    'operations of a transaction',
    { step: step('txn', {}), etcd: done, quorate: refused('too many operations in txn request') },
    { etcd: refused('too many operations in txn request'), quorate: done },
  ],
  [
    'who asks for alarms',
    { step: step('alarm', {}, 'ann'), etcd: PERMISSION, quorate: done },
    { quorate: refused('a fault') },
    { step: step('status', {}, 'ann') },
  ],
  [
    'members that are added or changed',
    { step: step('memberAdd', {}), etcd: error(3), quorate: error(12) },
    { etcd: done },
    { quorate: error(13) },
  ],
]

interface Shown {
  readonly step: Step
  readonly etcd: Json
  readonly quorate: Json
}

/** The names of the listed differences that an exchange shows in a release. */
const shownIn = (release: (typeof RELEASES)[number], shown: Shown): readonly string[] => {
  const exchange = { release, steps: [shown.step], ...shown }
  const own = LISTED.filter((each) => (each.release ?? release) === release && each.shows(exchange))
  const first = own[0]?.isOfResponse === true
  expect(isExpected(exchange)).toBe(first)
  return own.map(({ name }) => name)
}

const EXAMPLES = SHOWN.map(([name, shown, ...others]) => ({ name, shown, others }))

test.each(EXAMPLES)('$name: in its release, and only so', ({ name, shown, others }) => {
  const listed = LISTED.find((each) => each.name === name)
  for (const release of RELEASES) {
    const isOfRelease = (listed?.release ?? release) === release
    expect(shownIn(release, shown).includes(name)).toBe(isOfRelease)
    for (const other of others) expect(shownIn(release, { ...shown, ...other })).not.toContain(name)
  }
})
