// The auth state: one row, which an entry writes as a whole. The registers of the store have its switch and its
// revision, so that apply needs no row to judge an entry. Texts and bytes are preceded by their length (4).
//
//   auth   key    9
//          value  key of the ids of leases; key of tokens; number of users (2), then for each, in the order of names:
//                   name, auth revision at which he was made (8), password hash or nothing, epoch (8), number of
//                   roles (2), their names
//                 number of roles (2), then for each, in the order of names: name, permissions
//
//   permissions   number (2), then for each: access (1): 1 read, 2 write, 3 readwrite, 4 admin
//                 and, but for the last: start; 0, or 1 and the end

import { Reader, Writer } from '../../bytes/index.ts'
import { MalformedBytesError, UnknownKindError } from '../errors.ts'
import { type AuthRole, type Permission, type Rows, TABLE_AUTH, type User } from '../types.ts'
import { ROOT } from './names.ts'
import { Rights } from './rights.ts'

export const AUTH_KEY = Uint8Array.of(TABLE_AUTH)

/** Users and roles at one auth revision. It does not change. */
/** Secrets of the cluster, of random bytes. Both are empty until rights were checked for the first time. */
export interface AuthKeys {
  /** It signs tokens. */
  readonly tokenKey: Uint8Array
  /** Without it nobody can predict the ids of leases. */
  readonly leaseIdKey: Uint8Array
}

export class AuthState {
  static readonly EMPTY = new AuthState(new Map(), new Map(), {
    tokenKey: new Uint8Array(0),
    leaseIdKey: new Uint8Array(0),
  })

  readonly users: ReadonlyMap<string, User>
  readonly roles: ReadonlyMap<string, AuthRole>
  readonly keys: AuthKeys
  #names: ReadonlyMap<number, string> | undefined
  readonly #rights = new Map<string, Rights>()

  constructor(users: ReadonlyMap<string, User>, roles: ReadonlyMap<string, AuthRole>, keys: AuthKeys) {
    this.users = users
    this.roles = roles
    this.keys = keys
  }

  /** The rights of the user who was made at this auth revision. undefined: there is no such user. */
  rightsOfUser(madeAt: number): Rights | undefined {
    this.#names ??= new Map([...this.users.values()].map((user) => [user.madeAt, user.name]))
    const name = this.#names.get(madeAt)
    return name === undefined ? undefined : this.rightsOf(name)
  }

  /** undefined: there is no such user. */
  rightsOf(name: string): Rights | undefined {
    const known = this.#rights.get(name)
    if (known !== undefined) return known
    const user = this.users.get(name)
    if (user === undefined) return undefined
    const rights = user.roles.includes(ROOT)
      ? Rights.ROOT
      : new Rights(user.roles.flatMap((role) => this.roles.get(role)?.permissions ?? []))
    this.#rights.set(name, rights)
    return rights
  }
}

export function encodeAuth({ users, roles, keys }: AuthState): Uint8Array {
  const to = new Writer().bytes(keys.leaseIdKey).bytes(keys.tokenKey).uint16(users.size)
  for (const { name, madeAt, passwordHash = '', roles: roleNames, epoch } of inOrder(users)) {
    to.utf8(name).uint64(madeAt).utf8(passwordHash).uint64(epoch)
    writeNames(to, roleNames)
  }
  to.uint16(roles.size)
  for (const { name, permissions } of inOrder(roles)) writePermissions(to.utf8(name), permissions)
  return to.written()
}

export function decodeAuth(bytes: Uint8Array): AuthState {
  const from = new Reader(bytes, 'the row of users and roles', MalformedBytesError)
  const leaseIdKey = from.bytes().slice()
  const tokenKey = from.bytes().slice()
  const users = new Map<string, User>()
  for (let left = from.uint16(); left > 0; left--) {
    const [name, madeAt, hash, epoch] = [from.utf8(), from.uint64(), from.utf8(), from.uint64()]
    const passwordHash = hash === '' ? undefined : hash
    users.set(name, { name, madeAt, passwordHash, epoch, roles: readNames(from) })
  }
  const roles = new Map<string, AuthRole>()
  for (let left = from.uint16(); left > 0; left--) {
    const name = from.utf8()
    roles.set(name, { name, permissions: readPermissions(from) })
  }
  from.end()
  return new AuthState(users, roles, { tokenKey, leaseIdKey })
}

/** The key of the ids of leases, from the head of the row. undefined: there is none yet. */
export function leaseIdKeyOf(rows: Pick<Rows, 'read'>): Uint8Array | undefined {
  const head = rows.read(AUTH_KEY, true)
  const key = head && new Reader(head.bytes, 'the row of users and roles', MalformedBytesError).bytes()
  return key === undefined || key.length === 0 ? undefined : key
}

const ACCESSES = ['read', 'write', 'readwrite', 'admin'] as const

export function writePermissions(to: Writer, permissions: readonly Permission[]): void {
  to.uint16(permissions.length)
  for (const { access, range } of permissions) {
    to.uint8(1 + ACCESSES.indexOf(access))
    if (range === undefined) continue
    to.bytes(range.start).flag(range.end !== undefined)
    if (range.end !== undefined) to.bytes(range.end)
  }
}

export const readPermissions = (from: Reader): readonly Permission[] =>
  Array.from({ length: from.uint16() }, () => {
    const code = from.uint8()
    const access = ACCESSES[code - 1]
    if (access === undefined) throw new UnknownKindError(`access ${code} of a permission`)
    if (access === 'admin') return { access, range: undefined }
    const start = from.bytes().slice()
    return { access, range: { start, end: from.flag() ? from.bytes().slice() : undefined } }
  })

export function writeNames(to: Writer, names: readonly string[]): void {
  to.uint16(names.length)
  for (const name of names) to.utf8(name)
}

export const readNames = (from: Reader): readonly string[] =>
  Array.from({ length: from.uint16() }, () => from.utf8())

const inOrder = <T extends { readonly name: string }>(named: ReadonlyMap<string, T>): readonly T[] =>
  [...named.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
