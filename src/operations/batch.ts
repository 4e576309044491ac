// Changes of single keys that are one entry of the log, one after the other. Each has an outcome of its own.

import type { EntryFacts, HttpForm } from './definition.ts'
import { type DeleteOutcome, type DeleteRequest, decodeDeleted } from './delete.ts'
import type { AnswerHead } from './forms/answer-head.ts'
import type { Condition } from './forms/conditions.ts'
import {
  decodeList,
  decodeObject,
  decodeRevision,
  decodeRevisions,
  decodeWholeNumber,
  disagree,
  type Fields,
} from './forms/decode.ts'
import type { Idempotency } from './forms/idempotency.ts'
import { checkKeepsNothing, leaseNames, parsePutLease } from './forms/leases.ts'
import { checkedKey, checkedValue } from './forms/places.ts'
import { ApiError, decodeProblem, type ProblemAnswer, problemDocument } from './forms/problems.ts'
import { attaching, changing, NO_LEASES } from './forms/rights.ts'
import { asRevision, type Revision } from './forms/store.ts'
import { jsonResponseFromParts, replayedHeader } from './http/form.ts'
import { readIdempotency } from './http/idempotency.ts'
import { deletedJson, revisionsJson } from './http/json.ts'
import { decodeJsonBytes, JsonBytes, type JsonBytesValue } from './http/json-bytes.ts'
import {
  anyOfSchema,
  arraySchema,
  closed,
  type FromSchema,
  integer,
  object,
  stringOr,
} from './http/json-schema.ts'
import { jsonChange } from './http/requests.ts'
import { route } from './http/route.ts'
import { ChangeProblem, DeleteAnswer, PUT_LEASE_FIELDS, revisions } from './http/schemas.ts'
import { checkElements, decodeKeyField, decodeValueField, fieldBytes, invalidField } from './mux/fields.ts'
import {
  decodeChangeHead,
  decodeResultRevision,
  ITEM_BYTES,
  type Item,
  type MuxForm,
  SUCCESS,
} from './mux/form.ts'
import { OPCODES } from './mux/opcodes.ts'
import {
  conditionSize,
  decodeDeleteOptions,
  decodeIdempotency,
  decodePutOptions,
  encodeDeleteOptions,
  encodeIdempotency,
  encodePutOptions,
  idempotencySize,
} from './mux/options.ts'
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

/** The outcome of one change at a client. */
export type DecodedOutcome = PutOutcome | DeleteOutcome | { readonly problem: ProblemAnswer }

/** `BatchOutcome` at a client. */
export interface DecodedBatch {
  readonly kind: 'batch'
  readonly revision: Revision
  readonly outcomes: readonly DecodedOutcome[]
}

/**
 * Limit on commas and opening brackets of the JSON. A change has at most 12, and one for each revision in its
 * conditions. So no condition has nearly TAGS_MAX revisions.
 */
const BODY_PARTS = 16 * BATCH_COMMANDS_MAX

