// Clients of every wire for the conformance table: steps become requests, responses become results.

import { expect } from 'vitest'
import { PROBLEMS } from '../../../src/operations/forms/index.ts'
import { ETCD_WIRES } from '../etcd/wires.ts'
import { Client, statusOf } from '../http/raw-client.ts'
import { JSON_TYPE, type Served } from '../http/served.ts'
import {
  CHANGES,
  COMPACT,
  DELETE,
  DELETE_RANGE,
  GET,
  KEEP_ALIVE,
  MuxClient,
  OPEN_SESSION,
  PUT,
  RANGE,
  TXN,
} from '../mux/mux-client.ts'
import { isForEtcd, isSaid, runInEtcd, toldByEtcd } from './etcd-steps.ts'
import {
  type Case,
  type DeleteStep,
  type Expected,
  type ExpectedRecord,
  type Freshness,
  type Identity,
  type KeyChange,
  type PutStep,
  plain,
  type RangeStep,
  type Step,
} from './steps.ts'

/** Executes one step, and returns everything that a client learns. */
export type Run = (step: Step) => Promise<Expected>

type Fields = Record<string, unknown>

export interface Wire {
  readonly name: string
  readonly open: (served: Served) => Promise<Run>
  /** The result that a client of this wire learns where the table has `expected`. */
  readonly told: (step: Step, expected: Expected) => Expected
  readonly has: (each: Case) => boolean
}

const hasAll = (): boolean => true

export const WIRES: readonly Wire[] = [
  {
    name: 'HTTP',
    // It moves to node:http at its first request that is not for one key. The transcripts show that both readers lead
    // to the same answers.
    open: async (served) => overHttp(new Client(served.port), served),
    told: toldByHttp,
    has: hasAll,
  },
  {
    name: 'a multiplexed connection',
    open: async ({ port }) => overMux(await new MuxClient(port).open()),
    // Its problems of reads do not say whether something was written.
    told: (step, { written, ...rest }) =>
      toldByHttp(step, isReading(step) || written === undefined ? rest : { ...rest, written }),
    has: hasAll,
  },
  ...ETCD_WIRES.map(
    ([name, open]): Wire => ({
      name,
      open: async (served) => {
        const [call, http] = [open(served.port), overHttp(new Client(served.port), served)]
        return (step) => (isSaid(step) ? runInEtcd(call, step) : http(step))
      },
      told: (step, expected) => (isSaid(step) ? toldByEtcd(expected) : toldByHttp(step, expected)),
      has: isForEtcd,
    }),
  ),
]

const isReading = ({ op }: Step): boolean => op === 'get' || op === 'range' || op === 'keep-alive'

/** The sentence of an error has this part. */
function toldByHttp(_: Step, { detail, etcd, ...expected }: Expected): Expected {
  return detail === undefined ? expected : { ...expected, detail: expect.stringContaining(detail) }
}

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')

/** Fields whose value is undefined are left out. */
const defined = (fields: object): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

/** The sentence, status and code of a problem document are those of its code. */
function checkedProblem(problem: Fields): Fields {
  const { status, title } = PROBLEMS[problem.code as keyof typeof PROBLEMS]
  expect(problem).toMatchObject({ type: `urn:quorate:problem:${problem.code}`, status, title })
  return problem
}

// ---------------------------------------------------------------------------------------------------------------------
// HTTP

