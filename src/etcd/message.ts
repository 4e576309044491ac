// Messages of etcd's API. A message is described once, by a table of its fields. Its type, its form in protocol buffers
// and its form in JSON (proto3's mapping, as etcd's gateway uses it) follow from that table.

import { decodeBase64, encodeBase64, encodeUtf8 } from '../bytes/index.ts'
import { FieldReader, FieldWriter, LENGTH, ProtobufError, VARINT } from './protobuf.ts'

/** How a value of a field is encoded. */
interface ValueForm<T> {
  readonly wireType: number
  /** The value of a field that is missing. */
  readonly zero: T
  isZero(value: T): boolean
  read(reader: FieldReader): T
  write(writer: FieldWriter, value: T): void
  toJson(value: T): unknown
  /** Throws `JsonFault`. */
  fromJson(json: unknown): T
}

/** A field of a message: its number, and its name in JSON unless that follows from its name here. */
interface Field<T> {
  readonly number: number
  readonly jsonName: string | undefined
  readonly form: ValueForm<unknown>
  readonly label: 'single' | 'optional' | 'repeated'
  readonly zero: T
}

type Fields = Readonly<Record<string, Field<unknown>>>

type ValuesOf<F extends Fields> = {
  readonly [N in keyof F]: F[N] extends Field<infer T> ? T : never
}

/** The values of a message. */
export type MessageOf<M> = M extends MessageCodec<infer T> ? T : never

/** JSON that is no message: `path` is the place of the fault. */
export class JsonFault extends Error {
  override readonly name = 'JsonFault'
}

/**
 * The values of a repeated field that are encoded already: each part has some of them, with their tags. A part has
 * memory of its own, as it is freed when it was sent.
 */
export class EncodedValues<T> implements Iterable<T> {
  readonly parts: readonly Uint8Array[]
  readonly length: number
  readonly #decode: (part: Uint8Array) => readonly T[]

  constructor(parts: readonly Uint8Array[], length: number, decode: (part: Uint8Array) => readonly T[]) {
    this.parts = parts
    this.length = length
    this.#decode = decode
  }

  *[Symbol.iterator](): Generator<T, void> {
    for (const part of this.parts) yield* this.#decode(part)
  }
}

/**
 * Frees the memory of a part that was sent. Many MiB of parts that wait for the collector of V8 make it trace all of
 * the heap.
 */
export const freePart = ({ buffer }: Uint8Array): void => {
  if (buffer instanceof ArrayBuffer) buffer.transfer(0)
}

/** The values of a message that is encoded as a whole. Fields may be missing, or be encoded already. */
export type Encodable<T> = {
  readonly [N in keyof T]?: T[N] | (T[N] extends readonly (infer V)[] ? EncodedValues<V> : never)
}

/** Nesting of messages, of which only transactions have much. */
const DEPTH_MAX = 64

/** A message with more fields than its receiver decodes. */
export class TooManyFieldsError extends ProtobufError {}

/** Fields of the message that is being decoded, and how many it may have. A message is decoded in one go. */
let fieldCount = 0
let fieldCountMax = Number.POSITIVE_INFINITY

function countField(): void {
  if (++fieldCount > fieldCountMax)
    throw new TooManyFieldsError(`a message has more than ${fieldCountMax} fields`)
}

export class MessageCodec<T> {
  readonly #fields: readonly MessageField[]
  readonly #byNumber: readonly (MessageField | undefined)[]
  readonly #byJsonName = new Map<string, MessageField>()
  readonly #zero: T

