// The check of a body against its schema. A schema becomes nested functions, once for each route. A keyword that they
// do not know is an error at the start, so that no part of a schema goes unchecked.

import type { Schema } from './json-schema.ts'

/** Where a body does not fit, and the sentence about that place. */
interface Fault {
  readonly place: string
  readonly sentence: (place: string) => string
}

type Check = (value: unknown) => Fault | undefined

/** Returns what is wrong with a body; undefined: it fits. */
export function bodyCheck(schema: Schema): (body: unknown) => string | undefined {
  const root: Check = checkOf(schema, (value) => root(value))
  return (body) => {
    const fault = root(body)
    return fault?.sentence(fault.place.slice(1))
  }
}

/** Keywords that have schemas or types. */
interface Structure {
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: false
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
  readonly $ref?: '#'
  readonly description?: string
}

/** `root` is the check of `#`. */
function checkOf(schema: Schema, root: Check): Check {
  const { type, properties, required, additionalProperties, items, anyOf, $ref, description, ...limits } =
    schema as Structure
  if ($ref !== undefined) return root
  const checks = Object.entries(limits).map(([keyword, limit]) => limitCheck(keyword, limit))
  if (type !== undefined) checks.unshift(typeCheck([type].flat()))
  if (properties !== undefined) {
    const fields = Object.entries(properties).map(([name, of]) => [name, checkOf(of, root)] as const)
    checks.push(objectCheck(fields, additionalProperties === false, required))
  }
  if (items !== undefined) checks.push(itemsCheck(checkOf(items, root)))
  if (anyOf !== undefined) checks.push(anyCheck(anyOf.map((each) => checkOf(each, root))))
  return (value) => firstFault(checks, value)
}

function firstFault(checks: readonly Check[], value: unknown): Fault | undefined {
  for (const check of checks) {
    const fault = check(value)
    if (fault !== undefined) return fault
  }
  return undefined
}

const within = (step: string, { place, sentence }: Fault): Fault => ({ place: step + place, sentence })

const must = (what: string): Fault => ({
  place: '',
  sentence: (place) => `${place === '' ? 'the body' : place} must ${what}`,
})

const field = (what: string, name: string): Fault => ({
  place: '',
  sentence: (place) => `the body ${what} ${JSON.stringify(place === '' ? name : `${place}.${name}`)}`,
})

// ---------------------------------------------------------------------------------------------------------------------
// Keywords

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const TYPES: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: (value) => typeof value === 'string',
  integer: Number.isInteger,
  boolean: (value) => typeof value === 'boolean',
  null: (value) => value === null,
  array: Array.isArray,
  object: isRecord,
}

function typeCheck(names: readonly string[]): Check {
  const tests = names.map((name) => TYPES[name] ?? unknownKeyword(`type ${name}`))
  return checkUnless((value) => !tests.some((test) => test(value)), must(`be ${names.join(' or ')}`))
}

/** `isClosed`: other fields are a fault. */
function objectCheck(
  fields: readonly (readonly [name: string, check: Check])[],
  isClosed: boolean,
  required: readonly string[] = [],
): Check {
  const known = new Set(fields.map(([name]) => name))
  return (value) => {
    if (!isRecord(value)) return undefined
    for (const name of required) if (!Object.hasOwn(value, name)) return field('lacks the field', name)
    if (isClosed) for (const name in value) if (!known.has(name)) return field('has the unknown field', name)
    for (const [name, check] of fields) {
      const fault = Object.hasOwn(value, name) ? check(value[name]) : undefined
      if (fault !== undefined) return within(`.${name}`, fault)
    }
    return undefined
  }
}

const itemsCheck =
  (check: Check): Check =>
  (value) => {
    if (!Array.isArray(value)) return undefined
    for (const [at, item] of value.entries()) {
      const fault = check(item)
      if (fault !== undefined) return within(`[${at}]`, fault)
    }
    return undefined
  }

/** Reports the fault of the first schema. */
const anyCheck =
  (checks: readonly Check[]): Check =>
  (value) => {
    const faults = checks.map((check) => check(value))
    return faults.includes(undefined) ? undefined : faults[0]
  }

/** A keyword that says something about values of one type, and nothing about others. */
function limitCheck(keyword: string, limit: unknown): Check {
  if (keyword === 'enum' && Array.isArray(limit))
    return checkUnless((value) => !limit.includes(value), must(`be one of ${limit.join(', ')}`))
  if (keyword === 'pattern' && typeof limit === 'string') {
    const pattern = new RegExp(limit, 'u')
    const isBroken = (value: unknown): boolean => typeof value === 'string' && !pattern.test(value)
    return checkUnless(isBroken, must(`match pattern "${limit}"`))
  }
  if (typeof limit !== 'number') return unknownKeyword(keyword)
  switch (keyword) {
    case 'minimum':
      return checkUnless((value) => typeof value === 'number' && value < limit, must(`be >= ${limit}`))
    case 'maximum':
      return checkUnless((value) => typeof value === 'number' && value > limit, must(`be <= ${limit}`))
    case 'maxLength':
      return checkUnless(
        (value) => typeof value === 'string' && value.length > limit && [...value].length > limit,
        must(`NOT have more than ${limit} characters`),
      )
    case 'minItems':
      return checkUnless(
        (value) => Array.isArray(value) && value.length < limit,
        must(`NOT have fewer than ${limit} items`),
      )
    case 'maxItems':
      return checkUnless(
        (value) => Array.isArray(value) && value.length > limit,
        must(`NOT have more than ${limit} items`),
      )
    case 'minProperties':
    case 'maxProperties': {
      const sign = keyword === 'minProperties' ? 1 : -1
      return checkUnless(
        (value) => isRecord(value) && sign * Object.keys(value).length < sign * limit,
        must(`have exactly ${limit} of its fields`),
      )
    }
    default:
      return unknownKeyword(keyword)
  }
}

const checkUnless =
  (isBroken: (value: unknown) => boolean, fault: Fault): Check =>
  (value) =>
    isBroken(value) ? fault : undefined

function unknownKeyword(keyword: string): never {
  throw new Error(`bodies are not checked for ${keyword}`)
}