const escaped = (text: string): string =>
  [...latin1(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')

const tagsOf = (tags: '*' | readonly number[]): string =>
  tags === '*' ? '*' : tags.map((tag) => `"${tag}"`).join(', ')

function headersOf({ ifMatch, ifNoneMatch, token, since, slot }: Partial<KeyChange>): Record<string, string> {
  const headers: Record<string, string> = {}
  if (ifMatch !== undefined) headers['If-Match'] = tagsOf(ifMatch)
  if (ifNoneMatch !== undefined) headers['If-None-Match'] = tagsOf(ifNoneMatch)
  if (token !== undefined)
    headers['Idempotency-Key'] = since === undefined ? token : `${token};since=${since}`
  if (slot !== undefined) headers['Kv-Session'] = `${slot[0]};slot=${slot[1]};seq=${slot[2]}`
  return headers
}

const queryOf = (parameters: object): string => {
  const pairs = Object.entries(parameters).filter(([, value]) => value !== undefined)
  return pairs.length === 0 ? '' : `?${pairs.map(([name, value]) => `${name}=${value}`).join('&')}`
}

type Bounds = Pick<RangeStep, 'prefix' | 'start' | 'end' | 'after'>

const boundsOf = ({ prefix, start, end, after }: Bounds) => {
  const bounds = Object.entries({ prefix, start, end, after })
  return Object.fromEntries(
    bounds.map(([name, bound]) => [name, bound === undefined ? bound : escaped(bound)]),
  )
}

const freshnessOf = ({ consistency, maxStalenessMs, minRevision, revision }: Freshness) => ({
  ...{ consistency, min_revision: minRevision, revision },
  max_staleness: maxStalenessMs === undefined ? undefined : `${maxStalenessMs}ms`,
})

/** Bytes as JSON has them: a string if they are UTF-8. */
const jsonBytes = (bytes: Buffer) => {
  const utf8 = bytes.toString('utf8')
  return Buffer.from(utf8).equals(bytes) ? utf8 : { base64: bytes.toString('base64') }
}

function jsonOf(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return jsonBytes(value)
  if (Array.isArray(value)) return value.map(jsonOf)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, jsonOf(each)]))
}

const jsonChange = (change: PutStep | DeleteStep) => {
  const target = {
    key: jsonBytes(latin1(change.key)),
    if_match: change.ifMatch,
    if_none_match: change.ifNoneMatch,
  }
  if (change.op === 'delete') return { delete: defined(target) }
  const { value, lease, ttlMs } = change
  const ttl = ttlMs === undefined ? undefined : `${ttlMs}ms`
  return { put: defined({ ...target, value: jsonBytes(latin1(value)), lease, ttl }) }
}

interface SentRequest {
  readonly line: string
  readonly headers?: Record<string, string>
  readonly body?: string
}

const post = (path: string, body: object, headers = {}): SentRequest => ({
  ...{ line: `POST ${path}`, headers: { ...JSON_TYPE, ...headers }, body: JSON.stringify(body) },
})

function requestOf(step: Step): SentRequest {
  switch (step.op) {
    case 'put': {
      const { key, value, prev, lease, ttlMs } = step
      const query = queryOf({ prev, lease, ttl: ttlMs === undefined ? undefined : `${ttlMs}ms` })
      return { line: `PUT /v1/kv/${escaped(key)}${query}`, headers: headersOf(step), body: value }
    }
    case 'delete':
      return { line: `DELETE /v1/kv/${escaped(step.key)}`, headers: headersOf(step) }
    case 'get': {
      const headers = { Accept: 'application/json' }
      return { line: `GET /v1/kv/${escaped(step.key)}${queryOf(freshnessOf(step))}`, headers }
    }
    case 'range': {
      const { limit, order, keysOnly, count, countOnly } = step
      const options = { limit, order, keys_only: keysOnly, count, count_only: countOnly }
      return { line: `GET /v1/kv${queryOf({ ...boundsOf(step), ...options, ...freshnessOf(step) })}` }
    }
    case 'batch':
      return post('/v1/changes', { changes: step.changes.map(jsonChange) }, headersOf(step))
    case 'delete-range': {
      const { all } = step
      return { line: `DELETE /v1/kv${queryOf({ ...boundsOf(step), all })}`, headers: headersOf(step) }
    }
    case 'txn':
      return post(`/v1/txn${queryOf(freshnessOf(step))}`, jsonOf(step.txn) as object, headersOf(step))
    case 'compact':
      return post('/v1/compact', { revision: step.revision }, headersOf(step))
    case 'keep-alive':
      return post('/v1/leases/keepalive', { ids: step.ids })
    case 'open-session':
      return post('/v1/sessions', {})
  }
}

