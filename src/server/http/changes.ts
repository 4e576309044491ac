// The route of batches: several changes in one entry of the log.

import type { BatchedCommand, Command, Condition, OutcomeOfKey, Revision } from '../../kv/index.ts'
import { asRevision, BATCH_COMMANDS_MAX } from '../../kv/index.ts'
import type { NodeApi } from '../node/types.ts'
import { answering, jsonAnswer } from './answer.ts'
import { CHANGES_PATH } from './classify.ts'
import { readIdentity } from './idempotency-headers.ts'
import { ESCAPED_BYTES_MAX, revisionsJson } from './json.ts'
import { bytesOf, JsonBytes, type JsonBytesValue, valueBytesOf } from './json-bytes.ts'
import { anyOf, arrayOf, closed, type FromSchema, integer, object, stringOr } from './json-schema.ts'
import { checkedKey } from './key.ts'
import { PUT_LEASE_FIELDS, putLeaseOf } from './lease-values.ts'
import { problemDocument } from './problem.ts'
import { holding, propose, refusalOf, unexpected } from './propose.ts'
import type { OutboundBudget } from './response-budget.ts'
import { type Route, route } from './route.ts'
import { ChangeProblem, DeleteAnswer, revisions } from './schemas.ts'

/**
 * Commas and opening brackets of the JSON. A change has at most 12, and one for each revision in its conditions. So no
 * condition comes near TAGS_MAX revisions.
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

export const changesRoute = (node: NodeApi, backlog: OutboundBudget): Route =>
  route(
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
    ({ asked, body }, respond) => {
      const commands = body.changes.map((change, at) => commandOf(change, `changes[${at}]`, node))
      const command: Command = { kind: 'batch', commands }
      const idempotency = readIdentity(asked.headers)
      const answer = holding(backlog, respond, answerBytesMax(commands))
      const make = answering(answer, () =>
        propose(node, asked, { command, idempotency }, answer, (outcome, headers) => {
          if (outcome.kind !== 'batch') throw unexpected(outcome)
          const { revision, outcomes } = outcome
          const json = `{"revision":${revision},"results":[${outcomes.map(resultJson).join(',')}]}`
          answer(jsonAnswer(json, headers, revision))
        }),
      )
      make(undefined)
    },
  )

/** A result without the key, at most. */
const RESULT_BYTES_MAX = 512

/** Only a failed condition is answered with the key. */
const answerBytesMax = (commands: readonly BatchedCommand[]): number =>
  commands.reduce(
    (sum, { key, condition }) =>
      sum + RESULT_BYTES_MAX + (condition === undefined ? 0 : ESCAPED_BYTES_MAX * key.length),
    0,
  )

/** Throws `Refused`, which names the change. */
function commandOf(
  { put, delete: removed }: FromSchema<typeof Change>,
  name: string,
  node: NodeApi,
): BatchedCommand {
  if (removed !== undefined) return { kind: 'delete', ...targetOf(removed, `${name}.delete`), prev: false }
  if (put === undefined) throw new Error(`${name} is no change, and the schema allows it`)
  const value = valueBytesOf(put.value, `${name}.put`)
  const lease = putLeaseOf(put, node, `${name}.put.`)
  return { kind: 'put', ...targetOf(put, `${name}.put`), value, prev: false, lease }
}

type GivenTags = FromSchema<typeof Tags> | undefined

function targetOf(
  given: { readonly key: JsonBytesValue; readonly if_match?: GivenTags; readonly if_none_match?: GivenTags },
  name: string,
): { readonly key: Uint8Array; readonly condition: Condition | undefined } {
  const key = checkedKey(bytesOf(given.key, `${name}.key`), `${name}: `)
  const ifMatch = tagsOf(given.if_match)
  const ifNoneMatch = tagsOf(given.if_none_match)
  const condition = ifMatch === undefined && ifNoneMatch === undefined ? undefined : { ifMatch, ifNoneMatch }
  return { key, condition }
}

const tagsOf = (given: GivenTags): 'any' | readonly Revision[] | undefined =>
  typeof given === 'string' ? 'any' : given?.map(asRevision)

function resultJson(outcome: OutcomeOfKey): string {
  switch (outcome.kind) {
    case 'put':
      return `{"put":{${revisionsJson(outcome)}}}`
    case 'delete':
      return `{"delete":{"deleted":${outcome.deleted},"revision":${outcome.revision}}}`
    default:
      return `{"problem":${JSON.stringify({ ...problemDocument(refusalOf(outcome)), written: 'no' })}}`
  }
}
