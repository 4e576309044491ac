// Users and roles, each in a row of its own, so that a change costs what it changes. The registers of the store have
// the switch and the auth revision, so that apply needs no row to judge an entry. Texts and bytes are preceded by their
// length (4).
//
//   auth   key    9
//          value  key of the ids of leases; key of tokens; bytes of users and roles (4); number of users (4), then for
//                 each, in the order of names: name, auth revision at which the user was made (8); number of roles (4),
//                 their names in order
//   user   key    9, 1, name
//          value  password hash or nothing, epoch (8), number of roles (2), their names
//   role   key    9, 2, name
//          value  permissions
//
//   permissions   number (2), then for each: access (1): 1 read, 2 write, 3 readwrite, 4 admin
//                 and, but for the last: start; 0, or 1 and the end

import { decodeUtf8, encodeUtf8, Reader, Writer } from '../../bytes/index.ts'
import type { AuthRole, Permission } from '../../operations/forms/index.ts'
import { MalformedBytesError, UnknownKindError } from '../errors.ts'
import { type Rows, TABLE_AUTH, type User, type UserIdentity } from '../types.ts'
import { ROOT } from './names.ts'
import { Rights } from './rights.ts'

export const AUTH_KEY = Uint8Array.of(TABLE_AUTH)
const [USER, ROLE] = [1, 2]

export const userKey = (name: string): Uint8Array => Uint8Array.of(TABLE_AUTH, USER, ...encodeUtf8(name))
/** The row of the user root. */
export const ROOT_KEY = userKey(ROOT)
export const roleKey = (name: string): Uint8Array => Uint8Array.of(TABLE_AUTH, ROLE, ...encodeUtf8(name))

// ---------------------------------------------------------------------------------------------------------------------
// Rows

/** Secrets of the cluster, of random bytes. Both are empty until rights were checked for the first time. */
export interface AuthKeys {
  /** Key that signs tokens. */
  readonly tokenKey: Uint8Array
  /** Key from which the ids of leases are made, so that nobody without it can predict them. */
  readonly leaseIdKey: Uint8Array
}

const NO_KEYS: AuthKeys = { tokenKey: new Uint8Array(0), leaseIdKey: new Uint8Array(0) }

/** The row of what all users and roles share. */
export interface AuthHead {
  readonly keys: AuthKeys
  /** The share of `AUTH_BYTES_MAX` that users and roles count. */
  readonly bytes: number
  /** The users, in the order of their names. */
  readonly users: readonly UserIdentity[]
  readonly roles: readonly string[]
}

const NO_AUTH: AuthHead = { keys: NO_KEYS, bytes: 0, users: [], roles: [] }

export function encodeAuthHead({ keys, bytes, users, roles }: AuthHead): Uint8Array {
  const to = new Writer().bytes(keys.leaseIdKey).bytes(keys.tokenKey).uint32(bytes)
  to.uint32(users.length)
  for (const { name, madeAt } of users) to.utf8(name).uint64(madeAt)
  to.uint32(roles.length)
  for (const name of roles) to.utf8(name)
  return to.written()
}

export function decodeAuthHead(bytes: Uint8Array): AuthHead {
  const from = new Reader(bytes, 'the row of users and roles', MalformedBytesError)
  const leaseIdKey = from.bytes().slice()
  const keys = { leaseIdKey, tokenKey: from.bytes().slice() }
  const bytesOfAll = from.uint32()
  const users = Array.from({ length: from.uint32() }, () => ({ name: from.utf8(), madeAt: from.uint64() }))
  const roles = Array.from({ length: from.uint32() }, () => from.utf8())
  from.end()
  return { keys, bytes: bytesOfAll, users, roles }
}

/** The key of the ids of leases, at the beginning of the row. undefined: there is none yet. */
export function readLeaseIdKey(rows: Pick<Rows, 'read'>): Uint8Array | undefined {
  const head = rows.read(AUTH_KEY, true)
  const key = head && new Reader(head.bytes, 'the row of users and roles', MalformedBytesError).bytes()
  return key === undefined || key.length === 0 ? undefined : key
}

