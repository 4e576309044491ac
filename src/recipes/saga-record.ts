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

export interface SagaOutcome {
  readonly id: string
  /** compensated: a step has failed, and every step before it was undone. */
  readonly status: 'completed' | 'compensated'
  readonly results: Readonly<Record<string, unknown>>
  /** The step that has failed, if the saga is compensated. */
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

export const resultsOf = ({ steps }: SagaRecord): Readonly<Record<string, unknown>> =>
  Object.fromEntries(steps.map(({ name, result }) => [name, result]))

export const outcomeOf = (id: string, record: SagaRecord): SagaOutcome => ({
  id,
  status: record.status === 'completed' ? 'completed' : 'compensated',
  results: resultsOf(record),
  failure: record.failure ?? undefined,
})

export const viewOf = (id: string, { input, status, steps, compensated, failure }: SagaRecord): SagaView => ({
  id,
  status,
  input,
  steps: steps.map(({ name }) => name),
  compensated,
  failure: failure ?? undefined,
})

const STATUSES: readonly unknown[] = ['running', 'compensating', 'completed', 'compensated']

/** Throws `saga_unknown_record` for a value of another program. */
export function recordIn(found: KvRecord): SagaRecord {
  const { input, status, steps, compensated, failure } = Object(jsonOf(found)) as SagaRecord
  const isList = (list: unknown, is: (each: unknown) => boolean) => Array.isArray(list) && list.every(is)
  const isStep = (step: unknown) => typeof Object(step).name === 'string'
  const isName = (name: unknown) => typeof name === 'string'
  if (STATUSES.includes(status) && isList(steps, isStep) && isList(compensated, isName))
    return { input, status, steps, compensated, failure }
  const message = `the key ${JSON.stringify(found.key)} was not written by a saga of this version: delete it, or use the version that has written it`
  throw new QuorateError(message, { code: 'saga_unknown_record', written: 'no' })
}

function jsonOf(found: KvRecord): unknown {
  try {
    return found.json()
  } catch {
    return undefined
  }
}
