// A third codec of the API, without a wire: it proves that `api/` needs none.

import type { Condition, Idempotency, KeyRow } from '../../../src/kv/index.ts'
import {
  asRevision,
  BATCH_COMMANDS_MAX,
  RENEW_LEASES_MAX,
  SESSION_SLOTS_MAX,
  TTL_MS_MAX,
  TTL_MS_MIN,
} from '../../../src/kv/index.ts'
import { ApiError } from '../../../src/server/api/errors.ts'
import { Api, execute } from '../../../src/server/api/execute.ts'
import {
  checkedKey,
  checkedValue,
  checkOneLease,
  isToken,
  leaseIdOf,
  putLeaseOf,
  rangeOf,
  rangeToDelete,
  SEQ_MAX,
} from '../../../src/server/api/keys.ts'
import { type ApiLimits, apiLimits } from '../../../src/server/api/limits.ts'
import type { ApiOperation, ApiResult } from '../../../src/server/api/operation.ts'
import { txnOf } from '../../../src/server/api/txn-fields.ts'
import { txnJson } from '../../../src/server/http/txn-json.ts'
import type { NodeApi, ReadGrant } from '../../../src/server/node/types.ts'
import {
  type Expected,
  type ExpectedRecord,
  type Freshness,
  type Identity,
  type KeyChange,
  type PutStep,
  plain,
  type Step,
} from './steps.ts'

/** The API of a node in this process. */
export class InProcess {
  readonly #api: Api

  constructor(node: NodeApi, limits: Partial<ApiLimits> = {}) {
    this.#api = new Api({ node, limits: { ...apiLimits, ...limits }, failed: () => {} })
  }

