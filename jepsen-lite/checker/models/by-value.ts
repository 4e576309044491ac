// A register: a key is its value, or null when it does not exist. It ignores revisions, so it is the second opinion on
// a store whose revisions are wrong.

import type { HistoryOperation, RecordedResult } from '../../workload/history.ts'
import type { KeyModel, KeyOperation, ModelStep } from './model.ts'
import { assertNever, type PlainOperation, plain } from './plain.ts'

type Value = string | null

export function byValue(name: string, operations: readonly HistoryOperation['f'][]): KeyModel<Value> {
  return {
    name,
    operations,
    initial: (value) => value,
    formatState: (value) => (value === null ? 'absent' : JSON.stringify(value)),
    computeStep: (op, result) => (result === undefined ? possibleStep(op) : observedStep(op, result)),
  }
}

/** The possible effect of an operation of unknown outcome. An operation without an effect is left out. */
function possibleStep(operation: KeyOperation): ModelStep<Value> | undefined {
  const op = plain(operation)
  switch (op.f) {
    case 'get':
      return undefined
    case 'put':
      // A key cannot be absent and have a revision.
      if (op.ifAbsent && op.ifRevision !== undefined) return undefined
      if (op.ifAbsent) return step(`add ${quoted(op.value)}`, (now) => (now === null ? op.value : undefined))
      if (op.ifRevision !== undefined)
        return step(`set ${quoted(op.value)}`, (now) => (now === null ? undefined : op.value))
      return step(`put ${quoted(op.value)}`, () => op.value)
    case 'del':
      if (op.ifAbsent) return undefined
      return step('del', (now) => (now === null ? undefined : null))
    case 'cas':
      return step(`cas ${JSON.stringify([op.from, op.to])}`, (now) => (now === op.from ? op.to : undefined))
    case 'append':
      return step(`append ${quoted(op.value)}`, (now) => (now ?? '') + op.value)
    default:
      return assertNever(op)
  }
}

function observedStep(operation: KeyOperation, result: RecordedResult): ModelStep<Value> | undefined {
  const op = plain(operation)
  if (result.applied === false && op.f !== 'cas') return conditionFailed(op, result)
  const { ifAbsent, ifRevision } = parseConditions(op)
  if (ifAbsent && ifRevision)
    return observe('made under two conditions of which one never holds', () => undefined)
  switch (op.f) {
    case 'get': {
      const { value } = result
      if (value === undefined) return undefined
      return observe(`get ${JSON.stringify(value)}`, (now) => (now === value ? now : undefined))
    }
    case 'put':
      return possibleStep(op)
    case 'del': {
      const { deleted } = result
      if (op.ifAbsent && deleted === 1) return observe('deleted what was not there', () => undefined)
      if (ifRevision && deleted === 0)
        return observe('deleted nothing that was at a revision', () => undefined)
      if (op.ifAbsent || deleted === 0) return observe('del none', (now) => (now === null ? null : undefined))
      if (deleted === undefined && op.ifRevision === undefined) return step('del any', () => null)
      return possibleStep(op)
    }
    case 'cas': {
      if (result.applied !== false) return possibleStep(op)
      const { value } = result
      return observe(`cas not ${JSON.stringify({ from: op.from, value })}`, (now) =>
        now !== op.from && (value === undefined || now === value) ? now : undefined,
      )
    }
    case 'append': {
      const { value } = result
      if (value === undefined) return possibleStep(op)
      return step(`append ${JSON.stringify([op.value, value])}`, (now) => {
        const after = (now ?? '') + op.value
        return after === value ? after : undefined
      })
    }
    default:
      return assertNever(op)
  }
}

/** This model does not know the key's revision, only whether the key existed. */
function conditionFailed(op: PlainOperation, { current }: RecordedResult): ModelStep<Value> | undefined {
  const { ifAbsent, ifRevision } = parseConditions(op)
  if (!ifAbsent && !ifRevision) return observe('refused without a condition', () => undefined)
  if (current === undefined && ifRevision) return undefined
  if (current === null && !ifRevision) return observe('refused as there, where nothing was', () => undefined)
  return current === null
    ? observe('absent', (now) => (now === null ? now : undefined))
    : observe('present', (now) => (now === null ? undefined : now))
}

function parseConditions(op: PlainOperation): { readonly ifAbsent: boolean; readonly ifRevision: boolean } {
  if (op.f !== 'put' && op.f !== 'del') return { ifAbsent: false, ifRevision: false }
  return { ifAbsent: op.ifAbsent === true, ifRevision: op.ifRevision !== undefined }
}

/** Quoted, so that no value can equal another step's text. */
const quoted = (value: string): string => JSON.stringify(value)

const step = (text: string, apply: ModelStep<Value>['apply']): ModelStep<Value> => ({
  text,
  isObservation: false,
  apply,
})
const observe = (text: string, apply: ModelStep<Value>['apply']): ModelStep<Value> => ({
  text,
  isObservation: true,
  apply,
})
