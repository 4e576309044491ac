// The arguments of each function of the client.

import { RAISED_REVISION_MAX } from '../operations/forms/store.ts'
import { endpointUrl } from './address.ts'
import type { AuthChangeOptions, RolePermission, UserChange } from './auth-types.ts'
import type { LeaseOptions, NewLease, SessionOptions } from './lease-types.ts'
import { checkTls } from './tls.ts'
import type { TransactionListOptions, TransactOptions, TxnOptions } from './txn-types.ts'
import type {
  BackupOptions,
  CallOptions,
  ClientOptions,
  DeleteOptions,
  GetOptions,
  ListOptions,
  NewMember,
  NodeCallOptions,
  PutOptions,
  RangeOptions,
  ReadOptions,
} from './types.ts'
import {
  boundCheck,
  bytesCheck,
  type Check,
  type Checks,
  checkFields,
  checkOneLease,
  checkOptions,
  checkSecret,
  checkValue,
  choiceCheck,
  flagCheck,
  functionCheck,
  leaseCheck,
  limitCheck,
  listCheck,
  objectCheck,
  progressCheck,
  revisionCheck,
  secretCheck,
  signalCheck,
  stalenessCheck,
  textCheck,
  timeoutCheck,
  ttlCheck,
  wholeNumberCheck,
} from './validators.ts'
import type { MirrorOptions, WatchedPlace, WatchOptions } from './watch-types.ts'

const CALL: Checks<CallOptions> = { signal: signalCheck, timeoutMs: timeoutCheck }
const NODE_CALL: Checks<NodeCallOptions> = { ...CALL, endpoint: textCheck }
const BACKUP: Checks<BackupOptions> = { ...NODE_CALL, history: flagCheck }
const PUT: Checks<PutOptions> = {
  ...CALL,
  ifRevision: wholeNumberCheck,
  ifAbsent: flagCheck,
  lease: leaseCheck,
  ttlMs: ttlCheck,
}
const DELETE: Checks<DeleteOptions> = { ...CALL, ifRevision: wholeNumberCheck }
const READ: Checks<ReadOptions> = {
  ...CALL,
  consistency: choiceCheck('linearizable', 'lease', 'stale'),
  maxStalenessMs: stalenessCheck,
  minRevision: wholeNumberCheck,
  revision: revisionCheck,
  onAnswer: functionCheck,
}
const GET: Checks<GetOptions> = { ...READ, time: flagCheck }
const RANGE: Checks<RangeOptions> = { ...READ, prefix: bytesCheck, start: bytesCheck, end: bytesCheck }
const LIST: Checks<ListOptions> = {
  ...RANGE,
  limit: limitCheck,
  order: choiceCheck('asc', 'desc'),
  keysOnly: flagCheck,
  snapshot: flagCheck,
}
const TXN_READ = {
  consistency: READ.consistency,
  maxStalenessMs: READ.maxStalenessMs,
  minRevision: READ.minRevision,
  onAnswer: READ.onAnswer,
}
const TXN: Checks<TxnOptions> = { ...CALL, ...TXN_READ }
const TRANSACT: Checks<TransactOptions> = { ...CALL, attemptsMax: boundCheck }
const TRANSACTION_LIST: Checks<TransactionListOptions> = {
  prefix: LIST.prefix,
  start: LIST.start,
  end: LIST.end,
  limit: LIST.limit,
  order: LIST.order,
  keysOnly: LIST.keysOnly,
}
export const LEASE: Checks<LeaseOptions> = { ...CALL, keys: flagCheck }
const LEASE_SESSION: Checks<SessionOptions> = { ...CALL, ttlMs: ttlCheck, lease: leaseCheck }
const PLACE: Checks<WatchedPlace> = {
  key: bytesCheck,
  prefix: bytesCheck,
  start: bytesCheck,
  end: bytesCheck,
  all: flagCheck,
}
const WATCH: Checks<WatchOptions> = {
  ...PLACE,
  ...CALL,
  fromRevision: revisionCheck,
  prev: flagCheck,
  only: choiceCheck('put', 'delete'),
  keysOnly: flagCheck,
  time: flagCheck,
  progressMs: progressCheck,
  background: flagCheck,
  onProgress: functionCheck,
  onResume: functionCheck,
}
const MIRROR: Checks<MirrorOptions> = {
  ...CALL,
  prefix: bytesCheck,
  start: bytesCheck,
  end: bytesCheck,
  all: flagCheck,
  progressMs: progressCheck,
  onResync: functionCheck,
}
const AUTH_CHANGE: Checks<AuthChangeOptions> = { ...CALL, ifRevision: wholeNumberCheck }
const NEW_USER: Checks<UserChange> = {
  password: secretCheck,
  oldPassword: secretCheck,
  roles: listCheck(textCheck, 'a list of names of roles'),
}
const PERMISSION = { access: choiceCheck('read', 'write', 'readwrite', 'admin'), ...PLACE }
const MEMBER: Checks<NewMember> = { name: textCheck, replicaId: textCheck, peer: textCheck, url: textCheck }
const CLIENT: Checks<ClientOptions> = {
  endpoints: listCheck(textCheck, "a list of URLs, such as ['http://127.0.0.1:7301']"),
  timeoutMs: timeoutCheck,
  discover: flagCheck,
  unreachableAfterMs: timeoutCheck,
  callsMax: boundCheck,
  transport: choiceCheck('auto', 'http'),
  user: textCheck,
  password: secretCheck,
  token: secretCheck,
  onWarning: functionCheck,
  tls: (value) =>
    objectCheck(value) === undefined || typeof value === 'function'
      ? undefined
      : 'an object such as { ca, cert, key }, or a function that returns one',
}

