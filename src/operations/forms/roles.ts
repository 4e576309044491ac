// Users and roles, as operations name them.

import { bytesDocument } from './bytes.ts'
import { type KeyRange, nameRange } from './places.ts'

export const ACCESSES = ['read', 'write', 'readwrite', 'admin'] as const
export type Access = (typeof ACCESSES)[number]

/** `admin` covers members, settings, compaction, backup and the users themselves; it has no range. */
export type Permission =
  | { readonly access: 'read' | 'write' | 'readwrite'; readonly range: KeyRange }
  | { readonly access: 'admin'; readonly range: undefined }

export interface AuthRole {
  readonly name: string
  readonly permissions: readonly Permission[]
}

export function rangeDocument(range: KeyRange): object {
  const named = nameRange(range)
  if ('all' in named) return named
  if ('key' in named) return { key: bytesDocument(named.key) }
  if ('prefix' in named) return { prefix: bytesDocument(named.prefix) }
  const { start, end } = named
  return { start: bytesDocument(start), ...(end === undefined ? {} : { end: bytesDocument(end) }) }
}
