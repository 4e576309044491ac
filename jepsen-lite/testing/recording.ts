// Functions that the recorded methods share: texts for keys and values, and the meaning of errors.

import { isUtf8 } from 'node:buffer'
import type { Client } from '../../src/client/client.ts'
import { PreconditionFailedError, QuorateError } from '../../src/client/errors.ts'
import type { TxnOperationResult, TxnResult } from '../../src/client/txn-types.ts'
import type { AnswerInfo, KvRecord, ReadOptions } from '../../src/client/types.ts'
import type { End } from '../history/end.ts'
import type { RecordedHistory } from '../history/recorded-history.ts'
import type {
  HistoryOperation,
  ReadFields as RecordedReadOptions,
  RecordedResult,
} from '../workload/history.ts'

export interface Recording {
  readonly client: Client
  readonly history: RecordedHistory
  /** Number of this client in the history. */
  readonly name: string
}

export type Method<Name extends keyof Client> = (recording: Recording) => Client[Name]

/** Keys and values are texts in a history. Bytes that are none get this prefix, and so do texts that begin with it. */
const BASE64 = 'base64:'

export function valueText(value: string | Uint8Array): string {
  const bytes = Buffer.from(value as Uint8Array)
  const text = isUtf8(bytes) ? bytes.toString() : undefined
  return text === undefined || text.startsWith(BASE64) ? BASE64 + bytes.toString('base64') : text
}

/** Lists are in the order of keys, so keys cannot be recoded. */
export function keyText(key: string | Uint8Array): string {
  if (typeof key === 'string') return key
  if (isUtf8(key)) return Buffer.from(key).toString()
  throw new TypeError('recorded: the key is not UTF-8. A history has keys as texts')
}

/** The end of a lease deletes keys, which no history knows. */
export function checkUnleased(lease: unknown): void {
  if (lease !== undefined)
    throw new TypeError('recorded: put with a lease is not recorded yet. Call it on a client of its own')
}

export const recordResult = ({ value, modRevision, version }: KvRecord): RecordedResult => ({
  value: valueText(value),
  modRevision,
  version,
})

/** The fields that have a value. */
export function defined<T extends object>(
  fields: { readonly [Name in keyof T]: T[Name] | undefined },
): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>
}

/**
 * The client asks for at least the highest revision that it has seen. For a history, a read of the past is a stale one:
 * it shows the store as it was at a revision, and promises nothing about its age.
 */
export function readFields({ client }: Recording, options: ReadOptions): RecordedReadOptions {
  if (options.revision !== undefined) return { consistency: 'stale' }
  const minRevision = Math.max(client.revision, options.minRevision ?? 0)
  return defined<RecordedReadOptions>({
    consistency: options.consistency,
    maxStalenessMs: options.maxStalenessMs,
    minRevision: minRevision > 0 ? minRevision : undefined,
  })
}

/** The callback of a call in which `onAnswer` is called too, and what it was called with last. */
export function answerListener(onAnswer: ReadOptions['onAnswer']) {
  let info: AnswerInfo | undefined
  return {
    onAnswer: (answerInfo: AnswerInfo): void => {
      info = answerInfo
      onAnswer?.(answerInfo)
    },
    last: () => info,
  }
}

/** `past`: the revision that was asked for. The answer names the present one. */
export function answerFields(info: AnswerInfo | undefined, past?: number): RecordedResult {
  if (past !== undefined)
    return defined<RecordedResult>({ revision: past, served: 'stale', node: info?.node })
  return defined<RecordedResult>({
    revision: info?.revision,
    served: info?.consistency,
    stalenessMs: info?.consistency === 'stale' ? info.stalenessMs : undefined,
    node: info?.node,
  })
}

const hasChanged = ({ results }: TxnResult): boolean =>
  results.some(
    ({ put, delete: deleted, txn: inner }) =>
      put !== undefined || (deleted?.deleted ?? 0) > 0 || (inner !== undefined && hasChanged(inner)),
  )

/** Reads beside changes show the store before the revision of the changes. */
export const txnReadResult = (answer: TxnResult): RecordedResult => ({
  revision: hasChanged(answer) ? answer.revision - 1 : answer.revision,
})

/** `revision`: that of the transaction. undefined: the operation was no change. */
export function resultOfChange(
  { put, delete: deleted }: TxnOperationResult,
  revision: number,
): RecordedResult | undefined {
  if (put !== undefined) return { revision, modRevision: put.modRevision, version: put.version }
  return deleted && { revision, deleted: deleted.deleted === 0 ? 0 : 1 }
}

/**
 * The condition of a change of a key whose mod revision was compared; 0: the key does not exist, undefined: it was not
 * compared.
 */
export const revisionCondition = (revision: number | undefined): { ifAbsent?: true; ifRevision?: number } => {
  if (revision === undefined) return {}
  return revision === 0 ? { ifAbsent: true } : { ifRevision: revision }
}

/** Records one call from its beginning to its end. */
export async function recordCall<T>(
  { history, name }: Recording,
  op: HistoryOperation,
  request: () => Promise<T>,
  recordAnswer: (answer: T) => RecordedResult,
): Promise<T> {
  const id = history.invoke(name, op)
  try {
    const answer = await request()
    await history.end(id, { result: recordAnswer(answer) })
    return answer
  } catch (error) {
    await history.end(id, endFromError(op, error))
    throw error
  }
}

export function endFromError(op: HistoryOperation, error: unknown): End {
  if (error instanceof PreconditionFailedError) {
    return { result: { applied: false, current: error.current?.modRevision ?? null } }
  }
  const why = error instanceof QuorateError ? error.code : String(error)
  const isRead = op.f === 'get' || op.f === 'range'
  // Arguments are checked before anything is sent.
  const isUnsent = error instanceof TypeError || (error instanceof QuorateError && error.written === 'no')
  return isRead || isUnsent ? { fail: why } : { unknown: why }
}
