// JSON Schema as plain data. OpenAPI, the check of a body and the type of its handler are taken from it. A library for
// schemas used a quarter of the processor time of each start.

export type Schema = Readonly<Record<string, unknown>>
type Properties = Readonly<Record<string, Schema>>

/** The type of a value that fits the schema. */
export type FromSchema<S> = S extends { readonly type: readonly ['string', infer T] }
  ? string | FromSchema<Omit<S, 'type'> & { readonly type: T }>
  : S extends { readonly properties: infer P; readonly required: readonly (infer R)[] }
    ? { readonly [K in keyof P & R]: FromSchema<P[K]> } & {
        readonly [K in Exclude<keyof P, R>]?: FromSchema<P[K]>
      }
    : S extends { readonly type: 'array'; readonly items: infer I }
      ? readonly FromSchema<I>[]
      : S extends { readonly type: infer T extends keyof Scalars }
        ? Scalars[T]
        : unknown

interface Scalars {
  readonly string: string
  readonly integer: number
  readonly boolean: boolean
}

export const string = { type: 'string' } as const
export const integer = { type: 'integer' } as const
export const boolean = { type: 'boolean' } as const
export const nothing = { type: 'null' } as const

export const arraySchema = <S extends Schema>(items: S) => ({ type: 'array', items }) as const
/** A string, or a value of the schema. An error names the fault inside the value, which it does not with `anyOf`. */
export const stringOr = <S extends { readonly type: string }>(schema: S) =>
  ({ ...schema, type: ['string', schema.type] }) as Omit<S, 'type'> & {
    readonly type: readonly ['string', S['type']]
  }
export const anyOfSchema = <const S extends readonly Schema[]>(...schemas: S) => ({ anyOf: schemas }) as const

/** The names in `required` and `optional` differ. */
export function object<R extends Properties, O extends Properties = Record<never, never>>(
  required: R,
  optional?: O,
) {
  // TypeScript knows neither the keys of an object nor that a spread of two objects has the properties of both.
  const names = Object.keys(required) as (keyof R & string)[]
  return { type: 'object', properties: { ...required, ...optional } as R & O, required: names } as const
}

/** Other properties are refused. */
export const closed = <S extends Schema>(schema: S) => ({ ...schema, additionalProperties: false }) as const