const PASSWORD = { pattern: /./s, expected: 'a string that is not empty' }
/** Other characters cannot be in a header. */
const TOKEN = { pattern: /^[!-~]+$/, expected: 'a token of a login' }

const CONDITIONS: ReadonlySet<string> = new Set(['ifRevision', 'ifAbsent'])

export function checkClient(options: ClientOptions): void {
  checkOptions('Client', options, CLIENT)
  checkFields('Client', { endpoints: options.endpoints }, { endpoints: CLIENT.endpoints })
  const { user, password, token } = options
  checkSecret('Client', 'password', password, PASSWORD)
  checkSecret('Client', 'token', token, TOKEN)
  if (token !== undefined && (user !== undefined || password !== undefined))
    throw new TypeError('Client: token and user contradict each other: a token has a user')
  if ((user === undefined) !== (password === undefined))
    throw new TypeError('Client: user and password belong together')
  if (options.tls === undefined) return
  checkTls(typeof options.tls === 'function' ? options.tls() : options.tls)
}

export function checkPut(key: unknown, value: unknown, options: PutOptions, where = 'put'): void {
  checkValue(where, 'key', key, bytesCheck)
  checkValue(where, 'value', value, storedCheck)
  checkOptions(where, options, PUT, CONDITIONS)
  if (options.ifAbsent === true && options.ifRevision !== undefined)
    throw new TypeError(
      `${where}: ifAbsent and ifRevision contradict each other: a key that does not exist has no revision`,
    )
  checkOneLease(where, options)
}

export function checkGet(key: unknown, options: GetOptions): void {
  checkValue('get', 'key', key, bytesCheck)
  checkRead('get', options, GET)
}

export function checkDelete(key: unknown, options: DeleteOptions): void {
  checkValue('delete', 'key', key, bytesCheck)
  checkOptions('delete', options, DELETE, CONDITIONS)
}

export function checkList(options: ListOptions): void {
  checkRange('list', options, LIST)
}

export function checkCount(options: RangeOptions): void {
  checkRange('count', options, RANGE)
}

/** `isRead`: the transaction has no puts and no deletes. */
export function checkTxn(options: TxnOptions, isRead: boolean): void {
  checkRead('txn', options, TXN)
  if (isRead) return
  const name = Object.keys(TXN_READ).find((each) => options[each as keyof TxnOptions] !== undefined)
  if (name !== undefined) throw new TypeError(`txn: ${name} is for transactions without puts and deletes`)
}

export function checkTransact(body: unknown, options: TransactOptions): void {
  checkValue('transact', 'the body', body, functionCheck)
  checkOptions('transact', options, TRANSACT)
}

export function checkTransactionList(options: TransactionListOptions): void {
  checkRange('tx.list', options, TRANSACTION_LIST)
}

export function checkCompact(revision: unknown, options: CallOptions): void {
  checkValue('compact', 'revision', revision, revisionCheck)
  checkOptions('compact', options, CALL)
}

export function checkRaiseRevision(revision: unknown, options: CallOptions): void {
  checkValue('raiseRevision', 'revision', revision, raisedRevisionCheck)
  checkOptions('raiseRevision', options, CALL)
}

const raisedRevisionCheck: Check = (value) =>
  revisionCheck(value) ??
  (Number(value) > RAISED_REVISION_MAX ? `a revision up to ${RAISED_REVISION_MAX}` : undefined)

export function checkGrant(lease: NewLease, options: CallOptions): void {
  checkOptions('grantLease: the lease', lease, { ttlMs: ttlCheck, id: leaseCheck })
  checkValue('grantLease', 'ttlMs', lease.ttlMs, ttlCheck)
  checkOptions('grantLease', options, CALL)
}

/** Checks a call about one lease. */
export function checkLeaseCall(
  where: string,
  id: unknown,
  options: LeaseOptions,
  checks: Readonly<Record<string, Check>> = CALL,
): void {
  checkValue(where, 'id', id, leaseCheck)
  checkOptions(where, options, checks)
}