  constructor(fields: Fields) {
    this.#fields = Object.entries(fields).map(([name, field]) => {
      const jsonName = field.jsonName ?? name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
      return { ...field, name, jsonName }
    })
    const byNumber: (MessageField | undefined)[] = []
    for (const field of this.#fields) {
      byNumber[field.number] = field
      // proto3 accepts a name as it is in the definition, and in camel case.
      this.#byJsonName.set(field.jsonName, field).set(camelCase(field.jsonName), field)
    }
    this.#byNumber = Array.from(byNumber)
    this.#fields = this.#fields.toSorted((a, b) => b.number - a.number)
    this.#zero = Object.fromEntries(Object.entries(fields).map(([name, { zero }]) => [name, zero])) as T
  }

  /**
   * `fieldsMax`: of all nested messages together, with the elements of lists. Each takes a microsecond, and may have
   * two bytes. Throws `ProtobufError`.
   */
  decode(bytes: Uint8Array, fieldsMax = Number.POSITIVE_INFINITY): T {
    fieldCount = 0
    fieldCountMax = fieldsMax
    return this.read(new FieldReader(bytes), 0)
  }

  /** `head`: so many bytes before the message are left to the caller. */
  encode(value: Encodable<T>, head = 0): Uint8Array<ArrayBuffer> {
    this.write(WRITER, value)
    return WRITER.take(head)
  }

  /**
   * The same in parts, so that values which are encoded already are not copied. The first has the head. Those between
   * it and the last are parts of `EncodedValues`.
   */
  encodeInParts(value: Encodable<T>, head = 0): readonly Uint8Array[] {
    const all = value as Readonly<Record<string, unknown>>
    for (const { name, number } of this.#fields) {
      const values = all[name]
      if (!(values instanceof EncodedValues) || values.parts.length < 2) continue
      const before = this.#pick(all, (field) => field.number < number)
      const after = this.#pick(all, (field) => field.number > number)
      return [this.encode(before, head), ...values.parts, this.encode(after)]
    }
    return [this.encode(value, head)]
  }

  /** The fields before and after a field whose values are encoded elsewhere. */
  encodeAround(name: keyof T & string, value: Encodable<T>, head = 0): readonly [Uint8Array, Uint8Array] {
    const { number: at } = this.#named(name)
    const all = value as Readonly<Record<string, unknown>>
    const before = this.#pick(all, ({ number }) => number < at)
    const after = this.#pick(all, ({ number }) => number > at)
    return [this.encode(before, head), this.encode(after)]
  }

  /** The same in JSON: what stands before the first of its values, and behind the last one. */
  jsonAround(name: keyof T & string, value: Partial<T>): readonly [string, string] {
    const { number: at, jsonName } = this.#named(name)
    const all = value as Readonly<Record<string, unknown>>
    const before = JSON.stringify(this.toJson(this.#pick(all, ({ number }) => number < at) as Partial<T>))
    const after = JSON.stringify(this.toJson(this.#pick(all, ({ number }) => number > at) as Partial<T>))
    const begin = before === '{}' ? '{' : `${before.slice(0, -1)},`
    return [`${begin}"${jsonName}":[`, after === '{}' ? ']}' : `],${after.slice(1)}`]
  }

  /** One value of a repeated field. */
  elementJson(name: keyof T & string, value: unknown): string {
    return JSON.stringify(this.#named(name).form.toJson(value))
  }

  #named(name: string): MessageField {
    const field = this.#fields.find((each) => each.name === name)
    if (field === undefined) throw new Error(`a message has no field ${name}`)
    return field
  }

  #pick(value: Readonly<Record<string, unknown>>, isPicked: (field: MessageField) => boolean): Encodable<T> {
    const picked: Record<string, unknown> = {}
    for (const field of this.#fields) if (isPicked(field)) picked[field.name] = value[field.name]
    return picked as Encodable<T>
  }

  read(reader: FieldReader, depth: number): T {
    if (depth > DEPTH_MAX) throw new ProtobufError(`messages are nested deeper than ${DEPTH_MAX}`)
    const message = { ...this.#zero } as Record<string, unknown>
    while (!reader.isDone) {
      countField()
      const tag = reader.tag()
      const field = this.#byNumber[tag >>> 3]
      const wireType = tag & 7
      if (field === undefined) reader.skip(wireType)
      else if (wireType === field.form.wireType) {
        const { form, name } = field
        const value = form instanceof NestedForm ? form.readAt(reader, depth + 1) : form.read(reader)
        if (field.label !== 'repeated') message[name] = value
        else append(message, name, value)
      } else if (field.label === 'repeated' && wireType === LENGTH) {
        const packed = reader.nested()
        while (!packed.isDone) {
          countField()
          append(message, field.name, field.form.read(packed))
        }
      } else throw new ProtobufError(`the field ${field.jsonName} has the wire type ${wireType}`)
    }
    return message as T
  }

  write(writer: FieldWriter, value: Encodable<T>): void {
    const message = value as Readonly<Record<string, unknown>>
    for (const { number, name, form, label } of this.#fields) {
      const field = message[name]
      if (field === undefined) continue
      if (field instanceof EncodedValues) {
        for (let index = field.parts.length - 1; index >= 0; index--)
          writer.encoded(field.parts[index] as Uint8Array)
      } else if (label === 'repeated') {
        const list = field as readonly unknown[]
        for (let index = list.length - 1; index >= 0; index--) {
          form.write(writer, list[index])
          writer.tag(number, form.wireType)
        }
      } else if (label === 'optional' || !form.isZero(field)) {
        form.write(writer, field)
        writer.tag(number, form.wireType)
      }
    }
  }

  /** Fields with their default are left out, as etcd's gateway does. */
  toJson(value: Partial<T>): Record<string, unknown> {
    const message = value as Readonly<Record<string, unknown>>
    const json: Record<string, unknown> = {}
    for (let index = this.#fields.length - 1; index >= 0; index--) {
      const { name, jsonName, form, label } = this.#fields[index] as MessageField
      const field = message[name]
      if (field === undefined) continue
      if (label === 'repeated') {
        const list = field as readonly unknown[]
        if (list.length > 0) json[jsonName] = Array.from(list, (each) => form.toJson(each))
      } else if (label === 'optional' || !form.isZero(field)) json[jsonName] = form.toJson(field)
    }
    return json
  }

  /**
   * The JSON of a message in parts. A part is an element of a repeated field at most, so that a large message is
   * encoded in several turns.
   */
  *jsonParts(value: Encodable<T>): Generator<string, void> {
    const message = value as Readonly<Record<string, unknown>>
    let before = '{'
    for (let index = this.#fields.length - 1; index >= 0; index--) {
      const { name, jsonName, form, label } = this.#fields[index] as MessageField
      const field = message[name]
      if (field === undefined) continue
      if (label === 'repeated') {
        const list = field as readonly unknown[]
        if (list.length === 0) continue
        let between = `${before}"${jsonName}":[`
        for (const each of list) {
          yield between + JSON.stringify(form.toJson(each))
          between = ','
        }
        before = '],'
      } else if (label === 'optional' || !form.isZero(field)) {
        yield `${before}"${jsonName}":${JSON.stringify(form.toJson(field))}`
        before = ','
      }
    }
    yield END_AFTER[before] ?? '}'
  }

  /** Unknown fields are ignored. Throws `JsonFault`. */
  fromJson(json: unknown): T {
    if (typeof json !== 'object' || json === null || Array.isArray(json))
      throw new JsonFault('a message must be an object')
    const message = { ...this.#zero } as Record<string, unknown>
    for (const [jsonName, value] of Object.entries(json)) {
      const field = this.#byJsonName.get(jsonName)
      if (field === undefined || value === null) continue
      const { name, form, label } = field
      try {
        if (label !== 'repeated') message[name] = form.fromJson(value)
        else if (Array.isArray(value)) message[name] = value.map((each) => form.fromJson(each))
        else throw new JsonFault('must be a list')
      } catch (error) {
        throw error instanceof JsonFault ? new JsonFault(`${jsonName}: ${error.message}`) : error
      }
    }
    return message as T
  }
}

/** The end of a message in JSON, after what stands between its fields. */
const END_AFTER: Readonly<Record<string, string>> = { '{': '{}', '],': ']}' }

interface MessageField extends Field<unknown> {
  readonly name: string
  readonly jsonName: string
}

/** One writer for all messages: a message is written in one go. */
const WRITER = new FieldWriter()

/** The value of a repeated field without elements. */
const NONE: readonly never[] = Object.freeze([])

/** Lists grow in place: a list may arrive in as many parts as it has elements. */
function append(message: Record<string, unknown>, name: string, value: unknown): void {
  if (message[name] === NONE) message[name] = [value]
  else (message[name] as unknown[]).push(value)
}

const camelCase = (name: string): string =>
  name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())

/** Describes a message by its fields, in the order of their numbers. */
export const message = <F extends Fields>(fields: F): MessageCodec<ValuesOf<F>> => new MessageCodec(fields)

const single =
  <T>(form: ValueForm<T>) =>
  (number: number, jsonName?: string): Field<T> => ({
    number,
    jsonName,
    form: form as ValueForm<unknown>,
    label: 'single',
    zero: form.zero,
  })

/** A field whose absence means something, such as one of a `oneof`. */
export const optional = <T>(field: Field<T>): Field<T | undefined> => ({
  ...field,
  label: 'optional',
  zero: undefined,
})

export const repeated = <T>(field: Field<T>): Field<readonly Exclude<T, undefined>[]> => ({
  ...field,
  label: 'repeated',
  zero: NONE,
})

// ---------------------------------------------------------------------------------------------------------------------
// Values

/** The first numbers beyond those that fit. */
const INT32_END = 2n ** 31n
const INT64_END = 2n ** 63n
const UINT64_END = 2n ** 64n

const NO_BYTES = new Uint8Array()

export const bytes = single<Uint8Array>({
  wireType: LENGTH,
  zero: NO_BYTES,
  isZero: (value) => value.length === 0,
  read: (reader) => {
    const view = reader.view()
    // Not slice(): that of a Buffer shares the memory of all that has arrived.
    const copy = new Uint8Array(view.length)
    copy.set(view)
    return copy
  },
  write: (writer, value) => writer.bytes(value),
  toJson: encodeBase64,
  fromJson: (json) => {
    // Go's decoder skips the ends of lines too: encoders of PHP, Python and Ruby break lines (RFC 2045 §6.8).
    const text = asText(json)
      .replace(/[\r\n]/g, '')
      .replaceAll('-', '+')
      .replaceAll('_', '/')
    const decoded = decodeBase64(text.padEnd(Math.ceil(text.length / 4) * 4, '='))
    if (decoded === undefined) throw new JsonFault('must be bytes in base64')
    return decoded
  },
})

export const text = single<string>({
  wireType: LENGTH,
  zero: '',
  isZero: (value) => value === '',
  read: (reader) => reader.text(),
  write: (writer, value) => writer.bytes(encodeUtf8(value)),
  toJson: (value) => value,
  fromJson: asText,
})

export const bool = single<boolean>({
  wireType: VARINT,
  zero: false,
  isZero: (value) => !value,
  read: (reader) => reader.bool(),
  write: (writer, value) => writer.uint32(value ? 1 : 0),
  toJson: (value) => value,
  fromJson: (json) => {
    if (typeof json !== 'boolean') throw new JsonFault('must be true or false')
    return json
  },
})

/** An int64 or uint64 that counts something, such as a revision. Beyond 2^53 it is not exact. */
export const int64 = single<number>({
  wireType: VARINT,
  zero: 0,
  isZero: (value) => value === 0,
  read: (reader) => reader.int64(),
  write: (writer, value) => writer.int64(value),
  toJson: String,
  fromJson: (json) => Number(asInteger(json, -INT64_END, UINT64_END)),
})

export const int32 = single<number>({
  wireType: VARINT,
  zero: 0,
  isZero: (value) => value === 0,
  read: (reader) => reader.int32(),
  write: (writer, value) => writer.int64(value),
  toJson: (value) => value,
  fromJson: (json) => Number(asInteger(json, -INT32_END, INT32_END)),
})

/** An int64 all of whose bits count, such as the id of a lease. */
export const bigInt64 = single<bigint>({
  wireType: VARINT,
  zero: 0n,
  isZero: (value) => value === 0n,
  read: (reader) => reader.bigInt64(),
  write: (writer, value) => writer.bigInt64(value),
  toJson: String,
  fromJson: (json) => asInteger(json, -INT64_END, INT64_END),
})

/** A uint64 all of whose bits count, such as the id of a member. */
export const bigUint64 = single<bigint>({
  wireType: VARINT,
  zero: 0n,
  isZero: (value) => value === 0n,
  read: (reader) => reader.bigUint64(),
  write: (writer, value) => writer.bigInt64(value),
  toJson: String,
  fromJson: (json) => asInteger(json, 0n, UINT64_END),
})

/** A value of an enumeration, as its number. JSON has its name. Numbers without a name are kept. */
export const enumeration = (names: readonly string[]) =>
  single<number>({
    wireType: VARINT,
    zero: 0,
    isZero: (value) => value === 0,
    read: (reader) => reader.int32(),
    write: (writer, value) => writer.int64(value),
    toJson: (value) => names[value] ?? value,
    fromJson: (json) => {
      if (typeof json === 'number') return Number(asInteger(json, -INT32_END, INT32_END))
      const at = names.indexOf(asText(json))
      if (at < 0) throw new JsonFault(`must be one of ${names.join(', ')}`)
      return at
    },
  })

class NestedForm<T> implements ValueForm<Partial<T>> {
  readonly wireType = LENGTH
  readonly zero = {}
  readonly #message: () => MessageCodec<T>

  constructor(message: () => MessageCodec<T>) {
    this.#message = message
  }

  isZero(): boolean {
    return false
  }

  read(reader: FieldReader): T {
    return this.readAt(reader, 0)
  }

  readAt(reader: FieldReader, depth: number): T {
    return this.#message().read(reader.nested(), depth)
  }

  write(writer: FieldWriter, value: Partial<T>): void {
    const before = writer.length
    this.#message().write(writer, value)
    writer.uint32(writer.length - before)
  }

  toJson(value: Partial<T>): unknown {
    return this.#message().toJson(value)
  }

  fromJson(json: unknown): T {
    return this.#message().fromJson(json)
  }
}

/** A message within another one; undefined unless it is there. */
export const nested = <T>(
  number: number,
  message: () => MessageCodec<T>,
  jsonName?: string,
): Field<T | undefined> => ({
  number,
  jsonName,
  form: new NestedForm(message) as ValueForm<unknown>,
  label: 'optional',
  zero: undefined,
})

function asText(json: unknown): string {
  if (typeof json !== 'string') throw new JsonFault('must be a text')
  return json
}

/** An integer as a number or, since JavaScript cannot hold all of them, as decimal digits. */
function asInteger(json: unknown, least: bigint, end: bigint): bigint {
  const isInteger =
    typeof json === 'number' ? Number.isInteger(json) : typeof json === 'string' && /^-?\d{1,20}$/.test(json)
  if (!isInteger) throw new JsonFault('must be a whole number')
  const value = BigInt(json as number | string)
  if (value < least || value >= end) throw new JsonFault(`must be from ${least} to ${end - 1n}`)
  return value
}
