// Users and roles, as operations name them.

import type { KeyRange } from './places.ts'

export type Access = 'read' | 'write' | 'readwrite' | 'admin'

/** `admin` covers members, settings, compaction, backup and the users themselves; it has no range. */
export type Permission =
  | { readonly access: 'read' | 'write' | 'readwrite'; readonly range: KeyRange }
  | { readonly access: 'admin'; readonly range: undefined }

export interface AuthRole {
  readonly name: string
  readonly permissions: readonly Permission[]
}
