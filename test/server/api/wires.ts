// Clients of HTTP and of multiplexed connections for the conformance table: steps become requests, responses become
// results.

import type { FakeNode } from '../http/fake-node.ts'
import { Client, onNodeHttp } from '../http/raw-client.ts'
import { JSON_TYPE, type Served } from '../http/served.ts'
import {
  CHANGES,
  COMPACT,
  DELETE,
  DELETE_RANGE,
  GET,
  MuxClient,
  OPEN_SESSION,
  PUT,
  RANGE,
  TXN,
} from '../mux/mux-client.ts'
import type { Expected, ExpectedRecord, Freshness, KeyChange, PutStep, Step } from './conformance-table.ts'
import { InProcess } from './in-process.ts'

/** Executes one step, and returns everything that a client learns. */
export type Run = (step: Step) => Promise<Expected>

type Wire = Record<string, unknown>

export const WIRES: readonly (readonly [name: string, open: (served: Served) => Promise<Run>])[] = [
  ['HTTP, raw reader', async (served) => overHttp(new Client(served.port), served)],
  ['HTTP, node:http', async (served) => overHttp(await onNodeHttp(served), served)],
  ['a multiplexed connection', async ({ port }) => overMux(await new MuxClient(port).open())],
  [
    'in process',
    async ({ node }: { readonly node: FakeNode }) => {
      const inProcess = new InProcess(node)
      return (step) => inProcess.run(step)
    },
  ],
]

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')

/** Bytes of JSON or of MessagePack as latin1. */
function textOf(given: unknown): string {
  if (Buffer.isBuffer(given)) return given.toString('latin1')
  if (typeof given === 'string') return Buffer.from(given).toString('latin1')
  return Buffer.from((given as { base64: string }).base64, 'base64').toString('latin1')
}

const jsonBytes = (text: string) => {
  const bytes = latin1(text)
  const utf8 = bytes.toString('utf8')
  return Buffer.from(utf8).equals(bytes) ? utf8 : { base64: bytes.toString('base64') }
}

/** Fields whose value is undefined are left out. */
const defined = (fields: object): Wire =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

/** A result of a transaction with its bytes as text. */
function plain(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.toString('latin1')
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]))
}

// ---------------------------------------------------------------------------------------------------------------------
// HTTP

const escaped = (text: string): string =>
  [...latin1(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')

const tagsOf = (tags: '*' | readonly number[]): string =>
  tags === '*' ? '*' : tags.map((tag) => `"${tag}"`).join(', ')

function headersOf({ ifMatch, ifNoneMatch, token }: Partial<KeyChange>): Record<string, string> {
  const headers: Record<string, string> = {}
  if (ifMatch !== undefined) headers['If-Match'] = tagsOf(ifMatch)
  if (ifNoneMatch !== undefined) headers['If-None-Match'] = tagsOf(ifNoneMatch)
  if (token !== undefined) headers['Idempotency-Key'] = token
  return headers
}

const queryOf = (parameters: object): string => {
  const pairs = Object.entries(parameters).filter(([, value]) => value !== undefined)
  return pairs.length === 0 ? '' : `?${pairs.map(([name, value]) => `${name}=${value}`).join('&')}`
}

const freshnessOf = ({ consistency, maxStalenessMs, minRevision, revision }: Freshness) => ({
  ...{ consistency, min_revision: minRevision, revision },
  max_staleness: maxStalenessMs === undefined ? undefined : `${maxStalenessMs}ms`,
})

const jsonChange = (change: PutStep | (KeyChange & { readonly op: 'delete' })) => {
  const target = { key: jsonBytes(change.key), if_match: change.ifMatch, if_none_match: change.ifNoneMatch }
  if (change.op === 'delete') return { delete: defined(target) }
  const { value, lease, ttlMs } = change
  const ttl = ttlMs === undefined ? undefined : `${ttlMs}ms`
  return { put: defined({ ...target, value: jsonBytes(value), lease, ttl }) }
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
      const { prefix, start, end, after, limit, order, keysOnly, count, countOnly } = step
      const bounds = Object.entries({ prefix, start, end, after }).map(([name, bound]) => [
        ...[name, bound === undefined ? undefined : escaped(bound)],
      ])
      const options = { limit, order, keys_only: keysOnly, count, count_only: countOnly }
      return {
        line: `GET /v1/kv${queryOf({ ...Object.fromEntries(bounds), ...options, ...freshnessOf(step) })}`,
      }
    }
    case 'batch':
      return post(
        '/v1/changes',
        { changes: step.changes.map(jsonChange) },
        headersOf({ token: step.token } as KeyChange),
      )
    case 'delete-range': {
      const { prefix, start, end, all, token } = step
      return {
        line: `DELETE /v1/kv${queryOf({ prefix, start, end, all })}`,
        headers: headersOf({ token } as KeyChange),
      }
    }
    case 'txn':
      return post(
        `/v1/txn${queryOf(freshnessOf(step))}`,
        step.txn,
        headersOf({ token: step.token } as KeyChange),
      )
    case 'compact':
      return post('/v1/compact', { revision: step.revision }, headersOf({ token: step.token } as KeyChange))
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
    const result: Wire = JSON.parse(latin1(json).toString('utf8'))
    const revision = Number(header('Kv-Revision'))
    const served = header('Kv-Consistency')
    const replayed = header('Idempotency-Replayed') === 'true'
    if (step.op === 'get' && result.code === 'not_found') return defined({ revision, served, record: null })
    if (result.code !== undefined) return { ...errorOf(result, node.problem?.written), revision, replayed }
    return defined({ ...resultOf(step, result), revision, served, replayed })
  }
}

