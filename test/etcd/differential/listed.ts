// Differences between etcd and quorate that remain, each with its reason and where it is documented.

import { EVENT_DELETE } from '../../../src/etcd/messages/watch.ts'
import { GRPC } from '../../../src/etcd/status.ts'
import type { EtcdRelease } from '../etcd-programs.ts'
import type { Exchange } from './comparison.ts'
import type { Step } from './conversation.ts'
import { FIRST_REVISION, type Json, type JsonObject } from './frame.ts'

export interface ListedDifference {
  readonly name: string
  /** The only release that has it; undefined: each. */
  readonly release?: EtcdRelease
  readonly why: string
  /** The document, or the source of etcd. */
  readonly source: string
  /** Whether it shows itself in this exchange. */
  readonly shows: (exchange: Exchange) => boolean
  /** Only the response differs: the rest of the conversation is compared. */
  readonly isOfResponse?: true
}

const isRefused = (answer: Json, text: string): boolean =>
  isObject(answer) && answer.text === `etcdserver: ${text}`
const isError = (answer: Json, code?: number): boolean =>
  isObject(answer) && 'text' in answer && (code === undefined || answer.code === code)

const LEASE = 'requested lease not found'
const isUnreadable = (answer: Json): boolean =>
  isObject(answer) && String(answer.text).includes('mvcc: required revision')
const TOO_MANY = 'too many operations in txn request'
const DUPLICATE = 'duplicate key given in txn request'

/**
 * Watched events without what etcd lacks at the compact revision from which a watch begins: the records before, and in
 * 3.4 the deletions. etcd has these since 3.6 (https://github.com/etcd-io/etcd/issues/19179).
 */
export function withoutCompacted(
  watched: Json,
  { release, steps }: Pick<Exchange, 'release' | 'steps'>,
): Json {
  const compacted = new Set<Json | undefined>([
    FIRST_REVISION,
    ...steps.filter(({ rpc }) => rpc === 'compact').map(({ request }) => request.revision),
  ])
  const isCompacted = (item: Json): item is JsonObject =>
    isObject(item) && isObject(item.kv) && compacted.has(item.kv.modRevision)
  const isKept = (item: Json): boolean =>
    release !== '3.4' || !isCompacted(item) || item.type !== EVENT_DELETE
  const filtered = (json: Json): Json => {
    if (Array.isArray(json)) return json.filter(isKept).map(filtered)
    if (!isObject(json)) return json
    const { prevKv: _, ...event } = json
    const kept = isCompacted(json) ? event : json
    return Object.fromEntries(Object.entries(kept).map(([name, value]) => [name, filtered(value)]))
  }
  return filtered(watched)
}

const isObject = (json: Json | undefined): json is JsonObject =>
  typeof json === 'object' && json !== null && !Array.isArray(json)

/** Whether a nested transaction has a put, and one that follows it in the same branch a delete. */
function hasPutBeforeDelete(json: Json): boolean {
  if (!Array.isArray(json)) return isObject(json) && Object.values(json).some(hasPutBeforeDelete)
  const nested = json.map((item) => (isObject(item) && 'requestTxn' in item ? JSON.stringify(item) : ''))
  const firstPut = nested.findIndex((text) => text.includes('"requestPut"'))
  const lastDelete = nested.findLastIndex((text) => text.includes('"requestDeleteRange"'))
  return (firstPut !== -1 && firstPut < lastDelete) || json.some(hasPutBeforeDelete)
}

// ---------------------------------------------------------------------------------------------------------------------
// What etcd 3.4 checks, and what is checked here

const PERMISSION = 'permission denied'
const NO_USER = 'user name is empty'
const NO_TOKEN = 'invalid auth token'
const NO_RANGE = 'invalid auth management'

/** RPCs that etcd 3.4 serves everybody while rights are checked. */
const UNCHECKED: ReadonlySet<string> = new Set([
  ...['compact', 'leaseGrant', 'leaseRevoke', 'leaseKeepAlive', 'leaseTimeToLive', 'leaseLeases'],
  ...['memberList', 'memberAdd', 'memberRemove', 'memberUpdate', 'memberPromote'],
  ...['alarm', 'status', 'moveLeader', 'authStatus', 'downgrade'],
  ...['lock', 'unlock', 'campaign', 'proclaim', 'leader', 'observe', 'resign'],
])