  run(step: Step): Promise<Expected> {
    const rows: KeyRow[] = []
    const add = (row: KeyRow, bytesMax: number): number => {
      const bytes = row.key.length + row.value.length
      if (bytes <= bytesMax) rows.push(row)
      return bytes
    }
    const call = { deadline: performance.now() + 5000, expansion: 1, isAbandoned: () => false, page: { add } }
    return new Promise((resolve) => {
      try {
        execute(this.#api, operationOf(step), call, (result) => resolve(expectedOf(result, rows, step)))
      } catch (error) {
        resolve(expectedOf(this.#api.errorOf(error), rows, step))
      }
    })
  }
}

const bytes = (given: string | Buffer): Uint8Array =>
  typeof given === 'string' ? Buffer.from(given, 'latin1') : given
const text = (given: Uint8Array): string => Buffer.from(given).toString('latin1')
const optional = (given: string | undefined): Uint8Array | undefined =>
  given === undefined ? undefined : bytes(given)

function idempotencyOf({ token, since, slot: named }: Identity): Idempotency | undefined {
  if (named !== undefined) {
    const [session, slot, seq] = named
    if (session < 1 || slot >= SESSION_SLOTS_MAX || seq < 1 || seq > SEQ_MAX)
      throw new ApiError('bad_request', 'the slot of the session is malformed')
    return { session, slot, seq }
  }
  if (token === undefined) return undefined
  if (!isToken(token)) throw new ApiError('bad_request', 'the token is malformed')
  return { token, since: revisionOf(since) }
}

function freshnessOf({ consistency, maxStalenessMs, minRevision }: Freshness) {
  return { consistency, maxStalenessMs, minRevision: revisionOf(minRevision) }
}

const revisionOf = (revision: number | undefined) =>
  revision === undefined ? undefined : asRevision(revision)

function conditionOf({ ifMatch, ifNoneMatch }: KeyChange): Condition | undefined {
  if (ifMatch === undefined && ifNoneMatch === undefined) return undefined
  const tagsOf = (tags: '*' | readonly number[] | undefined) => (tags === '*' ? 'any' : tags?.map(asRevision))
  return { ifMatch: tagsOf(ifMatch), ifNoneMatch: tagsOf(ifNoneMatch) }
}

function putOf(step: PutStep) {
  const { key, value, lease, ttlMs, prev = false } = step
  checkOneLease(lease, ttlMs, '', 'ttl')
  if (ttlMs !== undefined && (ttlMs < TTL_MS_MIN || ttlMs > TTL_MS_MAX))
    throw new ApiError('bad_request', 'the time to live is out of its bounds')
  return {
    ...{ kind: 'put' as const, key: checkedKey(bytes(key)), value: checkedValue(bytes(value)) },
    ...{ condition: conditionOf(step), prev, lease: putLeaseOf(lease, ttlMs && Math.ceil(ttlMs)) },
  }
}

const deleteOf = (step: KeyChange) => ({
  ...{ kind: 'delete' as const, key: checkedKey(bytes(step.key)) },
  ...{ condition: conditionOf(step), prev: false as const },
})

function operationOf(step: Step): ApiOperation {
  switch (step.op) {
    case 'put':
      return { ...putOf(step), idempotency: idempotencyOf(step) }
    case 'delete':
      return { ...deleteOf(step), idempotency: idempotencyOf(step) }
    case 'get':
      return {
        ...{ kind: 'get', key: checkedKey(bytes(step.key)), revision: revisionOf(step.revision) },
        freshness: freshnessOf(step),
      }
    case 'range': {
      const { prefix, start, end, after, limit = apiLimits.pageRowsDefault } = step
      if (limit > apiLimits.pageRowsMax) throw new ApiError('bad_request', 'the page is too long')
      const range = rangeOf({ prefix: optional(prefix), start: optional(start), end: optional(end) })
      const revision = revisionOf(step.revision)
      const { order, keysOnly, count, countOnly } = step
      return {
        ...{
          kind: 'range',
          range,
          after: optional(after),
          limit,
          order,
          keysOnly,
          count,
          countOnly,
          revision,
        },
        freshness: freshnessOf(step),
      }
    }
    case 'batch': {
      const { changes } = step
      if (changes.length === 0 || changes.length > BATCH_COMMANDS_MAX)
        throw new ApiError('bad_request', 'a batch has 1 to 1000 changes')
      const commands = changes.map((change) =>
        change.op === 'put' ? { ...putOf(change), prev: false as const } : deleteOf(change),
      )
      return { kind: 'batch', commands, idempotency: idempotencyOf(step) }
    }
    case 'delete-range': {
      const bounds = { prefix: optional(step.prefix), start: optional(step.start), end: optional(step.end) }
      const range = rangeToDelete(bounds, step.all)
      return { kind: 'delete-range', range, idempotency: idempotencyOf(step) }
    }
    case 'txn': {
      const txn = txnOf<Buffer>(step.txn, bytes)
      const revision = revisionOf(step.revision)
      return {
        kind: 'txn',
        txn,
        idempotency: idempotencyOf(step),
        revision,
        freshness: freshnessOf(step),
      }
    }
    case 'compact':
      return { kind: 'compact', revision: asRevision(step.revision), idempotency: idempotencyOf(step) }
    case 'keep-alive': {
      const { ids } = step
      if (ids.length === 0 || ids.length > RENEW_LEASES_MAX)
        throw new ApiError('bad_request', 'between 1 and 1000 leases')
      return { kind: 'keep-alive', ids: ids.map((id) => leaseIdOf(id, 'id')), one: false }
    }
    case 'open-session':
      return { kind: 'open-session' }
  }
}

const recordOf = (row: KeyRow): ExpectedRecord => [
  ...([text(row.key), text(row.value), row.createRevision, row.modRevision, row.version] as const),
]

const txnResult = (json = '{}') => plain(JSON.parse(json)) as Expected

const servedAs = ({ revision, served, stalenessMs }: ReadGrant): Expected => ({
  ...{ revision, served },
  ...(stalenessMs === undefined ? {} : { stalenessMs: Math.ceil(stalenessMs) }),
})

function expectedOf(result: ApiResult, rows: readonly KeyRow[], step: Step): Expected {
  if (result instanceof ApiError) return errorOf(result)
  switch (result.kind) {
    case 'applied': {
      const { outcome, replayed, txn } = result
      const { revision } = outcome
      switch (outcome.kind) {
        case 'put': {
          const { createRevision, modRevision, version, prev } = outcome
          return {
            revision,
            replayed,
            put: [createRevision, modRevision, version],
            prev: prev && recordOf(prev),
          } as Expected
        }
        case 'delete':
        case 'delete-range':
          return { revision, replayed, deleted: outcome.deleted }
        case 'batch':
          return {
            ...{ revision, replayed },
            results: outcome.outcomes.map((each) => {
              if (each.kind === 'put') return [each.createRevision, each.modRevision, each.version]
              if (each.kind === 'delete') return { deleted: each.deleted, revision: each.revision }
              return each.kind === 'refused' ? each.code : 'precondition_failed'
            }),
          }
        case 'txn':
          return { ...txnResult(txn && txnJson(txn, outcome, revision)), replayed }
        case 'compacted':
          return { revision, replayed, compactRevision: outcome.compactRevision }
        case 'session':
          return { revision, session: outcome.session }
        default:
          throw new Error(`the table has no ${outcome.kind}`)
      }
    }
    case 'found': {
      const { grant, row } = result
      return { ...servedAs(grant), record: row === undefined ? null : recordOf(row) }
    }
    case 'page': {
      const { grant, more, count = null } = result
      const keysOnly = step.op === 'range' && step.keysOnly
      const records = rows.map((row): ExpectedRecord => {
        const [key, value, create, mod, version] = recordOf(row)
        return [key, keysOnly ? null : value, create, mod, version]
      })
      return { ...servedAs(grant), records, more, count }
    }
    case 'txn-read': {
      const { grant, txn, result: outcome } = result
      return { ...txnResult(txnJson(txn, outcome, grant.revision)), ...servedAs(grant) }
    }
    case 'kept-alive':
      return { ttlsMs: result.ttlsMs.map((ttlMs) => ttlMs ?? null) }
    default:
      throw new Error(`the table has no ${result.kind}`)
  }
}

function errorOf({ code, message, written, revision, replayed, members, current }: ApiError): Expected {
  const found = current && {
    ...{ key: text(current.key), create_revision: current.createRevision },
    ...{ mod_revision: current.modRevision, version: current.version },
    ...(current.lease === undefined ? {} : { lease: current.lease }),
  }
  const compactRevision = members.compact_revision as number | undefined
  const count = members.count as number | undefined
  return {
    ...{ code, detail: message, written, replayed },
    ...(count === undefined ? {} : { count }),
    ...(revision === undefined ? {} : { revision }),
    ...(current === undefined ? {} : { current: found }),
    ...(compactRevision === undefined ? {} : { compactRevision }),
  }
}
