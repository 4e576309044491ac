// The record of a saga, as JSON in the store.

import { type KvRecord, QuorateError } from '../client/index.ts'

/** The stored state of one saga. Every change replaces it as a whole. */
export interface SagaRecord {
  readonly input: unknown
  readonly status: 'running' | 'compensating' | 'completed' | 'compensated'
  readonly steps: readonly { readonly name: string; readonly result: unknown }[]
  readonly compensated: readonly string[]
  readonly failure: { readonly step: string; readonly message: string } | null
}

/** Results of steps, as JSON, by the names of the steps. */
export type SagaResults = Record<string, unknown>

export type SagaOutcome<Results = SagaResults> =
  | {
      readonly id: string
      readonly status: 'completed'
      readonly results: Readonly<Results>
      readonly failure: undefined
    }
  /** A step has failed, and every step before it was undone. */
  | {
      readonly id: string
      readonly status: 'compensated'
      /** Results of the steps that were undone. */
      readonly results: Readonly<Partial<Results>>
      /** The step that has failed. */
      readonly failure: { readonly step: string; readonly message: string } | undefined
    }

export interface SagaView {
  readonly id: string
  readonly status: 'running' | 'compensating' | 'completed' | 'compensated'
  readonly input: unknown
  /** The recorded steps, in order. */
  readonly steps: readonly string[]
  /** The steps that were undone, in order. */
  readonly compensated: readonly string[]
  readonly failure: { readonly step: string; readonly message: string } | undefined
}

export const newRecord = (input: unknown): SagaRecord => ({
  input,
  status: 'running',
  steps: [],
  compensated: [],
  failure: null,
})

export const hasEnded = ({ status }: Pick<SagaRecord, 'status'>): boolean =>
  status === 'completed' || status === 'compensated'

/** `Results`: what the application says of its steps. */
export const stepResults = <Results>({ steps }: SagaRecord): Results =>
  Object.fromEntries(steps.map(({ name, result }) => [name, result])) as Results

export const sagaOutcome = <Results>(id: string, record: SagaRecord): SagaOutcome<Results> =>
  record.status === 'completed'
    ? { id, status: 'completed', results: stepResults(record), failure: undefined }
    : { id, status: 'compensated', results: stepResults(record), failure: record.failure ?? undefined }

export const sagaView = (
  id: string,
  { input, status, steps, compensated, failure }: SagaRecord,
): SagaView => ({
  id,
  status,
  input,
  steps: steps.map(({ name }) => name),
  compensated,
  failure: failure ?? undefined,
})

const STATUSES: readonly unknown[] = ['running', 'compensating', 'completed', 'compensated']

/** Throws `saga_unknown_record` for a value of another program. */
export function parseSagaRecord(found: KvRecord): SagaRecord {
  const { input, status, steps, compensated, failure } = Object(parseJson(found)) as SagaRecord
  const isList = (list: unknown, is: (each: unknown) => boolean) => Array.isArray(list) && list.every(is)
  const isStep = (step: unknown) => typeof Object(step).name === 'string'
  const isName = (name: unknown) => typeof name === 'string'
  const isFailure = failure === null || (isName(Object(failure).step) && isName(Object(failure).message))
  if (STATUSES.includes(status) && isList(steps, isStep) && isList(compensated, isName) && isFailure)
    return { input, status, steps, compensated, failure }
  const message = `the key ${JSON.stringify(found.key)} was not written by a saga of this version: delete it, or use the version that has written it`
  throw new QuorateError(message, { code: 'saga_unknown_record', written: 'no' })
}

function parseJson(found: KvRecord): unknown {
  try {
    return found.json()
  } catch {
    return undefined
  }
}