/** RPCs that a release of etcd does not have. */
const NEWER: Readonly<Record<EtcdRelease, readonly string[]>> = {
  '3.4': ['authStatus', 'downgrade', 'rangeStream'],
  '3.6': ['rangeStream'],
}

/** How a stream of watches ends that its client opens again: as a request, and as its watches find it. */
const STREAM_ENDS = ['etcdserver: server stopped', 'etcdserver: rights are checked since a moment ago']
const isStreamEnd = (answer: Json): boolean => isObject(answer) && STREAM_ENDS.includes(String(answer.text))

const contains = (json: unknown, text: string): boolean => JSON.stringify(json).includes(text)
const countOf = (json: Json, text: string): number => JSON.stringify(json).split(text).length - 1
const isDenied = (answer: Json): boolean => contains(answer, PERMISSION)

/** Whether a range of the request has its end not after its beginning. */
function hasEmptyRange(json: Json): boolean {
  if (Array.isArray(json)) return json.some(hasEmptyRange)
  if (!isObject(json)) return false
  const { key = '', rangeEnd = '' } = json
  const isEmpty = rangeEnd !== '' && rangeEnd !== '\0' && String(key) >= String(rangeEnd)
  return isEmpty || Object.values(json).some(hasEmptyRange)
}

const isEmptyTxn = ({ rpc, request: { compare = [], success = [], failure = [] } }: Step): boolean =>
  rpc === 'txn' && [compare, success, failure].every((list) => Array.isArray(list) && list.length === 0)

/** Default of the setting `range_bytes_max`. */
const RANGE_BYTES_MAX = 4 * 1024 * 1024

/** Bytes of all long values. */
function valueBytes(json: Json): number {
  if (typeof json !== 'object' || json === null) return 0
  if ('bytes' in json) return Number(json.bytes)
  return Object.values(json).reduce((sum: number, each: Json) => sum + valueBytes(each), 0)
}

const leasesIn = (answer: Json): readonly Json[] =>
  isObject(answer) && Array.isArray(answer.leases) ? answer.leases : []

/** Whether the list has nothing that the other one does not have. */
function isSublist(list: readonly Json[], other: readonly Json[]): boolean {
  const left = other.map((each) => JSON.stringify(each))
  return list.every((each) => {
    const at = left.indexOf(JSON.stringify(each))
    if (at >= 0) left.splice(at, 1)
    return at >= 0
  })
}

const isCoordination = ({ rpc }: Step): boolean =>
  /^(lock|unlock|campaign|proclaim|leader|observe|resign)$/.test(rpc)

const withoutHeader = (answer: Json): string => {
  if (!isObject(answer)) return JSON.stringify(answer)
  const { header: _, ...others } = answer
  return JSON.stringify(others)
}

/** A list of roles without the role that is built in. */
const withoutRoot = (answer: Json): string => {
  if (!isObject(answer) || !Array.isArray(answer.roles)) return withoutHeader(answer)
  const { roles, ...others } = answer
  const left = roles.filter((role) => role !== 'root')
  return withoutHeader(left.length === 0 ? others : { ...others, roles: left })
}

