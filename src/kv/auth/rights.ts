// Rights of a user: the permissions of all roles, as ranges of keys. A range is permitted if the permitted ranges
// together contain every key of it.
//
// A user may have dozens of roles, and a role thousands of ranges. So the ranges of a role are joined once for all
// users who have it, and a decision searches those of each role. It neither sorts nor copies what all of them permit.

import { assertNever } from '../../bytes/index.ts'
import { type AccessDemand, type AuthRole, compareKeys, type KeyRange } from '../../operations/forms/index.ts'

type Access = 'read' | 'write'

export class Rights {
  /** The role root. */
  static readonly ROOT = new Rights([], true)

  readonly isRoot: boolean
  readonly isAdmin: boolean
  readonly #names: ReadonlySet<string>
  readonly #roles: readonly RoleRanges[]
  /** The ranges of all roles together. Made for the first request whose range spans the ranges of many. */
  readonly #joined: { [access in Access]?: readonly KeyRange[] } = {}

  constructor(roles: readonly AuthRole[], isRoot = false) {
    this.isRoot = isRoot
    this.#names = new Set(roles.map(({ name }) => name))
    this.#roles = roles.map(findRoleRanges)
    this.isAdmin = isRoot || this.#roles.some(({ isAdmin }) => isAdmin)
  }

  /** Whether they permit any change. */
  get mayChange(): boolean {
    return this.isAdmin || this.#roles.some(({ write }) => write.length > 0)
  }

  /** Whether these are the rights of the same roles, none of which has changed. */
  hasRoles(roles: readonly AuthRole[]): boolean {
    return (
      this.#roles.length === roles.length &&
      roles.every((role, at) => this.#roles[at] === findRoleRanges(role))
    )
  }

  hasRole(name: string): boolean {
    return this.#names.has(name)
  }

  mayRead(range: KeyRange): boolean {
    return this.isRoot || this.#contain(range, 'read')
  }

  mayWrite(range: KeyRange): boolean {
    return this.isRoot || this.#contain(range, 'write')
  }

  /** Follows the range from one permitted range to the next, which contains or touches the end of the last one. */
  #contain(range: KeyRange, access: Access): boolean {
    if (isEmpty(range)) return true
    let { start } = range
    for (let count = 0; count < RANGES_FOLLOWED; count++) {
      let furthest: KeyRange | undefined
      for (const role of this.#roles) {
        const around = rangeWith(start, role[access])
        if (around === undefined) continue
        if (around.end === undefined || (range.end !== undefined && compareKeys(range.end, around.end) <= 0))
          return true
        if (furthest?.end === undefined || compareKeys(around.end, furthest.end) > 0) furthest = around
      }
      if (furthest?.end === undefined) return false
      start = furthest.end
    }
    this.#joined[access] ??= union(this.#roles.flatMap((role) => role[access]))
    const around = rangeWith(range.start, this.#joined[access])
    if (around === undefined || around.end === undefined) return around !== undefined
    return range.end !== undefined && compareKeys(range.end, around.end) <= 0
  }
}

/** A range that spans more permitted ranges is decided on the union of all roles. */
const RANGES_FOLLOWED = 32

/** The ranges that a role permits, each list a union. */
interface RoleRanges {
  readonly isAdmin: boolean
  readonly read: readonly KeyRange[]
  readonly write: readonly KeyRange[]
}

function findRoleRanges(role: AuthRole): RoleRanges {
  const known = rangesOfRoles.get(role)
  if (known !== undefined) return known
  const { permissions } = role
  const of = (wanted: Access): readonly KeyRange[] =>
    union(
      permissions.flatMap(({ access, range }) =>
        range !== undefined && (access === wanted || access === 'readwrite') ? [range] : [],
      ),
    )
  const made = {
    isAdmin: permissions.some(({ access }) => access === 'admin'),
    read: of('read'),
    write: of('write'),
  }
  rangesOfRoles.set(role, made)
  return made
}

const rangesOfRoles = new WeakMap<AuthRole, RoleRanges>()

/** Ranges in order, of which no two overlap or touch. */
function union(ranges: readonly KeyRange[]): readonly KeyRange[] {
  const joined: KeyRange[] = []
  for (const range of ranges.toSorted((a, b) => compareKeys(a.start, b.start))) {
    if (isEmpty(range)) continue
    const last = joined.at(-1)
    if (last === undefined || (last.end !== undefined && compareKeys(last.end, range.start) < 0))
      joined.push(range)
    else joined[joined.length - 1] = { start: last.start, end: laterEnd(last.end, range.end) }
  }
  return joined
}

/** The range of a union that contains the key. */
function rangeWith(key: Uint8Array, ranges: readonly KeyRange[]): KeyRange | undefined {
  let [low, high] = [0, ranges.length]
  while (low < high) {
    const middle = (low + high) >> 1
    const candidate = ranges[middle]
    if (candidate !== undefined && compareKeys(candidate.start, key) <= 0) low = middle + 1
    else high = middle
  }
  const around = ranges[low - 1]
  if (around?.end !== undefined && compareKeys(around.end, key) <= 0) return undefined
  return around
}

const isEmpty = ({ start, end }: KeyRange): boolean => end !== undefined && compareKeys(start, end) >= 0

const laterEnd = (a: Uint8Array | undefined, b: Uint8Array | undefined): Uint8Array | undefined =>
  a === undefined || b === undefined ? undefined : compareKeys(a, b) < 0 ? b : a

/** Whether a user with these rights meets a demand, but for what a lease decides. */
export function isMet(demand: AccessDemand, rights: Rights): boolean {
  switch (demand.to) {
    case 'read':
      return rights.mayRead(demand.range)
    case 'write':
      return rights.mayWrite(demand.range)
    case 'administer':
      return rights.isAdmin
    case 'see-role':
      return rights.isAdmin || rights.hasRole(demand.role)
    case 'change':
      return rights.mayChange
    case 'be-node':
      return false
    case 'call':
    case 'attach':
    case 'keep-alive':
    case 'revoke':
    case 'read-lease':
      return true
    default:
      return assertNever(demand, 'demand')
  }
}
