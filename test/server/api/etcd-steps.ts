// Steps of the conformance table as RPCs of etcd, and what a client learns from their responses. What etcd's API cannot
// say is named in UNSAID.

import { expect } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { prefixEnd } from '../../../src/operations/forms/index.ts'
import { base64, type CallEtcd, type EtcdAnswer, fromBase64, type Json } from '../etcd/wires.ts'
import type { Case, Expected, ExpectedRecord, KeyChange, RangeStep, Step } from './steps.ts'

/** Steps for which etcd has no words, by the reason. They are made over HTTP, so that their story continues. */
export const UNSAID: Readonly<Record<string, (step: Step) => boolean>> = {
  'a change that is made once under a name': (step) => 'token' in step || 'slot' in step,
  'a batch of changes': ({ op }) => op === 'batch',
  'a session of a client': ({ op }) => op === 'open-session',
  'a time to live of a put': (step) => 'ttlMs' in step || /"ttl":/.test(JSON.stringify(step)),
  'one of several revisions': (step) =>
    'ifMatch' in step && Array.isArray(step.ifMatch) && step.ifMatch.length > 1,
  'a revision that a condition excludes together with one that it names': (step) =>
    'ifMatch' in step && 'ifNoneMatch' in step,
  'a read by the lease of the leader, or as stale as the client says': (step) =>
    ('consistency' in step && step.consistency === 'lease') ||
    'maxStalenessMs' in step ||
    'minRevision' in step,
  'a transaction that is a stale read': (step) => step.op === 'txn' && 'consistency' in step,
  'a range that has no key for sure, or two forms': (step) =>
    (step.op === 'range' || step.op === 'delete-range') && sayBounds(step) === undefined,
  'a range to delete without a bound': (step) =>
    step.op === 'delete-range' && (step.prefix ?? step.start ?? step.end) === undefined,
  'the number of keys of a range of which a page is read': (step) =>
    step.op === 'range' && step.after !== undefined && step.count === true,
  'all keys, only after a confirmation': (step) =>
    step.op === 'delete-range' &&
    step.all !== true &&
    fromBase64(sayBounds(step)?.range_end) === '\0' &&
    !step.start,
  'a page, which etcd does not limit': (step) => step.op === 'range' && (step.limit ?? 0) > 10_000,
  'a request that is no transaction of etcd': (step) => step.op === 'txn' && sayTxn(step.txn) === undefined,
  'an id of a lease that is no number of 64 bits, or 0': (step) =>
    (step.op === 'put' && step.lease !== undefined && !isLeaseId(step.lease)) ||
    (step.op === 'keep-alive' && !step.ids.every(isLeaseId)),
  'renewals of one request, which is a stream in etcd': (step) =>
    step.op === 'keep-alive' && (step.ids.length === 0 || step.ids.length > 1000),
}

/** Cases about what etcd has not, or has otherwise. */
export const OTHER_CASES: Readonly<Record<string, string>> = {
  'a page ends at the first record that does not fit, and has one at least': 'a range of etcd has no pages',
  'a get of a range with a limit reads one key more than its limit, however many there are':
    'etcd counts the keys of every range',
  'no branch of a transaction changes a key twice': 'etcd knows no keys that follow all others',
}

export const isSaid = (step: Step): boolean => !Object.values(UNSAID).some((holds) => holds(step))
export const isForEtcd = ({ title }: Case): boolean => OTHER_CASES[title] === undefined

const isLeaseId = (id: string): boolean => /^[1-9][0-9]{0,18}$/.test(id) && BigInt(id) < 2n ** 63n

// ---------------------------------------------------------------------------------------------------------------------
// Requests

type Bounds = Pick<RangeStep, 'prefix' | 'start' | 'end' | 'after' | 'order'>

/** A range from its first key on; a zero byte stands for no end. */
const sayRange = (start: string, end: string | undefined) =>
  end === '\0' || end === ''
    ? undefined
    : { key: base64(start === '' ? '\0' : start), range_end: base64(end ?? '\0') }

function sayPrefix(prefix: string) {
  const end = prefixEnd(Buffer.from(prefix, 'latin1'))
  return sayRange(prefix, end && Buffer.from(end).toString('latin1'))
}

