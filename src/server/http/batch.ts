// The route of batches: several changes in one entry of the log.

import { BATCH_COMMANDS_MAX } from '../../operations/batch.ts'
import {
  asRevision,
  type Condition,
  checkedKey,
  checkedValue,
  putLeaseOf,
  type Revision,
  readIdempotency,
} from '../../operations/forms/index.ts'
import { decodeJsonBytes, JsonBytes, type JsonBytesValue } from '../../operations/forms/json-bytes.ts'
import {
  anyOf,
  arrayOf,
  closed,
  type FromSchema,
  integer,
  object,
  stringOr,
} from '../../operations/forms/json-schema.ts'
import { ChangeProblem, DeleteAnswer, PUT_LEASE_FIELDS, revisions } from '../../operations/forms/schemas.ts'
import type { BatchedCommand } from '../../operations/index.ts'
import { CHANGES_PATH } from '../connections/target.ts'
import { type Route, route } from './route.ts'

/**
 * Limit on commas and opening brackets of the JSON. A change has at most 12, and one for each revision in its
 * conditions. So no condition has nearly TAGS_MAX revisions.
 */
const PARTS_MAX = 16 * BATCH_COMMANDS_MAX

const Tags = {
  ...stringOr(arrayOf({ ...integer, minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
  pattern: '^\\*$',
  minItems: 1,
}
const conditions = {
  if_match: { ...Tags, description: 'The key is at one of these revisions; "*": it exists' },
  if_none_match: { ...Tags, description: 'The key is at none of these revisions; "*": it does not exist' },
}
const Change = {
  ...closed(
    object(
      {},
      {
        put: closed(object({ key: JsonBytes, value: JsonBytes }, { ...conditions, ...PUT_LEASE_FIELDS })),
        delete: closed(object({ key: JsonBytes }, conditions)),
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

export const batchRoute: Route = route(
  {
    method: 'POST',
    path: CHANGES_PATH,
    summary: 'Several changes in one entry of the log, each with its own outcome',
    takesToken: true,
    body: closed(object({ changes: Changes })),
    bodyPartsMax: PARTS_MAX,
    answers: object({
      revision: integer,
      results: { ...arrayOf(Result), description: 'One for each change, in order' },
    }),
  },
  ({ headers, body }) => {
    const commands = body.changes.map((change, at) => commandOf(change, `changes[${at}]`))
    return { kind: 'batch', commands, idempotency: readIdempotency(headers) }
  },
)

/** Throws `ApiError`, which names the change. */
function commandOf({ put, delete: removed }: FromSchema<typeof Change>, name: string): BatchedCommand {
  if (removed !== undefined) return { kind: 'delete', ...targetOf(removed, `${name}.delete`), prev: false }
  if (put === undefined) throw new Error(`${name} is no change, and the schema allows it`)
  const value = checkedValue(decodeJsonBytes(put.value, `${name}.put.value`), `${name}.put: `)
  const lease = putLeaseOf(put.lease, put.ttl, `${name}.put.`)
  return { kind: 'put', ...targetOf(put, `${name}.put`), value, prev: false, lease }
}

type GivenTags = FromSchema<typeof Tags> | undefined

function targetOf(
  change: { readonly key: JsonBytesValue; readonly if_match?: GivenTags; readonly if_none_match?: GivenTags },
  name: string,
): { readonly key: Uint8Array; readonly condition: Condition | undefined } {
  const key = checkedKey(decodeJsonBytes(change.key, `${name}.key`), `${name}: `)
  const ifMatch = tagsOf(change.if_match)
  const ifNoneMatch = tagsOf(change.if_none_match)
  const condition = ifMatch === undefined && ifNoneMatch === undefined ? undefined : { ifMatch, ifNoneMatch }
  return { key, condition }
}

const tagsOf = (tags: GivenTags): 'any' | readonly Revision[] | undefined =>
  typeof tags === 'string' ? 'any' : tags?.map(asRevision)
