// JSON that recipes write, checked as they check it: any program may have written the value.

import { encodeUtf8, utf8Text } from '../../../../src/bytes/index.ts'
import { isObject, tryParseJson } from '../../../../src/operations/forms/decode.ts'

/** The key of an item of a queue is made of its priority and of a revision before it was pushed. */
export interface ItemPlace {
  readonly priority: number
  readonly revision: number
}

export interface ItemState {
  /** Number of deliveries. */
  readonly attempts: number
  readonly error: string | undefined
}

export interface ServiceInstance {
  readonly url: string
  readonly weight: number
  readonly meta: Readonly<Record<string, unknown>>
}

export const SAGA_STATES = ['running', 'compensating', 'completed', 'compensated'] as const
export type SagaState = (typeof SAGA_STATES)[number]

export interface ParsedSaga {
  readonly input: unknown
  readonly status: SagaState
  readonly steps: readonly { readonly name: string; readonly result: unknown }[]
  /** Names of the steps that were undone. */
  readonly compensated: readonly string[]
  readonly failure: { readonly step: string; readonly message: string } | undefined
}

const ITEM_ID = /^([0-9]{3})-([0-9]{16})-[0-9a-f]+$/
const PRIORITY_MAX = 999

export function parseItemId(id: string): ItemPlace | undefined {
  const [, priority, revision] = ITEM_ID.exec(id) ?? []
  if (priority === undefined) return undefined
  return { priority: PRIORITY_MAX - Number(priority), revision: Number(revision) }
}

export function parseItemState(value: Uint8Array): ItemState | undefined {
  const { attempts, error } = parseObject(value)
  if (typeof attempts !== 'number' || !Number.isSafeInteger(attempts)) return undefined
  if (error !== undefined && typeof error !== 'string') return undefined
  return { attempts, error }
}

/** The error that a consumer writes when it takes an item: that of its silence. */
export const NOT_ACKNOWLEDGED = 'it was not acknowledged in time'

/** The value of an item that was put back: it begins without attempts. */
export const NEW_ITEM = encodeUtf8('{"attempts":0}')

export function parseInstance(value: Uint8Array): ServiceInstance | undefined {
  const { url, weight, meta } = parseObject(value)
  if (typeof url !== 'string') return undefined
  const isWeight = typeof weight === 'number' && weight >= 0 && weight <= Number.MAX_SAFE_INTEGER
  return { url, weight: isWeight ? weight : 1, meta: isObject(meta) ? meta : {} }
}

/** The metadata of an instance as text. A browser does not write JSON of any depth. */
export function formatMeta(meta: ServiceInstance['meta']): string {
  try {
    return Object.keys(meta).length === 0 ? '' : JSON.stringify(meta)
  } catch {
    return 'too deep to be shown'
  }
}

export function parseSaga(value: Uint8Array): ParsedSaga | undefined {
  const { input, status, steps, compensated, failure } = parseObject(value)
  const state = SAGA_STATES.find((each) => each === status)
  if (state === undefined || !Array.isArray(steps) || !Array.isArray(compensated)) return undefined
  const named = steps.flatMap((step: unknown) =>
    isObject(step) && typeof step.name === 'string' ? [{ name: step.name, result: step.result }] : [],
  )
  const undone = compensated.filter((name: unknown) => typeof name === 'string')
  if (named.length < steps.length || undone.length < compensated.length) return undefined
  if (failure === null) return { input, status: state, steps: named, compensated: undone, failure: undefined }
  if (!isObject(failure)) return undefined
  const { step, message } = failure
  if (typeof step !== 'string' || typeof message !== 'string') return undefined
  return { input, status: state, steps: named, compensated: undone, failure: { step, message } }
}

function parseObject(value: Uint8Array): Readonly<Record<string, unknown>> {
  const text = utf8Text(value)
  const json = text === undefined ? undefined : tryParseJson(text)
  return isObject(json) ? json : {}
}
