// Documents as tables: the reader of each inverts its writer, and both agree with its schema. A reader ignores fields
// that it does not know, and names a field that is missing or wrong as JSON does.

import { globSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PermissionDocument } from '../../src/operations/documents/auth.ts'
import { ConsoleDocument } from '../../src/operations/documents/console.ts'
import type { Document, Kind, Table } from '../../src/operations/documents/document.ts'
import { ControlReplyDocument, ControlRequestDocument } from '../../src/operations/documents/supervisor.ts'
import { DisagreementError, type Fields, isObject } from '../../src/operations/forms/decode.ts'
import type { Permission } from '../../src/operations/forms/roles.ts'
import type { Schema } from '../../src/operations/http/json-schema.ts'
import '../runs.ts'

type AnyDocument = Document<Table>

const isDocument = (value: unknown): value is AnyDocument => isObject(value) && 'table' in value

const folder = join(import.meta.dirname, '../../src/operations/documents')
const documents: [string, AnyDocument][] = []
for (const file of globSync('*.ts', { cwd: folder }).sort()) {
  const exported: Fields = await import(join(folder, file))
  for (const [name, value] of Object.entries(exported)) if (isDocument(value)) documents.push([name, value])
}

// ---------------------------------------------------------------------------------------------------------------------
// JSON that fits a schema

const bytes = fc.uint8Array({ minLength: 1, maxLength: 10 })
const range = fc.oneof(
  fc.constantFrom(...[[], [0], [255]].map((each) => ({ start: Uint8Array.from(each), end: undefined }))),
  fc.record({ start: bytes, end: bytes }),
  bytes.map((key) => ({ start: key, end: Uint8Array.of(...key, 0) })),
)
const permission = fc
  .oneof(
    fc.record({ access: fc.constantFrom('read', 'write', 'readwrite'), range }),
    fc.constant<Permission>({ access: 'admin', range: undefined }),
  )
  .map((each) => PermissionDocument.encode(each))

function fits(schema: Schema): fc.Arbitrary<unknown> {
  const { type, anyOf, properties, required, items, enum: values, pattern } = schema
  // The schema names all bounds, of which a permission has only some.
  if (schema === PermissionDocument.schema) return permission
  if (Array.isArray(values)) return fc.constantFrom<unknown>(...values)
  if (Array.isArray(anyOf)) return fc.oneof(...anyOf.map((each: Schema) => fits(each)))
  if (type === 'array') return fc.array(fits(items as Schema), { maxLength: 3 })
  if (type === 'object') {
    const fields = Object.entries(properties as Readonly<Record<string, Schema>>)
    return fc.record(Object.fromEntries(fields.map(([name, field]) => [name, fits(field)])), {
      requiredKeys: required as string[],
      noNullPrototype: true,
    })
  }
  if (type === 'string')
    return typeof pattern === 'string' ? fc.stringMatching(new RegExp(pattern)) : fc.string()
  if (type === 'integer') return fc.nat(Number.MAX_SAFE_INTEGER)
  if (type === 'boolean') return fc.boolean()
  if (type === 'null') return fc.constant(null)
  throw new Error(`no values for ${JSON.stringify(schema)}`)
}

/** The value with a field of a newer version in each object. */
function extended(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(extended)
  if (!isObject(value)) return value
  const fields = Object.entries(value).map(([name, inside]) => [name, extended(inside)])
  return { ...Object.fromEntries(fields), of_the_future: 1 }
}

const without = (json: Fields, name: string): Fields =>
  Object.fromEntries(Object.entries(json).filter(([each]) => each !== name))

const example = ({ schema }: AnyDocument): Fields =>
  fc.sample(fits(schema), { seed: 1, numRuns: 1 })[0] as Fields

/** The message of an error about a field. */
const naming = (name: string): RegExp => new RegExp(`^("${name}"|unknown ${name}) `)

describe.each(documents)('%s', (_, document) => {
  const { schema } = document
  const readOf = (json: unknown) => () => document.decode(json)

  test('what fits its schema is read, and written again as it was', () => {
    fc.assert(
      fc.property(fits(schema), (json) => {
        expect(JSON.parse(document.stringify(document.decode(json) as never))).toStrictEqual(json)
      }),
    )
  })

  test('fields that it does not know are ignored', () => {
    fc.assert(
      fc.property(fits(schema), (json) => {
        expect(document.decode(extended(json))).toEqual(document.decode(json))
      }),
    )
  })

  test.each(Object.keys(schema.properties))('%s of another type is named', (name) => {
    const refused = expect(readOf({ ...example(document), [name]: { of: 'another type' } }))
    refused.toThrow(DisagreementError)
    refused.toThrow(naming(name))
  })

  test.each(schema.required as string[])('%s that is missing is named', (name) => {
    const refused = expect(readOf(without(example(document), name)))
    refused.toThrow(DisagreementError)
    refused.toThrow(naming(name))
  })

  test('something else than an object is an error', () => {
    for (const json of [null, [], 'text', 1]) expect(readOf(json)).toThrow(DisagreementError)
  })
})

test('the documents are found', () => {
  expect(documents.length).toBeGreaterThan(12)
})

test.each<[string, Kind<unknown, never>, string]>([
  ['a console', ConsoleDocument, 'kind'],
  ['a request', ControlRequestDocument, 'command'],
  ['a reply', ControlReplyDocument, 'ok'],
])('%s is the document that it names', (_, union, discriminant) => {
  fc.assert(
    fc.property(fits(union.schema), (json) => {
      const again: unknown = union.encode(union.decode(json, '') as never)
      expect(JSON.parse(JSON.stringify(again))).toStrictEqual(json)
    }),
  )
  expect(() => union.decode({ [discriminant]: 'lab' }, '')).toThrow(`unknown ${discriminant} lab`)
  expect(() => union.decode({}, '')).toThrow(DisagreementError)
  expect(() => union.decode('text', '')).toThrow(DisagreementError)
})
