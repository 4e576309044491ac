// JSON documents as tables: the type, the schema, the writer and the reader of a document follow from one table of its
// fields. A table has the names of TypeScript (`clusterId`); JSON has the same in snake_case (`cluster_id`), unless the
// kind of the field has a name of its own.
//
// Records, pages and events are written by hand: a node writes thousands of them a second.

import {
  decodeBoolean,
  decodeList,
  decodeObject,
  decodeRevision,
  decodeString,
  decodeWholeNumber,
  disagree,
  type Fields,
} from '../forms/decode.ts'
import type { Revision } from '../forms/store.ts'
import {
  anyOfSchema,
  arraySchema,
  boolean,
  integer,
  nothing,
  type Schema,
  string,
} from '../http/json-schema.ts'

/** A kind of value in JSON: how it is described, written and read. */
export interface Kind<Out, In = Out> {
  readonly schema: Schema
  /** The field may be missing. */
  readonly isOptional?: boolean
  /** Name of the field in JSON; undefined: that of the table, in snake_case. */
  readonly json?: string
  /** The value as JSON; undefined: the field is left out. */
  readonly encode: (value: In) => unknown
  /** Throws `DisagreementError`. `name`: that of the field in JSON. */
  readonly decode: (value: unknown, name: string) => Out
}

interface AnyKind {
  readonly schema: Schema
  readonly isOptional?: boolean
  readonly json?: string
  readonly encode: (value: never) => unknown
  readonly decode: (value: unknown, name: string) => unknown
}

export type Table = Readonly<Record<string, AnyKind>>

/** The value that a reader makes of a document with these fields. */
export type Decoded<T extends Table> = { readonly [Name in keyof T]: ReturnType<T[Name]['decode']> }
/** The value that a writer needs for it. */
export type Encoded<T extends Table> = { readonly [Name in keyof T]: Parameters<T[Name]['encode']>[0] }

export interface Document<T extends Table> extends Kind<Decoded<T>, Encoded<T>> {
  readonly table: T
  readonly schema: Schema & { readonly properties: Readonly<Record<string, Schema>> }
  readonly encode: (value: Encoded<T>) => Fields
  /** The text of the JSON. */
  readonly stringify: (value: Encoded<T>) => string
  readonly decode: (value: unknown) => Decoded<T>
}

/** The type of a document, as its reader makes it. */
export type DocumentType<D> = D extends Document<infer T> ? Decoded<T> : never

/** `what` names it in the error for something else, such as `a member`. */
export function document<T extends Table>(what: string, table: T): Document<T> {
  const fields = Object.entries(table).map(([name, kind]) => ({
    name,
    json: kind.json ?? snakeCase(name),
    kind,
  }))
  const properties = Object.fromEntries(fields.map(({ json, kind }) => [json, kind.schema]))
  const required = fields.filter(({ kind }) => kind.isOptional !== true).map(({ json }) => json)
  const encode = (value: Encoded<T>): Fields => {
    const values: Fields = value
    // The compiler has compared the values with the table.
    return Object.fromEntries(
      fields.map(({ name, json, kind }) => [json, kind.encode(values[name] as never)]),
    )
  }
  return {
    table,
    schema: { type: 'object', properties, required },
    encode,
    stringify: (value) => JSON.stringify(encode(value)),
    decode(value) {
      const values = decodeObject(value, what)
      const decoded = fields.map(({ name, json, kind }) => [name, kind.decode(values[json], json)])
      return Object.fromEntries(decoded) as Decoded<T>
    },
  }
}

interface AnyDocument extends AnyKind {
  readonly table: Table
}

/** The value that a writer needs for the document. */
type EncodedType<D> = D extends Document<infer T> ? Encoded<T> : never

/**
 * One of several documents. Each has the field `discriminant`, of a kind `oneOf` with values that no other one has, and
 * a name that is the same in JSON. `what` names it in the error for something else.
 */
export function union<const D extends AnyDocument>(
  what: string,
  discriminant: string,
  documents: readonly D[],
): Kind<DocumentType<D>, EncodedType<D>> {
  const known = oneOf(documents.flatMap((each) => valuesOf(each, discriminant)))
  const find = (value: unknown): D => {
    const named = known.decode(decodeObject(value, what)[discriminant], discriminant)
    return documents.find((each) => valuesOf(each, discriminant).includes(named)) ?? disagree(what)
  }
  return {
    schema: anyOfSchema(...documents.map(({ schema }) => schema)),
    // The compiler does not see that the document is the one of the value.
    encode: (value) => find(value).encode(value as never),
    decode: (value) => find(value).decode(value, what) as DocumentType<D>,
  }
}

const valuesOf = ({ table }: AnyDocument, discriminant: string): readonly (string | boolean)[] =>
  (table[discriminant]?.schema.enum ?? []) as readonly (string | boolean)[]

const snakeCase = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

// ---------------------------------------------------------------------------------------------------------------------
// Kinds

const itself = <T>(value: T): T => value

export const text: Kind<string> = { schema: string, encode: itself, decode: decodeString }
export const flag: Kind<boolean> = { schema: boolean, encode: itself, decode: decodeBoolean }
/** An index, a count, or a time. */
export const wholeNumber: Kind<number> = { schema: integer, encode: itself, decode: decodeWholeNumber }
export const revision: Kind<Revision, number> = { schema: integer, encode: itself, decode: decodeRevision }

/** A whole number that may be negative. */
export const signedNumber: Kind<number> = {
  schema: integer,
  encode: itself,
  decode: (value, name) =>
    typeof value === 'number' && Number.isSafeInteger(value)
      ? value
      : disagree(`"${name}" is not a whole number`),
}

export const oneOf = <const T extends string | boolean>(values: readonly T[]): Kind<T> => ({
  schema: { ...(typeof values[0] === 'boolean' ? boolean : string), enum: values },
  encode: itself,
  decode: (value, name) => values.find((each) => each === value) ?? disagree(`unknown ${name} ${value}`),
})

export const listOf = <Out, In>(kind: Kind<Out, In>): Kind<readonly Out[], readonly In[]> => ({
  schema: arraySchema(kind.schema),
  encode: (values) => values.map(kind.encode),
  decode: (value, name) => decodeList(value, name).map((each) => kind.decode(each, name)),
})

/** null in JSON: nobody knows it. */
export const orNull = <Out, In>(kind: Kind<Out, In>): Kind<Out | undefined, In | undefined> => ({
  schema: anyOfSchema(kind.schema, nothing),
  encode: (value) => (value === undefined ? null : kind.encode(value)),
  decode: (value, name) => (value === null ? undefined : kind.decode(value, name)),
})

/** The field is left out where nobody knows it. */
export const optional = <Out, In>(kind: Kind<Out, In>): Kind<Out | undefined, In | undefined> => ({
  schema: kind.schema,
  isOptional: true,
  encode: (value) => (value === undefined ? undefined : kind.encode(value)),
  decode: (value, name) => (value === undefined || value === null ? undefined : kind.decode(value, name)),
})

/** The kind with more in its schema. */
export const described = <Out, In>(more: string | Schema, kind: Kind<Out, In>): Kind<Out, In> => ({
  ...kind,
  schema: { ...kind.schema, ...(typeof more === 'string' ? { description: more } : more) },
})

/** The kind under another name in JSON than that of the table in snake_case. */
export const spelled = <Out, In>(json: string, kind: Kind<Out, In>): Kind<Out, In> => ({ ...kind, json })