const Tags = {
  ...stringOr(arraySchema({ ...integer, minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
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
  ...arraySchema(Change),
  minItems: 1,
  maxItems: BATCH_COMMANDS_MAX,
  description: 'Made one after the other, each whether or not those before it were made',
}
const Result = anyOfSchema(
  object({ put: object(revisions) }),
  object({ delete: DeleteAnswer }),
  object({ problem: ChangeProblem }),
)

/** The kind of its item on the multiplexed connection. */
const OPCODE = OPCODES.batch

export const batch = {
  effect: 'change',
  isAudited: true,
  label: 'batch',
  repeat: () => 'by-id',
  room: 'depends',
  demands: (operation) => [
    ...operation.commands.flatMap((each) => changing(each, each.condition !== undefined)),
    ...batchLeases(operation),
  ],
  leases: batchLeases,
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
            results: { ...arraySchema(Result), description: 'One for each change, in order' },
          }),
        },
        ({ headers, body }) => {
          const commands = body.changes.map((change, at) => decodeChange(change, `changes[${at}]`))
          return { kind: 'batch', commands, idempotency: readIdempotency(headers) }
        },
      ),
    ],
    encode: ({ commands, idempotency }) =>
      jsonChange(CHANGES_PATH, { changes: commands.map(encodeChange) }, idempotency),
    encodeResult: (outcome, head) =>
      jsonResponseFromParts(encodeOutcomes(outcome), replayedHeader(head), outcome.revision),
    decodeResult(body, { commands }) {
      const results = decodeResults(body.results, commands)
      const revision = decodeRevision(body.revision, 'revision')
      return {
        kind: 'batch',
        revision,
        outcomes: commands.map(({ kind }, at) => decodeOutcome(kind, decodeObject(results[at], 'a result'))),
      }
    },
  },
  mux: {
    opcode: OPCODE,
    elementsMax: 5,
    encode: (id, timeoutMs, { commands, idempotency }) => [
      id,
      OPCODE,
      timeoutMs,
      commands.map(encodeCommand),
      encodeIdempotency(idempotency),
    ],
    decode: (item) => ({
      kind: 'batch',
      commands: decodeCommands(item[3]),
      idempotency: decodeIdempotency(item[4]),
    }),
    credit({ commands }) {
      let bytes = 0
      for (const each of commands) bytes += commandBytes(each)
      return bytes
    },
    itemCredit: (item) => itemBytes(item[3]),
    size({ commands, idempotency }) {
      let bytes = ITEM_BYTES + idempotencySize(idempotency)
      for (const each of commands) bytes += commandSize(each)
      return bytes
    },
    encodeResult: (id, { revision, outcomes }, { replayed = false }) => [
      id,
      SUCCESS,
      revision,
      Array.from(outcomes, encodeOutcomeField),
      replayed,
    ],
    decodeResult(item, { commands }) {
      const outcomes = decodeResults(item[3], commands)
      const revision = decodeResultRevision(item)
      return {
        kind: 'batch',
        revision,
        outcomes: commands.map((command, at) => decodeOutcomeField(command.kind, outcomes[at])),
      }
    },
    decodeHead: (item) => decodeChangeHead(item, 4),
    resultBytes({ outcomes }) {
      let bytes = 0
      for (const outcome of outcomes) bytes += outcomeBytes(outcome)
      return bytes
    },
  },
} satisfies EntryFacts<Pick<BatchRequest, 'commands'>> & {
  readonly http: HttpForm<BatchRequest, BatchOutcome, AnswerHead, DecodedBatch>
  readonly mux: MuxForm<BatchRequest, BatchOutcome, AnswerHead, DecodedBatch>
}