function overHttp(client: Client, { node }: Served): Run {
  return async (step) => {
    const { line, headers = {}, body } = requestOf(step)
    const length = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body, 'latin1') }
    const fields = Object.entries({ Host: 'localhost', ...headers, ...length })
    const head = [`${line} HTTP/1.1`, ...fields.map(([name, value]) => `${name}: ${value}`)].join('\r\n')
    await client.send(`${head}\r\n\r\n${body ?? ''}`)
    const answer = (await client.answer()) ?? ''
    const [answerHead = '', json = ''] = answer.split('\r\n\r\n')
    const header = (name: string) => new RegExp(`\r\n${name}: ([^\r]*)`, 'i').exec(answerHead)?.[1]
    const result: Fields = JSON.parse(latin1(json).toString('utf8'))
    const revision = Number(header('Kv-Revision'))
    const served = header('Kv-Consistency')
    const replayed = header('Idempotency-Replayed') === 'true'
    const staleness = header('Kv-Staleness-Ms')
    const stalenessMs = staleness === undefined ? undefined : Number(staleness)
    if (result.code !== undefined) {
      expect(checkedProblem(result).status).toBe(statusOf(answer))
      expect(header('Content-Type')).toBe('application/problem+json')
      expect(header('Retry-After') === undefined).toBe(result.retry_after_ms === undefined)
    }
    if (result.code === undefined) expect(statusOf(answer)).toBe(200)
    if (step.op === 'get' && result.code === 'not_found')
      return defined({ revision, served, stalenessMs, record: null })
    if (result.code !== undefined) return { ...errorOf(result, node.problem?.written), revision, replayed }
    return defined({ ...resultOf(step, result), revision, served, stalenessMs, replayed })
  }
}

const recordOf = ({ key, value, create_revision, mod_revision, version }: Fields): ExpectedRecord => [
  ...([String(plain(key)), value === undefined ? null : String(plain(value))] as const),
  ...([Number(create_revision), Number(mod_revision), Number(version)] as const),
]

/** Over HTTP, the code of a change says whether it may have been made. */
const errorOf = ({ code, detail, compact_revision, current, count }: Fields, written = 'no'): Expected =>
  defined({ code, detail, current: plain(current), compactRevision: compact_revision, count, written })

