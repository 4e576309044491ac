// The routes of leases: grant, keep alive, show, list, revoke.

import { type Command, type LeaseId, RENEW_LEASES_MAX } from '../../kv/index.ts'
import { leaseNumbers, rejection } from '../../kv/rejections.ts'
import type { LeaseNow, NodeApi, Result, Scan } from '../node/types.ts'
import { type Answer, type ApiRequest, answering, jsonAnswer, type Respond, timeLeftMs } from './answer.ts'
import { readIdentity } from './idempotency-headers.ts'
import { bytesJson } from './json.ts'
import { anyOf, arrayOf, boolean, closed, integer, object } from './json-schema.ts'
import { LeaseIdSchema, leaseIdOf, TtlSchema, ttlMsOf } from './lease-values.ts'
import type { HttpLimits } from './limits.ts'
import { flag, integer as integerParameter, READ_PARAMETERS, text } from './parameters.ts'
import { refusedByNode } from './problem.ts'
import { propose, refusalOf, unexpected } from './propose.ts'
import { finish, type Instant, pourSlices, type RangeReader, slicesOf } from './range-reading.ts'
import { freshnessHeaders } from './read-options.ts'
import { type Route, route } from './route.ts'
import { Bytes } from './schemas.ts'

const ttl = { ttl_ms: { ...integer, description: 'It lives so long unless it is kept alive' } }
const Granted = object({ id: LeaseIdSchema, ...ttl })
const lifetimes = {
  granted_ttl_ms: integer,
  remaining_ttl_ms: {
    ...integer,
    description:
      'Unless it is kept alive; on a node that does not lead it may be too low, by lease_checkpoint_ms at most',
  },
}

const Ids = {
  ...arrayOf(LeaseIdSchema),
  minItems: 1,
  maxItems: RENEW_LEASES_MAX,
  description: 'Of the leases',
}

export interface LeasesOptions {
  readonly node: NodeApi
  readonly limits: HttpLimits
  readonly ranges: RangeReader
}

export function leaseRoutes({ node, limits, ranges }: LeasesOptions): Route[] {
  return [
    route(
      {
        method: 'POST',
        path: '/v1/leases',
        summary: 'Grant a lease: its keys are deleted when it ends',
        takesToken: true,
        body: closed(
          object(
            { ttl: TtlSchema },
            { id: { ...LeaseIdSchema, description: 'Unless given, the store chooses one' } },
          ),
        ),
        answers: Granted,
      },
      ({ asked, body }, respond) => {
        const id = body.id === undefined ? undefined : leaseIdOf(body.id, 'id')
        const command: Command = { kind: 'grant', id, ttlMs: ttlMsOf(body.ttl, 'ttl', node) }
        const idempotency = readIdentity(asked.headers)
        propose(node, asked, { command, idempotency }, respond, (outcome, headers) => {
          if (outcome.kind !== 'granted') throw unexpected(outcome)
          const { lease, ttlMs, revision } = outcome
          respond(jsonAnswer(`{"id":"${lease}","ttl_ms":${ttlMs}}`, headers, revision))
        })
      },
    ),
    route(
      {
        method: 'POST',
        path: '/v1/leases/:id/keepalive',
        summary: 'Keep a lease alive: its time to live begins anew',
        body: closed(object({})),
        answers: object(ttl),
      },
      ({ asked, params }, respond) => {
        const id = leaseIdOf(params.id ?? '', 'the lease')
        keepAlive(node, asked, [id], respond, ([ttlMs]) => {
          if (ttlMs === undefined) throw noSuchLease(node, id)
          respond(jsonAnswer(`{"ttl_ms":${ttlMs}}`))
        })
      },
    ),
    route(
      {
        method: 'POST',
        path: '/v1/leases/keepalive',
        summary: 'Keep many leases alive',
        body: closed(object({ ids: Ids })),
        answers: object({
          leases: arrayOf(anyOf(Granted, object({ id: LeaseIdSchema, missing: { const: true } }))),
        }),
      },
      ({ asked, body }, respond) => {
        const ids = body.ids.map((id, at) => leaseIdOf(id, `ids[${at}]`))
        keepAlive(node, asked, ids, respond, (kept) => {
          const leases = ids.map((id, at) => {
            const ttlMs = kept[at]
            return `{"id":"${id}",${ttlMs === undefined ? '"missing":true' : `"ttl_ms":${ttlMs}`}}`
          })
          respond(jsonAnswer(`{"leases":[${leases.join(',')}]}`))
        })
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/leases/:id',
        summary: 'A lease',
        parameters: { keys: flag('Answer with its keys'), ...READ_PARAMETERS },
        answers: object({ id: LeaseIdSchema, ...lifetimes }, { keys: arrayOf(Bytes) }),
      },
      ({ asked, params, values }, respond) => {
        const id = leaseIdOf(params.id ?? '', 'the lease')
        const { keys = false, ...freshness } = values
        const show = async (instant: Instant): Promise<void> => {
          const lease = node.lease(id)
          if (lease === undefined) throw noSuchLease(node, id, freshnessHeaders(instant.grant))
          const { grant } = instant
          const fields = leaseJson(id, lease)
          const { body, ...answer } = jsonAnswer(`{${fields}}`, freshnessHeaders(grant), grant.revision)
          if (keys) await pourKeys(node.keysOfLease(id), fields, instant, answer, respond)
          else respond({ ...answer, body })
        }
        ranges.readInstant(asked, freshness, show, respond)
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/leases',
        summary: 'All leases, in the order of their ids',
        parameters: {
          limit: integerParameter('Leases at most', 1, limits.pageRowsMax),
          after: text('Leases after this id: the `next` of the page before'),
          ...READ_PARAMETERS,
        },
        answers: object(
          { leases: arrayOf(object({ id: LeaseIdSchema, ...lifetimes })), more: boolean, revision: integer },
          { next: LeaseIdSchema },
        ),
      },
      ({ asked, values }, respond) => {
        const { limit = limits.pageRowsDefault, after: given, ...freshness } = values
        const after = given === undefined ? undefined : leaseIdOf(given, 'after')
        const list = async (instant: Instant): Promise<void> => {
          const { leases, more } = await pageOf(node, after, limit, instant)
          const { grant } = instant
          const next = more ? `,"next":"${leases.at(-1)?.id}"` : ''
          const listed = leases.map((lease) => `{${leaseJson(lease.id, lease)}}`).join(',')
          const json = `{"leases":[${listed}],"more":${more}${next},"revision":${grant.revision}}`
          respond(jsonAnswer(json, freshnessHeaders(grant), grant.revision))
        }
        ranges.readInstant(asked, freshness, list, respond)
      },
    ),
    route(
      {
        method: 'DELETE',
        path: '/v1/leases/:id',
        summary: 'Revoke a lease: its keys are deleted at one revision',
        takesToken: true,
        answers: object({ deleted: integer, revision: integer }),
      },
      ({ asked, params }, respond) => {
        const command: Command = { kind: 'revoke', id: leaseIdOf(params.id ?? '', 'the lease') }
        const idempotency = readIdentity(asked.headers)
        propose(node, asked, { command, idempotency }, respond, (outcome, headers) => {
          if (outcome.kind !== 'revoked') throw unexpected(outcome)
          const { deleted, revision } = outcome
          respond(jsonAnswer(`{"deleted":${deleted},"revision":${revision}}`, headers, revision))
        })
      },
    ),
  ]
}

