// v3electionpb.Election

import type { LeaderKey } from '../../../etcd/messages/coordination.ts'
import { RPC } from '../../../etcd/rpcs.ts'
import { ETCD_ERRORS } from '../../../etcd/status.ts'
import { asRevision, type Revision } from '../../../operations/forms/index.ts'
import { acquire, candidatesOf, findOldest, goError, removeKey, replaceValue } from '../candidates.ts'
import { decodeKey, decodeLeaseId, encodeLeaseId } from '../fields.ts'
import { waitForChange } from '../first-change.ts'
import { serveStream, serveUnary } from '../rpc.ts'

const EXPIRED = goError('election: session is expired')
const NOT_LEADER = goError('election: not leader')
const NO_LEADER = goError('election: no leader')
const NO_LEADER_KEY = goError('"leader" field must be provided')

export const campaign = serveUnary(RPC.campaign, async ({ name, lease, value }, call) => {
  const { key, revision, lease: id, requestedAt } = await acquire(name, lease, value, EXPIRED, call)
  return { header: call.header(requestedAt), leader: { name, key, rev: revision, lease: encodeLeaseId(id) } }
})

export const proclaim = serveUnary(RPC.proclaim, async ({ leader, value }, call) => {
  checkLeader(leader)
  const lease = leader.lease === 0n ? undefined : decodeLeaseId(leader.lease)
  if (!(await replaceValue({ ...decodeLeader(leader), lease }, value, call))) throw NOT_LEADER
  return { header: call.header() }
})

export const resign = serveUnary(RPC.resign, async ({ leader }, call) => {
  checkLeader(leader)
  const { revision } = await removeKey(decodeLeader(leader), call)
  return { header: call.header(revision) }
})

/** Throws `GrpcError`. */
function checkLeader(leader: LeaderKey | undefined): asserts leader is LeaderKey {
  if (leader === undefined) throw NO_LEADER_KEY
  if (leader.key.length === 0) throw ETCD_ERRORS.emptyKey
}

/** No key was made at a negative revision, or at this one. */
const NEVER = Number.MAX_SAFE_INTEGER

/** Throws `GrpcError`. */
const decodeLeader = ({ key, rev }: LeaderKey) => ({
  key: decodeKey(key),
  revision: asRevision(rev < 0 ? NEVER : Math.min(rev, NEVER)),
})

export const leader = serveUnary(RPC.leader, async ({ name }, call) => {
  const { oldest } = await findOldest(name, call)
  if (oldest === undefined) throw NO_LEADER
  return { header: call.header(), kv: oldest }
})

/** Each leader, and its newest value, as long as the client listens. Values between may be left out, as in etcd. */
export const observe = serveStream(RPC.observe, async ({ name }, call, responses) => {
  let sent: Revision | undefined
  while (!call.isOver) {
    const { oldest: kv, revision } = await findOldest(name, call)
    if (kv !== undefined && kv.modRevision !== sent) {
      sent = asRevision(kv.modRevision)
      responses.send({ header: call.header(revision), kv })
      await responses.drained()
    }
    if (kv === undefined) await waitForChange(candidatesOf(name), revision, 'put', call)
    else await waitForChange({ key: kv.key }, revision, undefined, call)
  }
})
