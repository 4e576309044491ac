// The requests of the client are those of ../operations. What is particular to the client stands here: how it makes
// them from a caller's arguments, and names a change when it is sent.

import {
  asRevision,
  type Condition,
  type FreshnessOptions,
  type Idempotency,
  type KeyRange,
  prefixRange,
  type Revision,
} from '../operations/forms/index.ts'
import {
  bytesOfTxn,
  type ChangeSettingsRequest,
  type DeleteRequest,
  OPERATIONS,
  type Operation,
  type OperationFacts,
  type OperationKind,
  type PutRequest,
  type Repeat,
} from '../operations/index.ts'
import { checkKeyLength } from './address.ts'
import { QuorateError } from './errors.ts'
import type { Settings } from './types.ts'

/** Settings under the names of the HTTP API, as the caller gives them: a newer node may know more of them. */
export interface NamedSettingsRequest extends Pick<ChangeSettingsRequest, 'kind' | 'idempotency'> {
  readonly document: Settings
  /** The setting of leader leases among them. */
  readonly leases: unknown
}

export type CallRequest = Exclude<Operation, ChangeSettingsRequest> | NamedSettingsRequest

/** The request of an operation of this kind. */
export type RequestOf<K extends OperationKind> = Extract<CallRequest, { readonly kind: K }>

/** A change of one key. */
export type ChangeRequest = (PutRequest | DeleteRequest) & { readonly prev: false }

/** The facts of an operation. TypeScript does not see that facts and request are of one kind. */
const factsOf = ({ kind }: CallRequest): OperationFacts<CallRequest> =>
  OPERATIONS[kind] as OperationFacts<CallRequest>

/** How the request may be sent again. */
export function repeatOf(request: CallRequest): Repeat {
  const { effect, repeat } = factsOf(request)
  return repeat?.(request) ?? (effect === 'read' ? 'freely' : 'never')
}

/** A transaction counts as a change, also if it only reads. */
export const isChange = (request: CallRequest): boolean => factsOf(request).effect === 'change'

/** Whether the leader takes part: in each change, and in some reads. */
export function needsLeader(request: CallRequest): boolean {
  const { effect, needsLeader: doesRead } = factsOf(request)
  return effect === 'change' || doesRead?.(request) === true
}

/** The name of the operation, or of its resource. */
export const spanName = (request: CallRequest): string => factsOf(request).resource ?? request.kind

/** Whether the answer may have no end. */
export const isStreamed = (request: CallRequest): boolean =>
  request.kind === 'watch' ||
  request.kind === 'backup' ||
  (request.kind === 'range' && request.stream === true)

/** Names a change before it is sent. The client owns its requests, and nobody else reads them yet. */
export function nameChange(request: CallRequest, idempotency: Idempotency): void {
  if (!('idempotency' in request)) return
  const named: { idempotency: Idempotency | undefined } = request
  named.idempotency = idempotency
}

/** The bytes of keys and values that a change carries. */
export const bytesOfChange = (
  change: Pick<PutRequest, 'kind' | 'key' | 'value'> | Pick<DeleteRequest, 'kind' | 'key'>,
): number => (change.kind === 'put' ? change.key.length + change.value.length : change.key.length)

/** The bytes of a request that may take long to send. */
export function bytesOfRequest(request: CallRequest): number {
  switch (request.kind) {
    case 'put':
    case 'delete':
      return bytesOfChange(request)
    case 'batch':
      return request.commands.reduce((sum, each) => sum + bytesOfChange(each), 0)
    case 'txn':
      return bytesOfTxn(request.txn)
    default:
      return 0
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// From the arguments of a caller

/**
 * The bytes of a caller's key or value. They may be sent again and are compared with answers, so later changes of the
 * caller's buffer must not affect them.
 */
export const ownBytes = (value: string | Uint8Array): Buffer => Buffer.from(value as Uint8Array)

export function ownKey(key: string | Uint8Array): Buffer {
  const bytes = ownBytes(key)
  checkKeyLength(bytes)
  if (bytes.length > 0) return bytes
  throw new QuorateError('the key is empty', { code: 'key_empty', written: 'no' })
}

/** A range of a caller; all keys without a bound. */
export function ownRange({
  prefix,
  start,
  end,
}: {
  readonly [name in 'prefix' | 'start' | 'end']?: string | Uint8Array | undefined
}): KeyRange {
  if (prefix !== undefined) return prefixRange(ownBound(prefix))
  return {
    start: start === undefined ? NO_BYTES : ownBound(start),
    end: end === undefined ? undefined : ownBound(end),
  }
}

const NO_BYTES = new Uint8Array()

function ownBound(bound: string | Uint8Array): Buffer {
  const bytes = ownBytes(bound)
  checkKeyLength(bytes)
  return bytes
}

/** The condition that a key has this revision; undefined: none. */
export const revisionCondition = (revision: number | undefined): Condition | undefined =>
  revision === undefined ? undefined : { ifMatch: [asRevision(revision)], ifNoneMatch: undefined }

/** The condition that a key does not exist. */
export const ABSENT: Condition = { ifMatch: undefined, ifNoneMatch: 'any' }

export const asMaybeRevision = (revision: number | undefined): Revision | undefined =>
  revision === undefined ? undefined : asRevision(revision)

/** For requests that need no freshness. */
export const ANY_FRESHNESS: FreshnessOptions = {}