/** undefined: etcd has no such range. */
function sayBounds({ prefix, start, end, after, order }: Bounds) {
  if (prefix !== undefined && (start !== undefined || end !== undefined)) return undefined
  const last = prefix === undefined ? end : fromBase64(sayPrefix(prefix)?.range_end)
  const bound = last === '\0' && prefix !== undefined ? undefined : last
  const first = prefix ?? start ?? ''
  if (after === undefined) return sayRange(first, bound)
  if (order === 'desc')
    return after === '' ? undefined : sayRange(first, bound === undefined || after < bound ? after : bound)
  return sayRange(first > `${after}\0` ? first : `${after}\0`, bound)
}

const OPERATORS: Readonly<Record<string, string>> = {
  '=': 'EQUAL',
  '!=': 'NOT_EQUAL',
  '<': 'LESS',
  '>': 'GREATER',
}
const TARGETS: Readonly<Record<string, readonly [target: string, field: string]>> = {
  version: ['VERSION', 'version'],
  create_revision: ['CREATE', 'create_revision'],
  mod_revision: ['MOD', 'mod_revision'],
  lease: ['LEASE', 'lease'],
  value: ['VALUE', 'value'],
}

const latin1Of = (bytes: string | Buffer): string =>
  typeof bytes === 'string' ? Buffer.from(bytes).toString('latin1') : bytes.toString('latin1')

/** Throws `Error` for what etcd has no form for. */
function sayWhere({ key, prefix, start, end }: Json) {
  const bounds = [prefix, start, end].filter((bound) => bound !== undefined)
  if ((key === undefined) === (bounds.length === 0)) throw new Error('one key or one range')
  if (key !== undefined) return { key: base64(latin1Of(key)) }
  const latin1 = (bound: string | Buffer | undefined) => bound && latin1Of(bound)
  const range = sayBounds({
    prefix: prefix === '' ? '' : latin1(prefix),
    start: latin1(start),
    end: latin1(end),
  } as Bounds)
  if (range === undefined) throw new Error('no range of etcd')
  return range
}

function sayCompare(comparison: Json) {
  const { exists, target = exists === undefined ? '' : 'version', op, to, ...where } = comparison
  if (exists !== undefined) {
    if ('op' in comparison || where.key === undefined) throw new Error('no comparison of etcd')
    return { ...sayWhere(where), target: 'VERSION', result: exists ? 'GREATER' : 'EQUAL', version: 0 }
  }
  const [name, field] = TARGETS[target] ?? []
  const result = OPERATORS[op]
  const isText = typeof to === 'string' || Buffer.isBuffer(to)
  if (name === undefined || field === undefined || result === undefined || to === undefined)
    throw new Error('no comparison of etcd')
  if (target === 'lease' ? to !== '0' && !isLeaseId(to) : isText !== (target === 'value'))
    throw new Error('no comparison of etcd')
  return { ...sayWhere(where), target: name, result, [field]: target === 'value' ? base64(latin1Of(to)) : to }
}

function sayOperation(operation: Json): object {
  const { put, get, delete: removed, txn } = operation
  if (put !== undefined) {
    const { key, value, prev, lease, ttl } = put
    if (ttl !== undefined || (lease !== undefined && !isLeaseId(lease))) throw new Error('no put of etcd')
    return {
      request_put: { key: base64(latin1Of(key)), value: base64(latin1Of(value)), prev_kv: prev, lease },
    }
  }
  if (get !== undefined) {
    const { limit, keys_only, count, count_only, ...where } = get
    return { request_range: { ...sayWhere(where), limit, keys_only, count_only } }
  }
  if (removed !== undefined) {
    const { prev, ...where } = removed
    return { request_delete_range: { ...sayWhere(where), prev_kv: prev } }
  }
  return { request_txn: say(txn) }
}

const say = ({ compare = [], success = [], failure = [] }: Json) => ({
  compare: compare.map(sayCompare),
  success: success.map(sayOperation),
  failure: failure.map(sayOperation),
})

function sayTxn(txn: Json) {
  try {
    return say(txn)
  } catch {
    return undefined
  }
}

/** The comparisons of a condition; undefined: there is none. */
function sayCondition({ key, ifMatch, ifNoneMatch }: KeyChange) {
  const compare = (result: string, mod: number) => ({
    key: base64(key),
    target: 'MOD',
    result,
    mod_revision: mod,
  })
  if (ifMatch !== undefined)
    // A tag of 0 is no revision: never met.
    return ifMatch === '*'
      ? [compare('GREATER', 0)]
      : ifMatch.flatMap((tag) => [compare('EQUAL', tag), compare('GREATER', 0)])
  if (ifNoneMatch === undefined) return undefined
  return ifNoneMatch === '*' ? [compare('EQUAL', 0)] : ifNoneMatch.map((tag) => compare('NOT_EQUAL', tag))
}

