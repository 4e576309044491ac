// The audit log: a line of JSON for each change and each refusal, or for each operation. It has no values and no
// passwords. Refusals of clients without a user are a sample, in short lines.

import { escapeControls } from '../../bytes/json-text.ts'
import { ApiError, type ApiErrorCode, BOUND_BYTES_MAX, type KeyRange } from '../../operations/forms/index.ts'
import { rangeDocument } from '../../operations/forms/roles.ts'
import { type Operation, type OperationKind, operationFacts } from '../../operations/index.ts'
import type { AnswerOf, ApiAnswer, Respond } from './answer.ts'
import type { Call } from './call.ts'
import { operationDemands } from './permit.ts'
import { RefusalSample, type SkippedRefusals } from './refusal-sample.ts'

export type AuditedOperations = 'changes' | 'all'

/** Ranges of one line, and characters of all of them, unless it is one: the oldest lines of a full file go. */
const RANGES_MAX = 100
const RANGES_CHARS_MAX = 8_000
/** Characters of the only range in the line of a client without a user. */
const UNAUTHENTICATED_CHARS_MAX = 200
/** Characters of a name, which a client may choose: no user has a longer one. */
const NAME_CHARS_MAX = 64

/** Credentials that a client has shown whose user is not known. */
interface Claims {
  /** The user whom its credentials or its certificate name. */
  readonly name?: string | undefined
  /** The kind of fault for which its certificate is refused. */
  readonly certificate?: string
}

export class Audit {
  readonly #append: (line: string) => void
  readonly #operations: AuditedOperations
  readonly #refusals = new RefusalSample((skipped) => this.#writeSkipped(skipped))

  constructor(append: (line: string) => void, operations: AuditedOperations) {
    this.#append = append
    this.#operations = operations
  }

  /** `respond`, which also writes the line of the operation. */
  watch<A extends AnswerOf<OperationKind>>(
    operation: Operation,
    call: Call,
    respond: Respond<A>,
  ): Respond<A> {
    return (answer) => {
      if (this.#operations === 'all' || operationFacts(operation).isAudited || isRefusal(answer))
        this.#recordCall(operation, call, answer)
      respond(answer)
    }
  }

  /** A request, or a connection, that is refused before it is read. `findOperation`: what its head says of it. */
  refused(
    call: Pick<Call, 'origin' | 'principal'>,
    { code }: ApiError,
    { name, certificate }: Claims = {},
    findOperation: () => Operation | undefined = () => undefined,
  ): void {
    this.#sampleRefusal(code, () => {
      const operation = findOperation()
      return {
        ...auditHead(call),
        ...(operation === undefined ? {} : unauthenticatedFacts(operation)),
        ...(name === undefined ? {} : named(name)),
        ...(certificate === undefined ? {} : { certificate }),
      }
    })
  }

  /** Refusals of clients without a user that have no line of their own. */
  get skippedTotal(): number {
    return this.#refusals.skippedTotal
  }

  /** Writes the number of refusals that have no line yet. */
  flush(): void {
    this.#refusals.flush()
  }

  #recordCall(operation: Operation, call: Call, answer: ApiAnswer): void {
    if (isUnauthenticated(operation, call, answer)) {
      this.#sampleRefusal(answer.code, () => ({ ...auditHead(call), ...unauthenticatedFacts(operation) }))
      return
    }
    const code = answer instanceof ApiError ? answer.code : 'ok'
    const revision = answerRevision(answer)
    this.#appendLine({
      ...auditHead(call),
      operation: operation.kind,
      ...auditTarget(operation, RANGES_MAX, RANGES_CHARS_MAX),
      ...(revision === undefined ? {} : { revision }),
      code,
    })
  }

  /** `facts` of a refusal that is only counted are not collected: a batch may name thousands of keys. */
  #sampleRefusal(code: ApiErrorCode, facts: () => object): void {
    this.#refusals.add(code, (skipped) => this.#appendLine({ ...facts(), code, ...(skipped && { skipped }) }))
  }

  #writeSkipped(skipped: SkippedRefusals): void {
    this.#appendLine({ time: new Date().toISOString(), user: null, skipped })
  }

  #appendLine(line: object): void {
    this.#append(`${escapeControls(JSON.stringify(line))}\n`)
  }
}

const REFUSALS: ReadonlySet<string> = new Set(['unauthenticated', 'permission_denied', 'loopback_only'])