/** Throws `ApiError`, which names the change. */
function decodeChange({ put, delete: removed }: FromSchema<typeof Change>, name: string): BatchedCommand {
  if (removed !== undefined)
    return { kind: 'delete', ...decodeTarget(removed, `${name}.delete`), prev: false }
  if (put === undefined) throw new Error(`${name} is no change, and the schema allows it`)
  const value = checkedValue(decodeJsonBytes(put.value, `${name}.put.value`), `${name}.put: `)
  const lease = parsePutLease(put.lease, put.ttl, `${name}.put.`)
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

function encodeChange(change: BatchedCommand): object {
  const { key, condition } = change
  const conditions = {
    if_match: encodeTags(condition?.ifMatch),
    if_none_match: encodeTags(condition?.ifNoneMatch),
  }
  if (change.kind === 'delete') return { delete: { key, ...conditions } }
  checkKeepsNothing(change)
  return { put: { key, value: change.value, ...conditions, ...leaseNames(change.lease) } }
}

const encodeTags = (tags: Condition['ifMatch']): '*' | readonly Revision[] | undefined =>
  tags === 'any' ? '*' : tags

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

/** A list with one result for each change. Throws `DisagreementError`. */
function decodeResults(value: unknown, { length }: readonly BatchedCommand[]): readonly unknown[] {
  const results = decodeList(value, 'results')
  return results.length === length
    ? results
    : disagree(`it has ${results.length} results of ${length} changes`)
}

/** Throws `DisagreementError`. */
function decodeOutcome(kind: BatchedCommand['kind'], fields: Fields): DecodedOutcome {
  const { problem } = fields
  if (problem !== undefined) return { problem: decodeProblem(problem) ?? disagree('a problem has no code') }
  if (kind === 'put') {
    const revisions = decodeRevisions(decodeObject(fields.put, 'the result of a put'))
    // A put is the change of its revision. That of the batch is the one of its last change.
    return { kind, revision: revisions.modRevision, ...revisions, prev: undefined }
  }
  const removed = decodeObject(fields.delete, 'the result of a delete')
  const deletedAt = decodeRevision(removed.revision, 'revision')
  return { kind, revision: deletedAt, deleted: decodeDeleted(removed.deleted), prev: undefined }
}

// ---------------------------------------------------------------------------------------------------------------------
// The multiplexed connection

const PUT = OPCODES.put
const DELETE = OPCODES.delete

function encodeCommand(command: BatchedCommand): Item {
  const { key, condition } = command
  if (command.kind === 'delete') {
    const options = encodeDeleteOptions(condition, false)
    return options === undefined ? [DELETE, key] : [DELETE, key, options]
  }
  const options = encodePutOptions(command)
  return options === undefined ? [PUT, key, command.value] : [PUT, key, command.value, options]
}

function decodeCommands(field: unknown): readonly BatchedCommand[] {
  if (!Array.isArray(field) || field.length < 1 || field.length > BATCH_COMMANDS_MAX)
    throw invalidField('changes', `a list of 1 to ${BATCH_COMMANDS_MAX} changes`)
  return field.map((each, at) => {
    try {
      return decodeCommand(each)
    } catch (error) {
      throw error instanceof ApiError ? new ApiError(error.code, `changes[${at}]: ${error.message}`) : error
    }
  })
}

function decodeCommand(field: unknown): BatchedCommand {
  const isPut = Array.isArray(field) && field[0] === PUT
  if (!Array.isArray(field) || !(isPut || field[0] === DELETE))
    throw invalidField('a change', `[${PUT}, key, value, conditions] or [${DELETE}, key, conditions]`)
  checkElements(field, isPut ? 4 : 3)
  const key = decodeKeyField(field[1])
  if (!isPut) {
    const { condition, prev } = decodeDeleteOptions(field[2])
    if (prev) throw invalidField('prev', 'false in a batch')
    return { kind: 'delete', key, condition, prev }
  }
  const { condition, prev, lease } = decodePutOptions(field[3])
  if (prev) throw invalidField('prev', 'false in a batch')
  return { kind: 'put', key, value: decodeValueField(field[2]), condition, prev, lease }
}

/** Bytes of the key and the value of a change. */
export const commandBytes = (command: BatchedCommand): number =>
  command.key.length + (command.kind === 'put' ? command.value.length : 0)

/** Bytes of the keys and the values of all changes of an item, which is not decoded yet. */
function itemBytes(field: unknown): number {
  let bytes = 0
  if (!Array.isArray(field)) return bytes
  for (const change of field) {
    if (!Array.isArray(change)) continue
    bytes += fieldBytes(change[1])
    if (change[0] === PUT) bytes += fieldBytes(change[2])
  }
  return bytes
}

const commandSize = (command: BatchedCommand): number =>
  ITEM_BYTES + commandBytes(command) + conditionSize(command.condition)

/** Two or three numbers, or a problem. The kind of the change says what they mean. */
function encodeOutcomeField(outcome: PutOutcome | DeleteOutcome | ApiError): readonly number[] | object {
  if (outcome instanceof ApiError) return { ...problemDocument(outcome), written: 'no' }
  if (outcome.kind === 'put') return [outcome.createRevision, outcome.modRevision, outcome.version]
  return [outcome.deleted, outcome.revision]
}

/** The outcome of one change in the answer of an item: numbers or a problem. Throws `DisagreementError`. */
function decodeOutcomeField(kind: BatchedCommand['kind'], field: unknown): DecodedOutcome {
  if (!Array.isArray(field)) return { problem: decodeProblem(field) ?? disagree('a problem has no code') }
  const [first, at, version]: Item = field
  if (kind === 'delete')
    return { kind, revision: decodeRevision(at, 'revision'), deleted: decodeDeleted(first), prev: undefined }
  const modRevision = decodeRevision(at, 'mod_revision')
  return {
    kind,
    revision: modRevision,
    createRevision: decodeRevision(first, 'create_revision'),
    modRevision,
    version: decodeWholeNumber(version, 'version'),
    prev: undefined,
  }
}

/** Memory of the outcome of one change: two or three numbers, or a problem beside the key. */
const OUTCOME_BYTES = 60
const OUTCOME_PROBLEM_BYTES = 500

/** Only a failed condition has the key. */
const outcomeBytes = (outcome: PutOutcome | DeleteOutcome | ApiError): number =>
  outcome instanceof ApiError ? OUTCOME_PROBLEM_BYTES + (outcome.current?.key.length ?? 0) : OUTCOME_BYTES

// ---------------------------------------------------------------------------------------------------------------------
// Facts

function batchLeases({ commands }: Pick<BatchRequest, 'commands'>) {
  if (!commands.some(hasLease)) return NO_LEASES
  return commands.flatMap((each) => (hasLease(each) ? attaching(each.lease) : []))
}

const hasLease = (command: BatchedCommand): command is Extract<BatchedCommand, { kind: 'put' }> =>
  command.kind === 'put' && command.lease !== undefined