// ---------------------------------------------------------------------------------------------------------------------
// Responses

const numberOf = (text: string | undefined): number => Number(text ?? 0)

const recordOf = (kv: Json, keysOnly = false): ExpectedRecord => [
  ...([fromBase64(kv.key), keysOnly ? null : fromBase64(kv.value)] as const),
  ...([numberOf(kv.create_revision), numberOf(kv.mod_revision), numberOf(kv.version)] as const),
]

function describeRow(kv: Json, keysOnly = false) {
  const [key, value, create_revision, mod_revision, version] = recordOf(kv, keysOnly)
  return {
    ...{ key, create_revision, mod_revision, version },
    ...(value === null ? {} : { value }),
    ...(kv.lease === undefined ? {} : { lease: kv.lease }),
  }
}

const prevOf = (prev: boolean | undefined, kv: Json) =>
  prev ? { prev: kv === undefined ? null : describeRow(kv) } : {}

/** The results of the operations of a branch, in the form of HTTP. */
const resultsOf = (branch: readonly Json[], responses: readonly Json[]): readonly unknown[] =>
  responses.map((response, at) => {
    const { put, get, delete: removed, txn } = branch[at]
    const { response_put, response_range, response_delete_range, response_txn } = response
    if (put !== undefined) return { put: prevOf(put.prev, response_put.prev_kv) }
    if (get !== undefined) {
      const { kvs = [], more = false, count } = response_range
      const rows = kvs.map((kv: Json) => describeRow(kv, get.keys_only))
      const isCounted = get.count === true || get.count_only === true
      return { get: { kvs: rows, more, ...(isCounted ? { count: numberOf(count) } : {}) } }
    }
    if (removed !== undefined) {
      const { deleted, prev_kvs = [] } = response_delete_range
      const prev = removed.prev ? { prev: prev_kvs.map((kv: Json) => describeRow(kv)) } : {}
      return { delete: { deleted: numberOf(deleted), ...prev } }
    }
    const { succeeded = false, responses: inner = [] } = response_txn
    return { txn: { succeeded, results: resultsOf((succeeded ? txn.success : txn.failure) ?? [], inner) } }
  })

// ---------------------------------------------------------------------------------------------------------------------
// Steps

/** Makes a step that etcd can say. */
export async function runInEtcd(call: CallEtcd, step: Step): Promise<Expected> {
  const { answer, result } = await ask(call, step)
  const [first] = answer.responses
  if (answer.error !== undefined) return { code: answer.error }
  return { revision: numberOf(first?.header.revision), ...result(first) }
}

interface Asked {
  readonly answer: EtcdAnswer
  readonly result: (response: Json) => Expected
}

async function ask(call: CallEtcd, step: Step): Promise<Asked> {
  switch (step.op) {
    case 'put': {
      const { key, value, prev, lease } = step
      const put = { key: base64(key), value: base64(value), prev_kv: prev, lease }
      const compare = sayCondition(step)
      if (compare !== undefined) return conditional(call, step.key, compare, { request_put: put })
      const result = ({ prev_kv }: Json) =>
        prev ? { prev: prev_kv === undefined ? null : recordOf(prev_kv) } : {}
      return { answer: await call(RPC.put, put), result }
    }
    case 'delete': {
      const compare = sayCondition(step)
      const removed = { key: base64(step.key) }
      if (compare !== undefined)
        return conditional(call, step.key, compare, { request_delete_range: removed })
      return {
        answer: await call(RPC.deleteRange, removed),
        result: ({ deleted }) => ({ deleted: numberOf(deleted) }),
      }
    }
    case 'get': {
      const { key, consistency, revision } = step
      const request = { key: base64(key), serializable: consistency === 'stale', revision }
      const result = ({ kvs = [] }: Json) => ({ record: kvs[0] === undefined ? null : recordOf(kvs[0]) })
      return { answer: await call(RPC.range, request), result }
    }
    case 'range': {
      // Pages of quorate have 1000 rows by default.
      const { limit = 1000, order, keysOnly, countOnly, consistency, revision } = step
      const request = {
        ...sayBounds(step),
        ...{
          limit,
          keys_only: keysOnly,
          count_only: countOnly,
          serializable: consistency === 'stale',
          revision,
        },
        sort_order: order === 'desc' ? 'DESCEND' : order === 'asc' ? 'ASCEND' : undefined,
      }
      const result = ({ kvs = [], more = false, count }: Json) => ({
        ...{ records: kvs.map((kv: Json) => recordOf(kv, keysOnly)), more, count: numberOf(count) },
      })
      return { answer: await call(RPC.range, request), result }
    }
    case 'delete-range':
      return {
        answer: await call(RPC.deleteRange, sayBounds(step) ?? {}),
        result: ({ deleted }) => ({ deleted: numberOf(deleted) }),
      }
    case 'txn': {
      const { success = [], failure = [] } = step.txn as Json
      const result = ({ succeeded = false, responses = [] }: Json) => ({
        ...{ succeeded, results: resultsOf(succeeded ? success : failure, responses) },
      })
      return { answer: await call(RPC.txn, sayTxn(step.txn) ?? {}), result }
    }
    case 'compact':
      return { answer: await call(RPC.compact, { revision: step.revision }), result: () => ({}) }
    case 'keep-alive': {
      const answer = await call(RPC.leaseKeepAlive, ...step.ids.map((ID) => ({ ID })))
      const ttlsMs = answer.responses.map(({ TTL }) => (TTL === undefined ? null : 1000 * Number(TTL)))
      return { answer, result: () => ({ ttlsMs }) }
    }
    default:
      throw new Error(`etcd has no ${step.op}`)
  }
}