export function encodeUser({ passwordHash = '', epoch, roles }: User): Uint8Array {
  const to = new Writer().utf8(passwordHash).uint64(epoch)
  writeNames(to, roles)
  return to.written()
}

export function decodeUserRow({ name, madeAt }: UserIdentity, bytes: Uint8Array): User {
  const from = new Reader(bytes, 'the row of a user', MalformedBytesError)
  const [hash, epoch] = [from.utf8(), from.uint64()]
  const passwordHash = hash === '' ? undefined : hash
  const user = { name, madeAt, passwordHash, epoch, roles: readNames(from) }
  from.end()
  return user
}

export function encodeRole({ permissions }: Pick<AuthRole, 'permissions'>): Uint8Array {
  const to = new Writer()
  writePermissions(to, permissions)
  return to.written()
}

/** The permissions have views of the bytes. */
function decodeRoleRow(name: string, bytes: Uint8Array): AuthRole {
  const from = new Reader(bytes, 'the row of a role', MalformedBytesError)
  const permissions = readPermissions(from)
  from.end()
  return { name, permissions }
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
    const start = from.bytes()
    return { access, range: { start, end: from.flag() ? from.bytes() : undefined } }
  })

export function writeNames(to: Writer, names: readonly string[]): void {
  to.uint16(names.length)
  for (const name of names) to.utf8(name)
}

export const readNames = (from: Reader): readonly string[] =>
  Array.from({ length: from.uint16() }, () => from.utf8())

// ---------------------------------------------------------------------------------------------------------------------
// Users and roles in memory

/** Users, or roles. */
export interface ByName<T> {
  readonly size: number
  has(name: string): boolean
  get(name: string): T | undefined
  /** In order. */
  keys(): Iterable<string>
}

/** The names of users by the auth revision at which they were made. */
type NamesOfUsers = ReadonlyMap<number, string>

/** Users and roles at one auth revision. */
export class AuthState {
  static readonly EMPTY = new AuthState(new Map(), new Map(), new Map(), NO_KEYS)

  readonly users: ByName<User>
  readonly roles: ByName<AuthRole>
  readonly keys: AuthKeys
  readonly #names: NamesOfUsers
  readonly #rights = new Map<string, Rights>()
  readonly #rightsOfRoles: RightsOfRoles

  constructor(
    users: ByName<User>,
    roles: ByName<AuthRole>,
    names: NamesOfUsers,
    keys: AuthKeys,
    rightsOfRoles: RightsOfRoles = new Map(),
  ) {
    this.users = users
    this.roles = roles
    this.#names = names
    this.keys = keys
    this.#rightsOfRoles = rightsOfRoles
  }

  /** The user who was made at this auth revision. undefined: there is no such user. */
  userMadeAt(madeAt: number): User | undefined {
    const name = this.#names.get(madeAt)
    return name === undefined ? undefined : this.users.get(name)
  }

  /** The rights of that user. undefined: there is no such user. */
  rightsOfUser(madeAt: number): Rights | undefined {
    const name = this.#names.get(madeAt)
    return name === undefined ? undefined : this.findRights(name)
  }

  /**
   * undefined: there is no such user. Users with the same roles have the same object, and keep it until one of these
   * roles is changed.
   */
  findRights(name: string): Rights | undefined {
    const known = this.#rights.get(name)
    if (known !== undefined) return known
    const user = this.users.get(name)
    if (user === undefined) return undefined
    const rights = this.#joinRights(user)
    this.#rights.set(name, rights)
    return rights
  }

