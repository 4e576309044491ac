// Changes of single keys that are one entry of the log, one after the other. Each has an outcome of its own.

import type { EntryFacts, HttpForm } from './definition.ts'
import type { DeleteOutcome, DeleteRequest } from './delete.ts'
import type { Condition } from './forms/conditions.ts'
import { jsonResponseOf, replayedHeader } from './forms/http.ts'
import { type Idempotency, readIdempotency } from './forms/idempotency.ts'
import { deletedJson, revisionsJson } from './forms/json.ts'
import { decodeJsonBytes, JsonBytes, type JsonBytesValue } from './forms/json-bytes.ts'
import { anyOf, arrayOf, closed, type FromSchema, integer, object, stringOr } from './forms/json-schema.ts'
import { putLeaseOf } from './forms/leases.ts'
import { checkedKey, checkedValue } from './forms/places.ts'
import { ApiError, problemDocument } from './forms/problems.ts'
import { attaching, changing, NO_LEASES } from './forms/rights.ts'
import { route } from './forms/route.ts'
import { ChangeProblem, DeleteAnswer, PUT_LEASE_FIELDS, revisions } from './forms/schemas.ts'
import { asRevision, type Revision } from './forms/store.ts'
import type { PutOutcome, PutRequest } from './put.ts'

export const CHANGES_PATH = '/v1/changes'

/** Limit on the changes of one batch. The layout of an entry has room for 65 535. */
export const BATCH_COMMANDS_MAX = 1000

/** A change of one key. It cannot request the row before it, and has no idempotency of its own. */
export type BatchedCommand = (Omit<PutRequest, 'idempotency'> | Omit<DeleteRequest, 'idempotency'>) & {
  readonly prev: false
}

export interface BatchRequest {
  readonly kind: 'batch'
  readonly commands: readonly BatchedCommand[]
  readonly idempotency: Idempotency | undefined
}

export interface BatchOutcome {
  readonly kind: 'batch'
  readonly revision: Revision
  /** One for each change, in order. */
  readonly outcomes: Iterable<PutOutcome | DeleteOutcome | ApiError>
}

/**
 * Limit on commas and opening brackets of the JSON. A change has at most 12, and one for each revision in its
 * conditions. So no condition has nearly TAGS_MAX revisions.
 */
const BODY_PARTS = 16 * BATCH_COMMANDS_MAX

const Tags = {
  ...stringOr(arrayOf({ ...integer, minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
  pattern: '^\\*$',
  minItems: 1,
}
const CONDITION_FIELDS = {
  if_match: { ...Tags, description: 'The key is at one of these revisions; "*": it exists' },
  if_none_match: { ...Tags, description: 'The key is at none of these revisions; "*": it does not exist' },
}
const Change = {
  ...closed(
    object(
      {},
      {
        put: closed(
          object({ key: JsonBytes, value: JsonBytes }, { ...CONDITION_FIELDS, ...PUT_LEASE_FIELDS }),
        ),
        delete: closed(object({ key: JsonBytes }, CONDITION_FIELDS)),
      },
    ),
  ),
  minProperties: 1,
  maxProperties: 1,
}
const Changes = {
  ...arrayOf(Change),
  minItems: 1,
  maxItems: BATCH_COMMANDS_MAX,
  description: 'Made one after the other, each whether or not those before it were made',
}
const Result = anyOf(
  object({ put: object(revisions) }),
  object({ delete: DeleteAnswer }),
  object({ problem: ChangeProblem }),
)

export const batch = {
  effect: 'change',
  isAudited: true,
  label: 'batch',
  room: 'depends',
  demands: (operation) => [
    ...operation.commands.flatMap((each) => changing(each, each.condition !== undefined)),
    ...leasesOf(operation),
  ],
  leases: leasesOf,
  http: {
    routes: [
      route(
        {
          method: 'POST',
          path: CHANGES_PATH,
          summary: 'Several changes in one entry of the log, each with its own outcome',
          takesToken: true,
          body: closed(object({ changes: Changes })),
          bodyPartsMax: BODY_PARTS,
          answers: object({
            revision: integer,
            results: { ...arrayOf(Result), description: 'One for each change, in order' },
          }),
        },
        ({ headers, body }) => {
          const commands = body.changes.map((change, at) => decodeChange(change, `changes[${at}]`))
          return { kind: 'batch', commands, idempotency: readIdempotency(headers) }
        },
      ),
    ],
    encodeResult: (outcome, head) =>
      jsonResponseOf(encodeOutcomes(outcome), replayedHeader(head), outcome.revision),
  },
} satisfies EntryFacts<Pick<BatchRequest, 'commands'>> & {
  readonly http: HttpForm<BatchRequest, BatchOutcome>
}

/** Throws `ApiError`, which names the change. */
function decodeChange({ put, delete: removed }: FromSchema<typeof Change>, name: string): BatchedCommand {
  if (removed !== undefined)
    return { kind: 'delete', ...decodeTarget(removed, `${name}.delete`), prev: false }
  if (put === undefined) throw new Error(`${name} is no change, and the schema allows it`)
  const value = checkedValue(decodeJsonBytes(put.value, `${name}.put.value`), `${name}.put: `)
  const lease = putLeaseOf(put.lease, put.ttl, `${name}.put.`)
  return { kind: 'put', ...decodeTarget(put, `${name}.put`), value, prev: false, lease }
}

type GivenTags = FromSchema<typeof Tags> | undefined

function decodeTarget(
  change: { readonly key: JsonBytesValue; readonly if_match?: GivenTags; readonly if_none_match?: GivenTags },
  name: string,
): { readonly key: Uint8Array; readonly condition: Condition | undefined } {
  const key = checkedKey(decodeJsonBytes(change.key, `${name}.key`), `${name}: `)
  const ifMatch = decodeTags(change.if_match)
  const ifNoneMatch = decodeTags(change.if_none_match)
  const condition = ifMatch === undefined && ifNoneMatch === undefined ? undefined : { ifMatch, ifNoneMatch }
  return { key, condition }
}

const decodeTags = (tags: GivenTags): 'any' | readonly Revision[] | undefined =>
  typeof tags === 'string' ? 'any' : tags?.map(asRevision)

function* encodeOutcomes({ revision, outcomes }: BatchOutcome): Iterable<string> {
  yield `{"revision":${revision},"results":[`
  let comma = ''
  for (const outcome of outcomes) {
    yield `${comma}${encodeOutcome(outcome)}`
    comma = ','
  }
  yield ']}'
}

function encodeOutcome(outcome: PutOutcome | DeleteOutcome | ApiError): string {
  if (outcome instanceof ApiError)
    return `{"problem":${JSON.stringify({ ...problemDocument(outcome), written: 'no' })}}`
  if (outcome.kind === 'put') return `{"put":{${revisionsJson(outcome)}}}`
  return `{"delete":${deletedJson(outcome)}}`
}

function leasesOf({ commands }: Pick<BatchRequest, 'commands'>) {
  if (!commands.some(hasLease)) return NO_LEASES
  return commands.flatMap((each) => (hasLease(each) ? attaching(each.lease) : []))
}

const hasLease = (command: BatchedCommand): command is Extract<BatchedCommand, { kind: 'put' }> =>
  command.kind === 'put' && command.lease !== undefined