export const LISTED: readonly ListedDifference[] = [
  {
    name: 'a lease of more than ten years',
    why: 'times to live are checked in one place for all wires; etcd refuses those above 285 years',
    source: 'docs/reference/limits.md',
    shows: ({ step, etcd, quorate }) =>
      step.rpc === 'leaseGrant' &&
      Number(step.request.ttl) > 315_360_000 &&
      !isRefused(etcd, 'too large lease TTL') &&
      isRefused(quorate, 'too large lease TTL'),
  },
  {
    name: 'a watch from a negative revision',
    release: '3.4',
    why: 'it ends at once with a reason; 3.4 creates it, and then says that its revision is compacted',
    source: 'https://github.com/etcd-io/etcd/pull/20693',
    shows: ({ step }) => step.rpc === 'watch' && /"startRevision":-/.test(JSON.stringify(step.request)),
  },
  {
    name: 'a progress request without watches, or before the revision from which one begins',
    release: '3.4',
    why: 'it has no response, as in etcd since 3.6',
    source: 'watchableStore.progressIfSync of etcd in server/storage/mvcc/watchable_store.go',
    shows: ({ step, quorate }) => 'progressRequest' in step.request && quorate === null,
  },
  {
    name: 'a progress request on a stream with a watch that compaction has ended',
    why: 'its other watches have progress; etcd counts the ended one as behind for ever',
    source: 'watchableStore.progressIfSync of etcd in server/storage/mvcc/watchable_store.go',
    shows: ({ step, steps, etcd }) =>
      'progressRequest' in step.request &&
      etcd === null &&
      steps.some(({ rpc, request }) => rpc === 'watch' && contains(request, '"startRevision"')),
  },
  {
    name: 'operations of a transaction',
    why: '128 over all branches and nested transactions; etcd counts each list for itself',
    source: 'docs/reference/limits.md',
    shows: ({ etcd, quorate }) => !isRefused(etcd, TOO_MANY) && isRefused(quorate, TOO_MANY),
  },
  {
    name: 'a put within a deletion to the end of all keys',
    why: 'quorate refuses it as any put within a deletion; etcd reads the end as the key that it stands for',
    source: 'checkIntervals of etcd in server/etcdserver/api/v3rpc/key.go',
    shows: ({ step, etcd, quorate }) =>
      !isRefused(etcd, DUPLICATE) &&
      isRefused(quorate, DUPLICATE) &&
      JSON.stringify(step.request).includes('"rangeEnd":"\\u0000"'),
  },
  {
    name: 'a key that a nested transaction puts and a later one deletes',
    why: 'quorate refuses a key that is changed twice in either order; etcd compares the deletions with later puts only',
    source: 'checkIntervals of etcd in server/etcdserver/api/v3rpc/key.go',
    shows: ({ step, etcd, quorate }) =>
      !isRefused(etcd, DUPLICATE) && isRefused(quorate, DUPLICATE) && hasPutBeforeDelete(step.request),
  },
  {
    name: 'a transaction with a key twice, without rights',
    why: 'rights are checked first',
    source: 'checkTxnRequest of etcd in server/etcdserver/api/v3rpc/key.go',
    isOfResponse: true,
    shows: ({ step, etcd, quorate }) =>
      step.rpc === 'txn' && isRefused(etcd, DUPLICATE) && isRefused(quorate, PERMISSION),
  },
  {
    name: 'a transaction that is refused for two reasons',
    why: 'etcd checks all puts before all ranges, quorate the revisions of ranges first',
    source: 'applierV3backend.Txn of etcd in server/etcdserver/apply.go',
    shows: ({ step, etcd, quorate }) =>
      step.rpc === 'txn' &&
      (isRefused(etcd, 'key not found') || isRefused(etcd, LEASE)) &&
      isUnreadable(quorate),
  },
  {
    name: 'a read in a transaction at a negative revision',
    why: 'it reads the newest one, as outside of transactions; in a transaction etcd says that it is compacted',
    source: 'checkRange of etcd in server/etcdserver/apply.go',
    shows: ({ step, etcd }) =>
      step.rpc === 'txn' && isUnreadable(etcd) && JSON.stringify(step.request).includes('"revision":-'),
  },
  {
    name: 'a header with a revision',
    why: 'each response has it, as the other services of etcd do',
    source: 'membership and maintenance of etcd in server/etcdserver/api/v3rpc',
    isOfResponse: true,
    shows: ({ etcd, quorate }) =>
      isObject(etcd) &&
      isObject(quorate) &&
      !isError(quorate) &&
      !(isObject(etcd.header) && 'revision' in etcd.header) &&
      withoutHeader(etcd) === withoutHeader(quorate),
  },
  {
    name: 'rights that etcd 3.4 does not check',
    release: '3.4',
    why: 'every request needs a user while rights are checked, and most a right',
    source: 'https://github.com/etcd-io/etcd/security/advisories/GHSA-q8m4-xhhv-38mg',
    shows: ({ step, etcd, quorate }) =>
      (UNCHECKED.has(step.rpc) || isEmptyTxn(step)) &&
      [PERMISSION, NO_USER, NO_TOKEN].some((text) => isRefused(quorate, text) && !isRefused(etcd, text)),
  },
  {
    name: 'rights to a range without keys',
    why: 'a range whose end is not after its beginning needs no right, as it has no key',
    source: 'docs/coming-from/etcd.md',
    shows: ({ step, etcd, quorate }) =>
      countOf(etcd, PERMISSION) > countOf(quorate, PERMISSION) && hasEmptyRange(step.request),
  },
  {
    name: 'who may not see the upkeep of the store',
    why: 'etcd forgets to name the error as it does elsewhere',
    source: 'authMaintenanceServer of etcd in server/etcdserver/api/v3rpc/maintenance.go',
    isOfResponse: true,
    shows: ({ etcd, quorate }) =>
      isError(etcd, GRPC.unknown) && /^auth: /.test(String((etcd as JsonObject).text)) && isError(quorate),
  },
  {
    name: 'a transaction that reads more than 4 MiB',
    why: 'what it reads and compares is held in memory, and has range_bytes_max',
    source: 'docs/coming-from/etcd.md',
    shows: ({ steps, step, etcd, quorate }) =>
      step.rpc === 'txn' &&
      !isError(etcd) &&
      isRefused(quorate, 'request is too large') &&
      (valueBytes(etcd) > RANGE_BYTES_MAX ||
        (contains(step.request, '"target":3') && contains(steps, '"bytes":'))),
  },
  {
    name: 'a key of more than 4 KiB',
    why: 'rows, the memory of keys and the heads of HTTP are made for such keys',
    source: 'docs/coming-from/etcd.md',
    shows: ({ step, etcd, quorate }) =>
      String(step.request.key).length > 4_000 && !isError(etcd) && isRefused(quorate, 'request is too large'),
  },
  {
    name: 'a watch that is refused for two reasons',
    why: 'its request is checked before its rights',
    source: 'serverWatchStream.recvLoop of etcd in server/etcdserver/api/v3rpc/watch.go',
    isOfResponse: true,
    shows: ({ step, etcd, quorate }) =>
      step.rpc === 'watch' &&
      [etcd, quorate].every((answer) => contains(answer, '"watchId":-1')) &&
      contains(etcd, '"cancelReason":"rpc error: ') &&
      contains(quorate, '"cancelReason":"mvcc: '),
  },
  {
    name: 'watches of an unauthenticated client',
    why: 'the stream is refused, and not each of its watches',
    source: 'src/server/etcd/README.md',
    shows: ({ step, quorate }) =>
      step.rpc === 'watch' &&
      [NO_USER, NO_TOKEN].some((text) => contains(quorate, `"text":"etcdserver: ${text}"`)),
  },
  {
    name: 'a watch on a stream from before rights were checked',
    why: 'the stream has ended, and its client opens it again with a token',
    source: 'docs/coming-from/etcd.md',
    shows: ({ steps, step, etcd, quorate }) =>
      step.rpc === 'watch' &&
      isStreamEnd(quorate) &&
      !isStreamEnd(etcd) &&
      steps.some(({ rpc }) => rpc === 'authEnable'),
  },
  {
    name: 'a token while rights are not checked',
    release: '3.4',
    why: 'nobody reads it, as in etcd since 3.5',
    source: 'authStore.AuthInfoFromCtx of etcd in server/auth/store.go',
    shows: ({ step, etcd, quorate }) =>
      step.as !== undefined && contains(etcd, NO_TOKEN) && !contains(quorate, NO_TOKEN),
  },
  {
    name: 'rights within nested transactions',
    release: '3.4',
    why: 'they are checked, as in etcd since this advisory',
    source: 'https://github.com/etcd-io/etcd/security/advisories/GHSA-rfx7-8w68-q57q',
    shows: ({ step, etcd, quorate }) =>
      step.rpc === 'txn' &&
      !isDenied(etcd) &&
      [PERMISSION, NO_USER, NO_TOKEN].some((text) => isRefused(quorate, text)) &&
      contains(step.request, 'requestTxn'),
  },
  {
    name: 'rights of a watch without an end',
    release: '3.4',
    why: 'it needs a right to all keys from its beginning on, as in etcd since this advisory',
    source: 'https://github.com/etcd-io/etcd/security/advisories/GHSA-xg4h-6gfc-h4m8',
    shows: ({ step, etcd, quorate }) =>
      step.rpc === 'watch' &&
      JSON.stringify(step.request).includes('"rangeEnd":"\\u0000"') &&
      countOf(quorate, PERMISSION) > countOf(etcd, PERMISSION),
  },
  {
    name: 'a user who changes the own password',
    why: 'a token does not: it needs the old password',
    source: 'docs/coming-from/etcd.md',
    shows: ({ step, etcd, quorate }) =>
      step.rpc === 'userChangePassword' &&
      !isDenied(etcd) &&
      isDenied(quorate) &&
      step.request.name === step.as,
  },
  {
    name: 'a put with the lease of another user',
    why: 'a lease without keys is attached by the user to whom it was granted, and by root',
    source: 'docs/reference/security.md',
    shows: ({ step, etcd, quorate }) =>
      ['put', 'txn'].includes(step.rpc) &&
      /"lease":[1-9]/.test(JSON.stringify(step.request)) &&
      !isRefused(etcd, PERMISSION) &&
      isRefused(quorate, PERMISSION),
  },
  {
    name: 'a user who revokes the lease of another user',
    release: '3.6',
    why: 'a lease without keys is revoked by the user to whom it was granted, and by root',
    source: 'docs/coming-from/etcd.md',
    shows: ({ step, etcd, quorate }) =>
      step.rpc === 'leaseRevoke' && !isError(etcd) && isRefused(quorate, PERMISSION),
  },
  {
    name: 'a user who keeps the lease of another user alive',
    why: 'a lease without keys is kept alive by the user to whom it was granted, and by root',
    source: 'docs/coming-from/etcd.md',
    isOfResponse: true,
    shows: ({ step, etcd, quorate }) =>
      step.rpc === 'leaseKeepAlive' && !isError(etcd) && isRefused(quorate, PERMISSION),
  },
  {
    name: 'leases of others',
    why: 'a user lists the leases that he was granted, and root all',
    source: 'docs/coming-from/etcd.md',
    isOfResponse: true,
    shows: ({ step, etcd, quorate }) =>
      step.rpc === 'leaseLeases' &&
      step.as !== undefined &&
      !isError(quorate) &&
      isSublist(leasesIn(quorate), leasesIn(etcd)),
  },
  {
    name: 'a hash at the compacted revision',
    release: '3.4',
    why: 'it can be read, as the keys at that revision can',
    source: 'store.hashByRev of etcd in server/storage/mvcc/kvstore.go',
    isOfResponse: true,
    shows: ({ step, etcd, quorate }) =>
      step.rpc === 'hashKv' && isError(etcd, GRPC.outOfRange) && !isError(quorate),
  },
  {
    name: 'a hash at the revision of an earlier compaction',
    release: '3.6',
    why: 'it is compacted; etcd answers with the hash that it stored while it compacted',
    source: 'hashStorage of etcd in server/storage/mvcc/hash.go',
    isOfResponse: true,
    shows: ({ step, etcd, quorate }) =>
      step.rpc === 'hashKv' &&
      !isError(etcd) &&
      isRefused(quorate, 'mvcc: required revision has been compacted'),
  },
  {
    name: 'the compact revision of a hash at the compacted revision',
    release: '3.6',
    why: 'it is the newest one; etcd answers with the hash that it stored while it compacted, and the one before',
    source: 'hashStorage of etcd in server/storage/mvcc/hash.go',
    isOfResponse: true,
    shows: ({ step, etcd, quorate }) =>
      step.rpc === 'hashKv' &&
      [etcd, quorate].every((answer) => isObject(answer) && !isError(answer) && 'compactRevision' in answer),
  },
  {
    name: 'the role root',
    why: 'it is built in, and listed while somebody has it',
    source: 'docs/coming-from/etcd.md',
    isOfResponse: true,
    shows: ({ step: { rpc, request }, etcd, quorate }) =>
      (rpc === 'roleList' && withoutRoot(etcd) === withoutRoot(quorate)) ||
      (/^role(Add|Get|GrantPermission|RevokePermission)$/.test(rpc) &&
        [request.name, request.role].includes('root')),
  },
  {
    name: 'the role root is deleted',
    why: 'it is built in, and taken from those who have it',
    source: 'docs/coming-from/etcd.md',
    shows: ({ step: { rpc, request } }) => rpc === 'roleDelete' && request.role === 'root',
  },
  {
    name: 'a permission for a range without keys',
    release: '3.4',
    why: 'it is refused, as in etcd 3.6',
    source: 'isValidPermissionRange of etcd in server/auth/store.go',
    shows: ({ step: { rpc }, etcd, quorate }) =>
      rpc === 'roleGrantPermission' && !isRefused(etcd, NO_RANGE) && isRefused(quorate, NO_RANGE),
  },
  {
    name: 'a leader key without a revision and a lease, without the right to it',
    why: 'it is the key of no candidate, and nothing is written or read',
    source: 'src/server/etcd/candidates.ts',
    isOfResponse: true,
    shows: ({ step: { rpc, request }, etcd, quorate }) =>
      rpc === 'proclaim' &&
      isObject(request.leader) &&
      Number(request.leader.rev ?? 0) === 0 &&
      isDenied(etcd) &&
      contains(quorate, '"text":"election: not leader"'),
  },
  {
    name: 'a leader key without a lease',
    why: 'the key keeps the lease that it has; etcd grants one of 60 s that nobody keeps alive',
    source: 'electionServer.session of etcd in server/etcdserver/api/v3election/election.go',
    shows: ({ step: { rpc, request }, etcd }) =>
      rpc === 'proclaim' &&
      !isError(etcd) &&
      isObject(request.leader) &&
      !('call' in request.leader) &&
      Number(request.leader.lease ?? 0) === 0,
  },
  {
    name: 'an unauthenticated client that asks for what is refused anyway',
    why: 'an unauthenticated client is refused before the request is read',
    source: 'src/server/etcd/README.md',
    isOfResponse: true,
    shows: ({ etcd, quorate }) =>
      isError(etcd) && [NO_USER, NO_TOKEN].some((text) => isRefused(quorate, text)),
  },
  {
    name: 'an RPC that this release of etcd does not have',
    why: 'the API is that of 3.7',
    source: 'docs/coming-from/etcd.md',
    isOfResponse: true,
    shows: ({ release, step, etcd }) =>
      NEWER[release].includes(step.rpc) && isError(etcd, GRPC.unimplemented),
  },
  {
    name: 'a login after wrong passwords',
    why: 'they delay the next attempt of this user from there',
    source: 'docs/reference/security.md',
    shows: ({ step, quorate }) => step.rpc === 'authenticate' && isError(quorate, GRPC.resourceExhausted),
  },
  {
    name: 'who asks whether rights are checked',
    release: '3.6',
    why: 'everybody may',
    source: 'docs/coming-from/etcd.md',
    isOfResponse: true,
    shows: ({ step, etcd, quorate }) =>
      step.rpc === 'authStatus' &&
      [PERMISSION, NO_USER, NO_TOKEN].some((text) => isRefused(etcd, text)) &&
      !isError(quorate),
  },
  {
    name: 'who asks for alarms',
    release: '3.6',
    why: 'every user may, and nobody changes them',
    source: 'docs/coming-from/etcd.md',
    isOfResponse: true,
    shows: ({ step, etcd, quorate }) =>
      step.rpc === 'alarm' && isRefused(etcd, PERMISSION) && !isError(quorate),
  },
  {
    name: 'a downgrade',
    release: '3.6',
    why: 'there is none',
    source: 'docs/coming-from/etcd.md',
    shows: ({ step, quorate }) => step.rpc === 'downgrade' && isError(quorate, GRPC.unimplemented),
  },
  {
    name: 'members that are added or changed',
    why: 'a node adds itself, and announces its addresses',
    source: 'docs/coming-from/etcd.md',
    isOfResponse: true,
    shows: ({ step, etcd, quorate }) =>
      (step.rpc === 'memberAdd' || step.rpc === 'memberUpdate') &&
      isError(etcd) &&
      isError(quorate, GRPC.unimplemented),
  },
  {
    name: 'alarms that are activated',
    why: 'they begin and end by themselves',
    source: 'docs/coming-from/etcd.md',
    shows: ({ step, quorate }) =>
      step.rpc === 'alarm' && step.request.action === 1 && isError(quorate, GRPC.unimplemented),
  },
  {
    name: 'the code of an error of the store in locks and elections',
    why: 'it has its own code; etcd 3.4 loses it',
    source: 'docs/coming-from/etcd.md',
    isOfResponse: true,
    shows: ({ step, etcd, quorate }) =>
      isCoordination(step) &&
      isError(etcd, GRPC.unknown) &&
      isError(quorate) &&
      (etcd as JsonObject).text === (quorate as JsonObject).text,
  },
  {
    name: 'why bytes are no message',
    why: 'the reason is that of the codec',
    source: 'https://github.com/grpc/grpc-go/blob/master/server.go',
    isOfResponse: true,
    shows: ({ etcd, quorate }) =>
      [etcd, quorate].every(
        (answer) =>
          isError(answer, GRPC.internal) &&
          String((answer as JsonObject).text).startsWith('grpc: error unmarshalling request: '),
      ),
  },
]