const recordOf = ({ key, value, create_revision, mod_revision, version }: Wire): ExpectedRecord => [
  ...([textOf(key), value === undefined ? null : textOf(value)] as const),
  ...([Number(create_revision), Number(mod_revision), Number(version)] as const),
]

/** Over HTTP, the error code of a change implies whether it may have been made. */
const errorOf = ({ code, compact_revision, current }: Wire, written = 'no'): Expected =>
  defined({ code, current: plain(current), compactRevision: compact_revision, written })

function resultOf(step: Step, result: Wire): Expected {
  switch (step.op) {
    case 'put': {
      const { create_revision, mod_revision, version, prev } = result
      const before = prev === undefined || prev === null ? prev : recordOf(prev as Wire)
      return { put: [create_revision, mod_revision, version], prev: before } as Expected
    }
    case 'get':
      return { record: recordOf(result) }
    case 'range': {
      const { kvs, more, count = null } = result
      return { records: (kvs as Wire[]).map(recordOf), more, count } as Expected
    }
    case 'batch': {
      const each = ({ put, delete: removed, problem }: Record<string, Wire | undefined>) =>
        removed ?? problem?.code ?? [put?.create_revision, put?.mod_revision, put?.version]
      return { results: (result.results as Record<string, Wire>[]).map(each) }
    }
    case 'compact':
      return { compactRevision: result.compact_revision } as Expected
    case 'keep-alive':
      return { ttlsMs: (result.leases as Wire[]).map(({ ttl_ms }) => ttl_ms ?? null) } as Expected
    default:
      return plain(result) as Expected
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Multiplexed connections

const [KEEP_ALIVE] = [10]

const muxFreshness = ({ consistency, maxStalenessMs }: Freshness) =>
  consistency === undefined && maxStalenessMs === undefined
    ? null
    : defined({ consistency, max_staleness_ms: maxStalenessMs })

const options = (step: PutStep | (KeyChange & { readonly op: 'delete' })) => {
  const { ifMatch, ifNoneMatch } = step
  const { prev, lease, ttlMs } = step.op === 'put' ? step : ({} as Partial<PutStep>)
  return defined({ if_match: ifMatch, if_none_match: ifNoneMatch, prev, lease, ttl_ms: ttlMs })
}

const tokenOf = (token: string | undefined) => (token === undefined ? null : [token])

function fieldsOf(step: Step): readonly unknown[] {
  switch (step.op) {
    case 'put':
      return [PUT, null, latin1(step.key), latin1(step.value), tokenOf(step.token), options(step)]
    case 'delete':
      return [DELETE, null, latin1(step.key), tokenOf(step.token), options(step)]
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
      const { prefix, start, end, after, limit, order, keysOnly, count, countOnly, revision } = step
      const range = {
        prefix,
        start,
        end,
        after,
        limit,
        order,
        keys_only: keysOnly,
        count,
        count_only: countOnly,
        revision,
      }
      return [RANGE, null, defined(range), step.minRevision ?? null, muxFreshness(step)]
    }
    case 'batch': {
      const changes = step.changes.map((change) =>
        change.op === 'put'
          ? [PUT, latin1(change.key), latin1(change.value), options(change)]
          : [DELETE, latin1(change.key), options(change)],
      )
      return [CHANGES, null, changes, tokenOf(step.token)]
    }
    case 'delete-range': {
      const { prefix, start, end, all, token } = step
      return [DELETE_RANGE, null, defined({ prefix, start, end, all }), tokenOf(token)]
    }
    case 'txn':
      return [TXN, null, step.txn, tokenOf(step.token), step.minRevision ?? null, muxFreshness(step)]
    case 'compact':
      return [COMPACT, null, step.revision, tokenOf(step.token)]
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
      return defined({ ...errorOf(problem, problem.written), revision: revision ?? undefined, replayed })
    }
    return defined(muxResult(step, fields))
  }
}

const itemRecord = (key: string | undefined, fields: unknown): ExpectedRecord | null => {
  if (fields === null) return null
  const [given, value, create, mod, version] = fields as [unknown, unknown, number, number, number]
  return [key ?? textOf(given), value === null ? null : textOf(value), create, mod, version]
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
      const [record, served] = fields
      return { revision, record: itemRecord(step.key, record), served }
    }
    case 'range': {
      const [records, more, count, served] = fields
      return {
        revision,
        records: records.map((each: unknown) => itemRecord(undefined, each)),
        more,
        count,
        served,
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
      const [result, replayed, served] = fields
      return { ...(plain(result) as Expected), revision, replayed, served }
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