function keepAlive(
  node: NodeApi,
  asked: ApiRequest,
  ids: readonly LeaseId[],
  respond: Respond,
  then: (kept: readonly (number | undefined)[]) => void,
): void {
  const answer = answering(respond, (result: Result<readonly (number | undefined)[]>) => {
    if (!result.ok) throw refusedByNode(result.problem)
    then(result.value)
  })
  node.keepAlive(ids, timeLeftMs(asked), answer)
}

/** As apply refuses it. */
const noSuchLease = (node: NodeApi, id: LeaseId, headers: readonly string[] = []) =>
  refusalOf(rejection(node.revision, 'lease-not-found', leaseNumbers(id)), headers)

const leaseJson = (id: LeaseId, { grantedTtlMs, remainingTtlMs }: LeaseNow): string =>
  `"id":"${id}","granted_ttl_ms":${grantedTtlMs},"remaining_ttl_ms":${remainingTtlMs}`

/** A lease with its keys, which may be many. */
async function pourKeys(
  scan: Scan<Uint8Array>,
  fields: string,
  instant: Instant,
  answer: Omit<Answer, 'body'>,
  respond: Respond,
): Promise<void> {
  let before = `{${fields},"keys":[`
  const text = (keys: readonly Uint8Array[]): string => {
    const json = before + keys.map(bytesJson).join(',')
    before = ','
    return json
  }
  try {
    const all = Number.MAX_SAFE_INTEGER
    await pourSlices(instant, scan, all, { answer, text, end: () => ']}' }, respond)
  } finally {
    scan.close()
  }
}

async function pageOf(node: NodeApi, after: LeaseId | undefined, limit: number, instant: Instant) {
  const scan = node.listLeases(after)
  try {
    const leases: (LeaseNow & { readonly id: LeaseId })[] = []
    let isMore = false
    for await (const { rows, more } of slicesOf(instant, scan, limit)) {
      leases.push(...rows)
      isMore = more === true
    }
    await finish(scan)
    return { leases, more: isMore }
  } finally {
    scan.close()
  }
}
