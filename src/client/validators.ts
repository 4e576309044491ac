// Checks of a caller's arguments before anything is done. A misspelt option must be an error, not an option left out. A
// table has one check for each option; a wrong value gets a TypeError that names the option. Tables and checks are
// plain functions, because a put must be fast.

import { types } from 'node:util'
import { isObject } from '../operations/forms/decode.ts'
import { isLeaseId } from '../operations/forms/leases.ts'
import { didYouMean } from '../system/did-you-mean.ts'

/** Returns what the value should have been; undefined when it is valid. */
export type Check = (value: unknown) => string | undefined

/** One check for each option. */
export type Checks<Options> = { readonly [Name in keyof Required<Options>]: Check }

/**
 * `where`: the called function, for the message. Options may be undefined, except those in `conditions`: if a condition
 * got lost, the write would be unconditional.
 */
export function checkOptions(
  where: string,
  given: unknown,
  checks: Readonly<Record<string, Check>>,
  conditions: ReadonlySet<string> = NONE,
): void {
  if (!isObject(given))
    throw new TypeError(`${where}: options must be an object, not ${describeValue(given)}`)
  for (const name in given) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined
    if (check === undefined) throw new TypeError(`${where}: ${unknownOption(name, Object.keys(checks))}`)
    const value = given[name]
    if (value !== undefined) checkValue(where, name, value, check)
    else if (conditions.has(name)) {
      throw new TypeError(`${where}: ${name} is undefined. Leave it out to write without this condition`)
    }
  }
}

/** Checks an object that must have everything that `checks` names. */
export function checkFields(where: string, given: unknown, checks: Readonly<Record<string, Check>>): void {
  checkOptions(where, given, checks)
  for (const [name, check] of Object.entries(checks)) {
    const value = isObject(given) ? given[name] : undefined
    checkValue(where, name, value, check)
  }
}

export function checkValue(where: string, name: string, value: unknown, check: Check): void {
  const expected = check(value)
  if (expected !== undefined)
    throw new TypeError(`${where}: ${name} must be ${expected}, not ${describeValue(value)}`)
}

/** Checks a value that no message may show. */
export function checkSecret(
  where: string,
  name: string,
  value: unknown,
  { pattern, expected }: { readonly pattern: RegExp; readonly expected: string },
): void {
  if (value === undefined || (typeof value === 'string' && pattern.test(value))) return
  throw new TypeError(`${where}: ${name} must be ${expected}`)
}

const NONE: ReadonlySet<string> = new Set()

function unknownOption(name: string, known: readonly string[]): string {
  const hint = didYouMean(name, known) ?? `there are ${known.join(', ')}`
  return `there is no option ${JSON.stringify(name)} (${hint})`
}

/** A value as a message shows it: long enough to be recognised, never complete. */
export function describeValue(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)
    case 'object':
      if (value === null) return 'null'
      return Array.isArray(value)
        ? describeList(value)
        : `an object (${value.constructor?.name ?? 'without a class'})`
    case 'function':
      return 'a function'
    default:
      return String(value)
  }
}

function describeList(values: readonly unknown[]): string {
  const shown = values.slice(0, 3).map((value) => (Array.isArray(value) ? '[…]' : describeValue(value)))
  return `[${[...shown, ...(values.length > 3 ? ['…'] : [])].join(', ')}]`
}

// ---------------------------------------------------------------------------------------------------------------------

/** Well-formed text, because names and addresses become URLs. */
export const textCheck: Check = (value) => {
  if (typeof value !== 'string' || value === '') return 'a string that is not empty'
  return value.isWellFormed() ? undefined : 'well-formed Unicode'
}
/** The message of a check shows the value, so `checkSecret` checks it. */
export const secretCheck: Check = () => undefined
export const flagCheck: Check = (value) => (typeof value === 'boolean' ? undefined : 'true or false')
export const objectCheck: Check = (value) => (isObject(value) ? undefined : 'an object')
export const functionCheck: Check = (value) => (typeof value === 'function' ? undefined : 'a function')

/** A lone surrogate has no bytes: it would become U+FFFD, and two keys would become the same. */
export const bytesCheck: Check = (value) => {
  if (typeof value === 'string')
    return value.isWellFormed() ? undefined : 'well-formed Unicode, or a Uint8Array'
  return types.isUint8Array(value) ? undefined : 'a string or a Uint8Array'
}

export const timeoutCheck: Check = (value) =>
  typeof value === 'number' && value > 0 ? undefined : 'a number of milliseconds above 0'

/** At most the milliseconds of a day. */
export const stalenessCheck: Check = (value) =>
  typeof value === 'number' && value > 0 && value <= 86_400_000
    ? undefined
    : 'a number of milliseconds above 0 and up to 86,400,000 (a day)'

export const wholeNumberCheck: Check = (value) =>
  Number.isSafeInteger(value) && Number(value) >= 0 ? undefined : 'a whole number from 0 on'

export const positiveCheck: Check = (value) =>
  Number.isSafeInteger(value) && Number(value) >= 1 ? undefined : 'a whole number from 1 on'

export const revisionCheck: Check = (value) =>
  Number.isSafeInteger(value) && Number(value) >= 1 ? undefined : 'a revision, a whole number from 1 on'

export const limitCheck: Check = (value) =>
  value === Number.POSITIVE_INFINITY ? undefined : wholeNumberCheck(value)

export const boundCheck: Check = (value) =>
  value === Number.POSITIVE_INFINITY || (Number.isSafeInteger(value) && Number(value) >= 1)
    ? undefined
    : 'a whole number from 1 on, or Infinity'

export const signalCheck: Check = (value) =>
  isObject(value) && typeof value.aborted === 'boolean' && typeof value.addEventListener === 'function'
    ? undefined
    : 'an AbortSignal'

/** Interval of the progress reports of a watch. */
export const progressCheck: Check = (value) =>
  typeof value === 'number' && value >= 100 && value <= 3_600_000
    ? undefined
    : 'a number of milliseconds from 100 to 3,600,000 (an hour)'

export const leaseCheck: Check = (value) =>
  typeof value === 'string' && isLeaseId(value) ? undefined : 'the id of a lease, a string of decimal digits'

export const ttlCheck: Check = (value) =>
  typeof value === 'number' && value >= 1_000 && value <= 315_360_000_000
    ? undefined
    : 'a number of milliseconds from 1,000 to 315,360,000,000 (ten years)'

export function checkOneLease(
  where: string,
  { lease, ttlMs }: { readonly lease?: unknown; readonly ttlMs?: unknown },
): void {
  if (lease !== undefined && ttlMs !== undefined)
    throw new TypeError(`${where}: lease and ttlMs contradict each other: a key has one lease`)
}

export const choiceCheck =
  (...options: readonly string[]): Check =>
  (value) =>
    options.some((option) => option === value) ? undefined : `one of ${options.join(', ')}`

export const listCheck =
  (check: Check, expected: string): Check =>
  (value) =>
    Array.isArray(value) && value.every((each) => check(each) === undefined) ? undefined : expected