export function checkKeepAliveMany(ids: unknown, options: CallOptions): void {
  checkValue(
    'keepLeasesAlive',
    'ids',
    ids,
    listCheck(leaseCheck, 'a list of ids of leases, strings of digits'),
  )
  checkOptions('keepLeasesAlive', options, CALL)
}

export function checkLeaseSession(options: SessionOptions): void {
  checkOptions('session', options, LEASE_SESSION)
  checkOneLease('session', options)
}

export function checkWatch(options: WatchOptions): void {
  checkOptions('watch', options, WATCH)
  checkPlace('watch', options)
}

export function checkMirror(options: MirrorOptions): void {
  checkOptions('mirror', options, MIRROR)
  checkPlace('mirror', options)
}

function checkPlace(where: string, place: WatchedPlace): void {
  if (countPlaces(place) === 1) return
  const keyOr = where === 'watch' ? 'key, or ' : ''
  throw new TypeError(`${where}: name either ${keyOr}prefix, or start and end, or all: true`)
}

/** The number of places that are named. There must be one: if it got lost, the place would be all keys. */
const countPlaces = ({ key, prefix, start, end, all }: WatchedPlace): number =>
  [key, prefix, start ?? end, all === true ? all : undefined].filter((form) => form !== undefined).length

export function checkCall(where: string, options: CallOptions): void {
  checkOptions(where, options, CALL)
}

export function checkNodeCall(where: string, options: NodeCallOptions): void {
  checkOptions(where, options, NODE_CALL)
}

export function checkBackup(where: string, options: BackupOptions): void {
  checkOptions(where, options, BACKUP)
}

export function checkMember(where: string, member: NewMember): void {
  checkFields(`${where}: the member`, member, MEMBER)
  endpointUrl(member.url)
}

export function checkName(where: string, name: unknown): void {
  checkValue(where, 'name', name, textCheck)
}

/** The cluster checks the length of the password. */
export function checkUserChange(name: unknown, user: UserChange, options: AuthChangeOptions): void {
  checkName('users.put', name)
  checkOptions('users.put: the user', user, NEW_USER)
  if (user.password !== null) checkSecret('users.put', 'password', user.password, PASSWORD)
  checkSecret('users.put', 'oldPassword', user.oldPassword, PASSWORD)
  checkAuthChange('users.put', options)
}

export function checkRoleChange(name: unknown, permissions: unknown, options: AuthChangeOptions): void {
  checkName('roles.put', name)
  checkValue('roles.put', 'permissions', permissions, permissionsCheck)
  for (const permission of permissions as RolePermission[]) checkPermission(permission)
  checkAuthChange('roles.put', options)
}

function checkPermission(permission: RolePermission): void {
  const where = 'roles.put: a permission'
  checkOptions(where, permission, PERMISSION)
  checkValue(where, 'access', permission.access, PERMISSION.access)
  const isAdmin = permission.access === 'admin'
  if (countPlaces(permission as WatchedPlace) === (isAdmin ? 0 : 1)) return
  throw new TypeError(
    isAdmin
      ? `${where}: admin has no range`
      : `${where}: name either key, or prefix, or start and end, or all: true`,
  )
}

export function checkAuthDelete(where: string, name: unknown, options: AuthChangeOptions): void {
  checkName(where, name)
  checkAuthChange(where, options)
}

/** If the condition got lost, the change of another administrator could be lost. */
const checkAuthChange = (where: string, options: AuthChangeOptions): void =>
  checkOptions(where, options, AUTH_CHANGE, CONDITIONS)

/** The cluster checks names and ranges. This check only makes sure that JSON can carry everything. */
export function checkSettings(where: string, settings: unknown): void {
  checkValue(where, 'settings', settings, objectCheck)
  for (const [name, value] of Object.entries(settings as object)) {
    if (objectCheck(value) === undefined) checkSettings(`${where}: ${name}`, value)
    else checkValue(where, name, value, settingCheck)
  }
}

function checkRead(where: string, options: ReadOptions, checks: Readonly<Record<string, Check>>): void {
  checkOptions(where, options, checks)
  if (options.maxStalenessMs !== undefined && options.consistency !== 'stale')
    throw new TypeError(`${where}: maxStalenessMs is for stale reads: it goes with consistency: 'stale'`)
}

function checkRange(where: string, options: RangeOptions, checks: Readonly<Record<string, Check>>): void {
  checkRead(where, options, checks)
  const { prefix, start, end } = options
  if (prefix !== undefined && (start !== undefined || end !== undefined))
    throw new TypeError(`${where}: prefix cannot be combined with start or end`)
}

const storedCheck: Check = (value) => {
  const expected = bytesCheck(value)
  return objectCheck(value) === undefined ? expected && `${expected} (putJson stores objects)` : expected
}

const permissionsCheck: Check = (value) => (Array.isArray(value) ? undefined : 'a list of permissions')

const settingCheck: Check = (value) => {
  const known = Number.isFinite(value) || typeof value === 'boolean' || typeof value === 'string'
  return known ? undefined : 'a number, a string, true or false'
}
