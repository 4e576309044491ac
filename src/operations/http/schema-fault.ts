// The first fault of a document that does not fit its schema, and its description. A node finds faults with Ajv, which
// compiles each schema to code. The policy of the console allows no compiled code, so it reads the schema itself.

import { isObject } from '../forms/decode.ts'
import type { Schema } from './json-schema.ts'
import { elementPath, fieldPath } from './json-text.ts'

export interface SchemaFault {
  /** The keyword of the schema that is violated. */
  readonly keyword: string
  /** The value at fault, as in JavaScript: `changes[3].put`. Empty: the whole document. */
  readonly path: string
  /** The field that is unknown or lacking there. */
  readonly name?: string | undefined
  /** The values, types or number that the keyword allows. */
  readonly allowed?: readonly unknown[]
  /** The words of Ajv: `must be >= 1`. */
  readonly message?: string
}

/** The sentence about the fault, which names the field: `leases.duration_ms must be integer`. */
export function describeSchemaFault(fault: SchemaFault): string {
  const { keyword, path, name = '', allowed = [], message } = fault
  const field = JSON.stringify(fieldPath(path, name))
  if (keyword === 'additionalProperties') return `the body has the unknown field ${field}`
  if (keyword === 'required') return `the body lacks the field ${field}`
  const named = path === '' ? 'the body' : path
  if (keyword === 'enum') return `${named} must be one of ${allowed.join(', ')}`
  if (keyword === 'type') return `${named} must be ${allowed.join(' or ')}`
  if (keyword === 'minProperties' || keyword === 'maxProperties')
    return `${named} must have exactly ${allowed.join()} of its fields`
  return `${named} ${message}`
}

/** Returns the fault that Ajv finds first; undefined: the document fits. A `$ref` means the whole schema. */
export function findSchemaFault(schema: Schema, document: unknown): SchemaFault | undefined {
  const find: Find = (part, value, path) => {
    const unknown = Object.keys(part).find((keyword) => !(keyword in CHECKS) && !WITHOUT_CHECK.has(keyword))
    if (unknown !== undefined) throw new Error(`no check of the keyword ${unknown}`)
    if (part.$ref !== undefined) return find(schema, value, path)
    for (const [keyword, check] of Object.entries(CHECKS)) {
      const rule = part[keyword]
      const fault = rule === undefined ? undefined : check(rule, { keyword, value, path, part, find })
      if (fault !== undefined) return fault
    }
    return undefined
  }
  return find(schema, document, '')
}

type Find = (part: Schema, value: unknown, path: string) => SchemaFault | undefined

interface Place {
  readonly keyword: string
  readonly value: unknown
  readonly path: string
  /** The schema of the value. */
  readonly part: Schema
  readonly find: Find
}

/** `rule` is the value of the keyword. A keyword means nothing for a value of another type. */
type Check = (rule: unknown, place: Place) => SchemaFault | undefined

/** Keywords that refuse nothing by themselves. */
const WITHOUT_CHECK: ReadonlySet<string> = new Set(['description', '$id', '$ref'])

/** In the order of Ajv. */
const CHECKS: Readonly<Record<string, Check>> = {
  type(rule, { keyword, value, path }) {
    const allowed = [rule].flat()
    return allowed.some((type) => hasType(value, type)) ? undefined : { keyword, path, allowed }
  },
  maximum: (rule, { keyword, value, path }) =>
    typeof value === 'number' && value > Number(rule)
      ? { keyword, path, message: `must be <= ${rule}` }
      : undefined,
  minimum: (rule, { keyword, value, path }) =>
    typeof value === 'number' && value < Number(rule)
      ? { keyword, path, message: `must be >= ${rule}` }
      : undefined,
  pattern: (rule, { keyword, value, path }) =>
    typeof value === 'string' && !new RegExp(String(rule), 'u').test(value)
      ? { keyword, path, message: `must match pattern "${rule}"` }
      : undefined,
  enum(rule, { keyword, value, path }) {
    const allowed = rule as readonly unknown[]
    return allowed.includes(value) ? undefined : { keyword, path, allowed }
  },
  items: (rule, { value, path, find }) =>
    Array.isArray(value)
      ? findFirst(value.entries(), ([at, each]) => find(rule as Schema, each, elementPath(path, at)))
      : undefined,
  maxProperties: (rule, { keyword, value, path }) =>
    isObject(value) && Object.keys(value).length > Number(rule)
      ? { keyword, path, allowed: [rule] }
      : undefined,
  minProperties: (rule, { keyword, value, path }) =>
    isObject(value) && Object.keys(value).length < Number(rule)
      ? { keyword, path, allowed: [rule] }
      : undefined,
  required(rule, { keyword, value, path }) {
    const names = rule as readonly string[]
    const name = isObject(value) ? names.find((each) => !Object.hasOwn(value, each)) : undefined
    return name === undefined ? undefined : { keyword, path, name }
  },
  /** The only rule is `false`. */
  additionalProperties(_, { keyword, value, path, part }) {
    const known = part.properties as object
    const name = isObject(value) ? Object.keys(value).find((each) => !Object.hasOwn(known, each)) : undefined
    return name === undefined ? undefined : { keyword, path, name }
  },
  properties: (rule, { value, path, find }) =>
    isObject(value)
      ? findFirst(Object.entries(rule as Record<string, Schema>), ([name, part]) =>
          Object.hasOwn(value, name) ? find(part, value[name], fieldPath(path, name)) : undefined,
        )
      : undefined,
}

function hasType(value: unknown, type: unknown): boolean {
  if (type === 'array') return Array.isArray(value)
  if (type === 'object') return isObject(value)
  if (type === 'integer') return Number.isInteger(value)
  if (type === 'null') return value === null
  return typeof value === type
}

function findFirst<T, R>(list: Iterable<T>, find: (each: T) => R | undefined): R | undefined {
  for (const each of list) {
    const found = find(each)
    if (found !== undefined) return found
  }
  return undefined
}