/** The same, of what watches and calls in the background have received. What quorate shows of them stays as it is. */
export const LISTED_OF_WATCHES: readonly ListedDifference[] = [
  {
    name: 'a candidate whose key somebody has deleted',
    why: 'it does not lead; etcd answers that it does, when older keys are gone',
    source: 'Election.Campaign of etcd in client/v3/concurrency/election.go',
    shows: ({ steps, etcd, quorate }) =>
      steps.some(({ rpc }) => rpc === 'campaign') &&
      countOf(quorate, 'election: session is expired') > countOf(etcd, 'election: session is expired') &&
      countOf(etcd, '"leader"') > countOf(quorate, '"leader"'),
  },
  {
    name: 'an observer who may not read the election',
    why: 'etcd ends the stream without an error',
    source: 'election.observe of etcd in client/v3/concurrency/election.go',
    shows: ({ steps, etcd, quorate }) =>
      steps.some(({ rpc }) => rpc === 'observe') &&
      countOf(etcd, '"end":true') > countOf(quorate, '"end":true') &&
      countOf(quorate, PERMISSION) > countOf(etcd, PERMISSION),
  },
  {
    name: 'a watch whose right has ended',
    why: 'it ends when the right does; etcd sends its events on',
    source: 'docs/coming-from/etcd.md',
    shows: ({ etcd, quorate }) =>
      [PERMISSION, NO_TOKEN].some((text) => contains(quorate, text) && !contains(etcd, text)),
  },
  {
    name: 'a stream of watches from before rights were checked',
    why: 'it ends, and its client opens it again with a token',
    source: 'docs/coming-from/etcd.md',
    shows: ({ etcd, quorate }) =>
      STREAM_ENDS.some((text) => contains(quorate, text) && !contains(etcd, text)),
  },
  {
    name: 'a stream of watches of an unauthenticated client',
    why: 'it is refused before its requests are read',
    source: 'src/server/etcd/README.md',
    shows: ({ etcd, quorate }) =>
      [NO_USER, NO_TOKEN].some((text) => {
        const end = `"text":"etcdserver: ${text}"`
        return contains(quorate, end) && !contains(etcd, end)
      }),
  },
  {
    name: 'an observer with a token while rights are not checked',
    release: '3.4',
    why: 'nobody reads it, as in etcd since 3.5; 3.4 ends the stream',
    source: 'authStore.AuthInfoFromCtx of etcd in server/auth/store.go',
    shows: ({ steps, etcd, quorate }) =>
      contains(etcd, '"end":true') &&
      !contains(quorate, '"end":true') &&
      steps.some(({ rpc, as }) => rpc === 'observe' && as !== undefined),
  },
  {
    name: 'a client whose lease has ended while it waited',
    why: 'it receives an error; etcd 3.4 tells it that it leads',
    source: 'docs/coming-from/etcd.md',
    shows: ({ etcd, quorate }) =>
      contains(quorate, 'session is expired') && !contains(etcd, 'session is expired'),
  },
  {
    name: 'the code of an error of the store in calls that wait',
    why: 'it has its own code; etcd 3.4 loses it',
    source: 'docs/coming-from/etcd.md',
    shows: ({ etcd, quorate }) =>
      JSON.stringify(etcd).replaceAll(/"code":\d+/g, '') ===
        JSON.stringify(quorate).replaceAll(/"code":\d+/g, '') && contains(etcd, `"code":${GRPC.unknown}`),
  },
]