/** A change with a condition is a transaction in etcd, which shows what is there where it does not hold. */
async function conditional(call: CallEtcd, key: string, compare: object[], change: object): Promise<Asked> {
  const failure = [{ request_range: { key: base64(key), keys_only: true } }]
  const result = ({ succeeded, responses }: Json): Expected => {
    if (succeeded) return {}
    const [kv] = responses[0].response_range.kvs ?? []
    return { code: 'precondition_failed', current: kv === undefined ? null : describeRow(kv, true) }
  }
  return { answer: await call(RPC.txn, { compare, success: [change], failure }), result }
}

// ---------------------------------------------------------------------------------------------------------------------
// Expectations

const OUT_OF_RANGE = '11 etcdserver: mvcc: required revision'
const TIMEOUT = '14 etcdserver: request timed out'
const TOO_LARGE = '3 etcdserver: request is too large'
const TEXTS: Readonly<Record<string, string>> = {
  key_empty: '3 etcdserver: key is not provided',
  key_too_long: TOO_LARGE,
  value_too_large: TOO_LARGE,
  request_too_large: TOO_LARGE,
  range_too_large: TOO_LARGE,
  duplicate_key: '3 etcdserver: duplicate key given in txn request',
  too_many_operations: '3 etcdserver: too many operations in txn request',
  compacted: `${OUT_OF_RANGE} has been compacted`,
  future_revision: `${OUT_OF_RANGE} is a future revision`,
  lease_not_found: '5 etcdserver: requested lease not found',
  overloaded: '8 etcdserver: too many requests',
  storage_full: '8 etcdserver: mvcc: database space exceeded',
  no_leader: '14 etcdserver: no leader',
  no_quorum: '14 etcdserver: no leader',
  not_ready: '14 etcdserver: server stopped',
  too_stale: TIMEOUT,
  revision_behind: TIMEOUT,
  outcome_unknown: TIMEOUT,
  // etcd has no such errors.
  internal: '13 etcdserver: ',
  membership_refused: '9 etcdserver: ',
}

/** The result that a client of etcd learns where the others learn `expected`. */
export function toldByEtcd({ etcd, ...expected }: Expected): Expected {
  const { code, revision, current, calls } = { ...expected, ...etcd }
  const asked = calls === undefined ? {} : { calls }
  if (code === 'precondition_failed') return defined({ code, revision, current, ...asked })
  if (code !== undefined) {
    const text = TEXTS[code] ?? expect.fail(`no error of etcd for ${code}`)
    return { code: text.endsWith(' ') ? expect.stringContaining(text) : text, ...asked }
  }
  const { put, served, stalenessMs, replayed, written, count, compactRevision, results, detail, ...told } =
    expected
  return defined({
    ...told,
    ...etcd,
    count: count === null ? undefined : count,
    results: results?.map(toldResult),
  })
}

const defined = (fields: object): Expected =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

/** The result of a put is what was there before. The revision stands in the header of the transaction. */
function toldResult(result: Json): unknown {
  const { put, txn } = result
  if (put !== undefined) return { put: 'prev' in put ? { prev: put.prev } : {} }
  if (txn === undefined) return result
  return { txn: { succeeded: txn.succeeded, results: txn.results.map(toldResult) } }
}
