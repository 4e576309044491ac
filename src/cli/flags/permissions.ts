// Permissions on the command line: `read KEY`, `write --prefix P`, `readwrite --range A B`, `read --all`, `admin`.
//
// A role has at most one permission for each range: granting `write` beside `read` makes it `readwrite`, and revoking
// `write` from that leaves `read`.

import type { PermittedRange, RolePermission } from '../../client/index.ts'
import { afterPrefix, keyText } from '../../client/transact.ts'
import { Failure } from '../../local/failure.ts'
import type { Access } from '../../operations/forms/roles.ts'
import { EXIT } from '../exit-codes.ts'
import { formatWord } from '../format/word.ts'

interface RangeFlags {
  readonly prefix?: string | undefined
  readonly range?: readonly string[] | undefined
  readonly all?: true | undefined
}

/** The permission that the arguments name. */
export function permissionFrom(access: Access, key: string | undefined, flags: RangeFlags): RolePermission {
  const { prefix, range, all } = flags
  const forms = [key, prefix, range, all].filter((form) => form !== undefined)
  if (access === 'admin') {
    if (forms.length === 0) return { access }
    throw new Failure(EXIT.usage, 'admin covers members, settings, users and roles: it has no keys')
  }
  if (forms.length !== 1)
    throw new Failure(EXIT.usage, 'name either a key, or --prefix P, or --range A B, or --all')
  return { access, ...rangeFrom(key, flags) }
}

function rangeFrom(key: string | undefined, { prefix, range }: RangeFlags): PermittedRange {
  if (key === '') throw new Failure(EXIT.usage, 'the key is empty')
  if (key !== undefined) return { key }
  if (prefix !== undefined) return { prefix }
  if (range === undefined) return { all: true }
  const [start = '', end] = range
  if (range.length !== 2 || end === undefined)
    throw new Failure(EXIT.usage, "--range has two keys, A and B: from A on, before B; '' is no bound")
  if (end === '') return { start }
  return start < end ? { start, end } : emptyRange(start, end)
}

function emptyRange(start: string, end: string): never {
  throw new Failure(
    EXIT.usage,
    `no key is from ${JSON.stringify(start)} on and before ${JSON.stringify(end)}`,
  )
}

export function addPermission(
  permissions: readonly RolePermission[],
  added: RolePermission,
): readonly RolePermission[] {
  const others = permissions.filter((each) => !isSameRange(each, added))
  const same = permissions.filter((each) => isSameRange(each, added))
  return [...others, withAccess(added, [...same, added].flatMap(splitAccess))]
}

/** undefined: the role has nothing of it. */
export function removePermission(
  permissions: readonly RolePermission[],
  removed: RolePermission,
): readonly RolePermission[] | undefined {
  const same = permissions.filter((each) => isSameRange(each, removed))
  const before = same.flatMap(splitAccess)
  const left = before.filter((access) => !splitAccess(removed).includes(access))
  if (left.length === before.length) return undefined
  const others = permissions.filter((each) => !isSameRange(each, removed))
  return left.length === 0 ? others : [...others, withAccess(removed, left)]
}

const splitAccess = ({ access }: RolePermission): readonly ('read' | 'write' | 'admin')[] =>
  access === 'readwrite' ? ['read', 'write'] : [access]

function withAccess(
  permission: RolePermission,
  accesses: readonly ('read' | 'write' | 'admin')[],
): RolePermission {
  if (permission.access === 'admin') return permission
  const isBoth = accesses.includes('read') && accesses.includes('write')
  return { ...permission, access: isBoth ? 'readwrite' : accesses.includes('read') ? 'read' : 'write' }
}

function isSameRange(one: RolePermission, other: RolePermission): boolean {
  const [a, b] = [permissionBounds(one), permissionBounds(other)]
  return a?.start === b?.start && a?.end === b?.end
}

/** Range of a permission, `end` exclusive; undefined: the permission has no range. */
function permissionBounds(
  permission: RolePermission,
): { start: string; end: string | undefined } | undefined {
  if (permission.access === 'admin') return undefined
  const name = (key: string | Uint8Array): string => keyText(Buffer.from(key as string))
  if ('key' in permission) return { start: name(permission.key), end: `${name(permission.key)}\0` }
  if ('prefix' in permission) {
    const start = name(permission.prefix)
    return { start, end: afterPrefix(start) }
  }
  if ('all' in permission) return { start: '', end: undefined }
  const start = 'start' in permission ? permission.start : ''
  return { start: name(start), end: permission.end && name(permission.end) }
}

/** A permission in the words of the command line, with keys as words. */
export function permissionText(permission: RolePermission): string {
  const { access } = permission
  if (access === 'admin') return access
  if ('key' in permission) return `${access} ${word(permission.key)}`
  if ('prefix' in permission) return `${access} --prefix ${word(permission.prefix)}`
  if ('all' in permission) return `${access} --all`
  const start = 'start' in permission ? permission.start : ''
  return `${access} --range ${word(start)} ${word(permission.end ?? '')}`
}

const word = (key: string | Uint8Array): string => formatWord(Buffer.from(key as string))
