// The parts of a frame's content: how each is written and read. A message is a list of fields, in the order of its
// bytes. Reading throws `MalformedError`.

import type { Reader, Writer } from '../../../bytes/index.ts'
import {
  asIndex,
  asReplicaId,
  asTerm,
  type LogIndex,
  type ReplicaId,
  type Term,
} from '../../../raft/types.ts'
import { MalformedError, readBig, writeBig } from './frames.ts'

export interface WireField<T> {
  write(out: Writer, value: T): void
  read(input: Reader): T
}

export const uint64: WireField<number> = {
  write: (out, value) => void out.uint64(value),
  read: (input) => input.uint64(),
}
export const float64: WireField<number> = {
  write: (out, value) => void out.float64(value),
  read: (input) => input.float64(),
}
export const flag: WireField<boolean> = {
  write: (out, value) => void out.flag(value),
  read: (input) => input.flag(),
}
export const utf8: WireField<string> = {
  write: (out, value) => void out.utf8(value),
  read: (input) => input.utf8(),
}
export const index: WireField<LogIndex> = { write: uint64.write, read: (input) => asIndex(input.uint64()) }
export const term: WireField<Term> = { write: uint64.write, read: (input) => asTerm(input.uint64()) }
export const big: WireField<bigint> = { write: writeBig, read: readBig }

export const replicaId: WireField<ReplicaId> = {
  write: utf8.write,
  read(input) {
    const text = input.utf8()
    try {
      return asReplicaId(text)
    } catch {
      throw new MalformedError('a replica id that is none')
    }
  },
}

/** The number of a name in `names`, in one byte. */
export const enumField = <Name extends string>(what: string, names: readonly Name[]): WireField<Name> => ({
  write: (out, name) => void out.uint8(names.indexOf(name)),
  read(input) {
    const name = names[input.uint8()]
    if (name === undefined) throw new MalformedError(`an unknown ${what}`)
    return name
  },
})

export const optional = <T>(field: WireField<T>): WireField<T | undefined> => ({
  write(out, value) {
    out.flag(value !== undefined)
    if (value !== undefined) field.write(out, value)
  },
  read: (input) => (input.flag() ? field.read(input) : undefined),
})

/** The number of elements, then each of them. An element takes at least one byte. */
export const listField = <T>(
  field: WireField<T>,
  countMax = Number.POSITIVE_INFINITY,
): WireField<readonly T[]> => ({
  write(out, values) {
    out.uint32(values.length)
    for (const value of values) field.write(out, value)
  },
  read(input) {
    const length = input.uint32()
    if (length > Math.min(countMax, input.left)) throw new MalformedError(`a list of ${length} elements`)
    return Array.from({ length }, () => field.read(input))
  },
})

export function structField<T extends object>(
  fields: { readonly [name in keyof T]: WireField<T[name]> },
): WireField<T> {
  const inOrder = Object.entries(fields) as [keyof T, WireField<T[keyof T]>][]
  return {
    write(out, value) {
      for (const [name, field] of inOrder) field.write(out, value[name])
    },
    read(input) {
      const value: Partial<T> = {}
      for (const [name, field] of inOrder) value[name] = field.read(input)
      return value as T
    },
  }
}