  #joinRights({ roles: names }: User): Rights {
    if (names.includes(ROOT)) return Rights.ROOT
    const id = names.join()
    const roles = names.flatMap((name) => this.roles.get(name) ?? [])
    const known = this.#rightsOfRoles.get(id)
    if (known?.hasRoles(roles)) return known
    const rights = new Rights(roles)
    if (this.#rightsOfRoles.size >= RIGHTS_KEPT) this.#rightsOfRoles.clear()
    this.#rightsOfRoles.set(id, rights)
    return rights
  }
}

/** Rights by the names of the roles. */
type RightsOfRoles = Map<string, Rights>
const RIGHTS_KEPT = 1024

type Names = Pick<ReadonlySet<string>, 'size' | 'has' | 'keys'>

/** A table of which each row is read and decoded when it is first needed. */
class RowsByName<T> implements ByName<T> {
  readonly #names: Names
  readonly #loaded: Map<string, T>
  readonly #load: (name: string) => T | undefined

  constructor(names: Names, loaded: Map<string, T>, load: (name: string) => T | undefined) {
    this.#names = names
    this.#loaded = loaded
    this.#load = load
  }

  get size(): number {
    return this.#names.size
  }

  has(name: string): boolean {
    return this.#names.has(name)
  }

  keys(): Iterable<string> {
    return this.#names.keys()
  }

  get(name: string): T | undefined {
    const known = this.#loaded.get(name)
    if (known !== undefined || !this.#names.has(name)) return known
    const loaded = this.#load(name)
    if (loaded !== undefined) this.#loaded.set(name, loaded)
    return loaded
  }
}

type ReadRow = (rowKey: Uint8Array) => Uint8Array | undefined

/**
 * The newest users and roles of a store. After a change only the changed rows are read again. A state from before the
 * change may know the newest rows.
 */
export class AuthRows {
  readonly #read: ReadRow
  #users = new Map<string, User>()
  #roles = new Map<string, AuthRole>()
  readonly #rights: RightsOfRoles = new Map()
  #head: AuthHead | undefined
  #names = {
    users: new Map<string, UserIdentity>(),
    roles: new Set<string>(),
    madeAt: new Map<number, string>(),
  }
  #state: AuthState | undefined
  /** Number of rows that were read. */
  rowsRead = 0

  constructor(read: ReadRow) {
    this.#read = (rowKey) => {
      this.rowsRead++
      return read(rowKey)
    }
  }

  get state(): AuthState {
    this.#state ??= this.#newState()
    return this.#state
  }

  #newState(): AuthState {
    const { keys } = this.head
    const { users, roles, madeAt } = this.#names
    return new AuthState(
      new RowsByName(users, this.#users, (name) => {
        const [user, row] = [users.get(name), this.#read(userKey(name))]
        return user && row && decodeUserRow(user, row)
      }),
      new RowsByName(roles, this.#roles, (name) => {
        const row = this.#read(roleKey(name))
        return row && decodeRoleRow(name, new Uint8Array(row))
      }),
      madeAt,
      keys,
      this.#rights,
    )
  }

  get head(): AuthHead {
    if (this.#head !== undefined) return this.#head
    const row = this.#read(AUTH_KEY)
    const head = row === undefined ? NO_AUTH : decodeAuthHead(row)
    this.#head = head
    this.#names = {
      users: new Map(head.users.map((user) => [user.name, user])),
      roles: new Set(head.roles),
      madeAt: new Map(head.users.map((user) => [user.madeAt, user.name])),
    }
    return head
  }

  /** A change has written this row. */
  changed(rowKey: Uint8Array): void {
    this.#state = undefined
    const name = decodeUtf8(rowKey.subarray(2))
    if (rowKey[1] === USER) this.#users.delete(name)
    else if (rowKey[1] === ROLE) this.#roles.delete(name)
    else this.#head = undefined
  }

  /** Forgets all rows: a snapshot has replaced them. */
  replaced(): void {
    this.#state = undefined
    this.#head = undefined
    this.#users = new Map()
    this.#roles = new Map()
  }
}