const isRefusal = (answer: ApiAnswer): answer is ApiError =>
  answer instanceof ApiError && REFUSALS.has(answer.code)

/** Whether it is a refusal that anybody can cause, at any rate. */
const isUnauthenticated = (
  { kind }: Operation,
  { principal }: Pick<Call, 'principal'>,
  answer: ApiAnswer,
): answer is ApiError =>
  answer instanceof ApiError &&
  // A certificate may name anybody, and a user may be gone.
  (answer.code === 'unauthenticated' || (principal === undefined && (isRefusal(answer) || kind === 'log-in')))

const auditHead = (call: Pick<Call, 'origin' | 'principal'>): object => ({
  time: new Date().toISOString(),
  user: call.principal?.user ?? null,
  ...call.origin?.(),
})

/** The revision of the store that the answer reflects, or that of users and roles. */
function answerRevision(answer: ApiAnswer): number | undefined {
  if (answer instanceof ApiError) return answer.revision
  const { head } = answer
  if (head.revision !== undefined || !('result' in answer)) return head.revision
  const { result } = answer
  return typeof result === 'object' && 'revision' in result ? result.revision : undefined
}

/** An operation of a client without a user: its line is short. */
const unauthenticatedFacts = (operation: Operation): object => ({
  operation: operation.kind,
  ...auditTarget(operation, 1, UNAUTHENTICATED_CHARS_MAX),
})

/** The keys, the lease, or the name that the operation is about. */
function auditTarget(operation: Operation, rangesMax: number, charsMax: number): object {
  if (operation.kind === 'change-auth') {
    const { change } = operation
    return { change: change.kind, ...('name' in change ? named(change.name) : {}) }
  }
  if (operation.kind === 'replace-member')
    return { ...named(operation.member.name), replaced: shownName(operation.name) }
  if (operation.kind === 'transfer-leadership') return operation.to === undefined ? {} : named(operation.to)
  if ('member' in operation) return named(operation.member.name)
  if ('name' in operation) return operation.name === undefined ? {} : named(operation.name)
  if (operation.kind === 'log-in') return named(operation.user)
  const demands = operationDemands(operation, NOBODY)
  const ranges = demands.flatMap((demand) => ('range' in demand ? [demand.range] : []))
  const leases = demands.flatMap((demand) => ('lease' in demand ? [demand.lease] : []))
  const keys = [...new Map(ranges.map((range) => [rangeName(range), range])).values()]
  const shown = documentsOf(keys, rangesMax, charsMax)
  return {
    ...(shown.length === 0 ? {} : { keys: shown }),
    ...(keys.length === shown.length ? {} : { more: keys.length - shown.length }),
    ...(leases.length === 0 ? {} : { leases: [...new Set(leases)].slice(0, rangesMax) }),
  }
}

/** Two ranges have the same name only if they are equal. */
const rangeName = ({ start, end }: KeyRange): string =>
  `${start.length} ${latin1Of(start)} ${end === undefined ? '' : `${latin1Of(end)}.`}`

const latin1Of = ({ buffer, byteOffset, length }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, length).toString('latin1')

/**
 * The first ranges, as a line has them. Those behind are not encoded, nor those that are longer than any key: a request
 * may have megabytes of both, and each byte may take six characters.
 */
function documentsOf(ranges: readonly KeyRange[], rangesMax: number, charsMax: number): readonly object[] {
  const shown: object[] = []
  let chars = 0
  for (const [at, range] of ranges.slice(0, rangesMax).entries()) {
    if (isTooLong(range)) continue
    const document = rangeDocument(range)
    chars += JSON.stringify(document).length
    if (chars <= charsMax || (at === 0 && rangesMax > 1)) shown.push(document)
    if (chars > charsMax) break
  }
  return shown
}

const isTooLong = ({ start, end }: KeyRange): boolean =>
  start.length > BOUND_BYTES_MAX || (end !== undefined && end.length > BOUND_BYTES_MAX)

const named = (name: string): object => ({ name: shownName(name) })

/** A name may be anything that a client has sent; a terminal that shows the line must not obey it. */
const shownName = (name: string): string => name.slice(0, NAME_CHARS_MAX).replaceAll(/[^\w.@+-]/g, '?')

const NOBODY = { user: '', epoch: undefined }