function resultOf(step: Step, result: Fields): Expected {
  switch (step.op) {
    case 'put': {
      const { create_revision, mod_revision, version, prev } = result
      const before = prev === undefined || prev === null ? prev : recordOf(prev as Fields)
      return { put: [create_revision, mod_revision, version], prev: before } as Expected
    }
    case 'get':
      return { record: recordOf(result) }
    case 'range': {
      const { kvs, more, count = null } = result
      return { records: (kvs as Fields[]).map(recordOf), more, count } as Expected
    }
    case 'batch': {
      const each = ({ put, delete: removed, problem }: Record<string, Fields | undefined>) =>
        removed ?? problem?.code ?? [put?.create_revision, put?.mod_revision, put?.version]
      return { results: (result.results as Record<string, Fields>[]).map(each) }
    }
    case 'compact':
      return { compactRevision: result.compact_revision } as Expected
    case 'keep-alive':
      return { ttlsMs: (result.leases as Fields[]).map(({ ttl_ms }) => ttl_ms ?? null) } as Expected
    default:
      return plain(result) as Expected
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Multiplexed connections

const muxFreshness = ({ consistency, maxStalenessMs }: Freshness) =>
  consistency === undefined && maxStalenessMs === undefined
    ? null
    : defined({ consistency, max_staleness_ms: maxStalenessMs })

const options = (step: PutStep | DeleteStep) => {
  const { ifMatch, ifNoneMatch } = step
  const { prev, lease, ttlMs } = step.op === 'put' ? step : ({} as Partial<PutStep>)
  return defined({ if_match: ifMatch, if_none_match: ifNoneMatch, prev, lease, ttl_ms: ttlMs })
}

const bytesOf = ({ prefix, start, end, after }: Bounds) => {
  const bounds = Object.entries(defined({ prefix, start, end, after }))
  return Object.fromEntries(bounds.map(([name, bound]) => [name, latin1(String(bound))]))
}

const identityOf = ({ token, since, slot }: Identity) => {
  if (slot !== undefined) return slot
  if (token === undefined) return null
  return since === undefined ? [token] : [token, since]
}

function fieldsOf(step: Step): readonly unknown[] {
  switch (step.op) {
    case 'put':
      return [PUT, null, latin1(step.key), latin1(step.value), identityOf(step), options(step)]
    case 'delete':
      return [DELETE, null, latin1(step.key), identityOf(step), options(step)]
    case 'get':
      return [
        GET,
        null,
        latin1(step.key),
        step.minRevision ?? null,
        muxFreshness(step),
        step.revision ?? null,
      ]
    case 'range': {
      const { limit, order, keysOnly, count, countOnly, revision } = step
      const options = { limit, order, keys_only: keysOnly, count, count_only: countOnly, revision }
      return [
        RANGE,
        null,
        { ...bytesOf(step), ...defined(options) },
        step.minRevision ?? null,
        muxFreshness(step),
      ]
    }
    case 'batch': {
      const changes = step.changes.map((change) =>
        change.op === 'put'
          ? [PUT, latin1(change.key), latin1(change.value), options(change)]
          : [DELETE, latin1(change.key), options(change)],
      )
      return [CHANGES, null, changes, identityOf(step)]
    }
    case 'delete-range': {
      return [DELETE_RANGE, null, { ...bytesOf(step), ...defined({ all: step.all }) }, identityOf(step)]
    }
    case 'txn':
      return [TXN, null, step.txn, identityOf(step), step.minRevision ?? null, muxFreshness(step)]
    case 'compact':
      return [COMPACT, null, step.revision, identityOf(step)]
    case 'keep-alive':
      return [KEEP_ALIVE, null, step.ids]
    case 'open-session':
      return [OPEN_SESSION, null]
  }
}

function overMux(client: MuxClient): Run {
  let id = 0
  return async (step) => {
    id++
    const [, kind, ...fields] = await client.ask(id, ...fieldsOf(step))
    if (kind === 1) {
      const [problem, revision, replayed] = fields
      checkedProblem(problem)
      return defined({ ...errorOf(problem, problem.written), revision: revision ?? undefined, replayed })
    }
    return defined(muxResult(step, fields))
  }
}

const itemRecord = (key: string | undefined, fields: unknown): ExpectedRecord | null => {
  if (fields === null) return null
  const [given, value, create, mod, version] = fields as [unknown, unknown, number, number, number]
  return [key ?? String(plain(given)), value === null ? null : String(plain(value)), create, mod, version]
}

// biome-ignore lint/suspicious/noExplicitAny: what came over the wire is checked by the expectations themselves
function muxResult(step: Step, [revision, ...fields]: readonly any[]): Expected {
  switch (step.op) {
    case 'put': {
      const [create, mod, version, replayed, prev] = fields
      const before = prev === undefined ? undefined : itemRecord(undefined, prev)
      return { revision, put: [create, mod, version], replayed, prev: before } as Expected
    }
    case 'delete':
    case 'delete-range': {
      const [deleted, replayed] = fields
      return { revision, deleted, replayed }
    }
    case 'get': {
      const [record, served, stalenessMs] = fields
      return { revision, record: itemRecord(step.key, record), served, stalenessMs }
    }
    case 'range': {
      const [records, more, count, served, stalenessMs] = fields
      return {
        ...{ revision, more, count, served, stalenessMs },
        records: records.map((each: unknown) => itemRecord(undefined, each)),
      }
    }
    case 'batch': {
      const [outcomes, replayed] = fields
      const each = (outcome: number[] | { code: string }) => {
        if (!Array.isArray(outcome)) return outcome.code
        return outcome.length === 3 ? outcome : { deleted: outcome[0], revision: outcome[1] }
      }
      return { revision, results: outcomes.map(each), replayed }
    }
    case 'txn': {
      const [result, replayed, served, stalenessMs] = fields
      return { ...(plain(result) as Expected), revision, replayed, served, stalenessMs }
    }
    case 'compact': {
      const [compactRevision, replayed] = fields
      return { revision, compactRevision, replayed }
    }
    case 'keep-alive':
      return { ttlsMs: fields[0] }
    case 'open-session':
      return { revision, session: fields[0] }
  }
}
