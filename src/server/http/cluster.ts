// The routes of the cluster: members, leadership, settings.

import {
  CLUSTER_VERSION,
  type Command,
  SESSION_SLOTS_MAX,
  SETTING_RULES,
  type Settings,
} from '../../kv/index.ts'
import type { ChangeStep, Configuration, LeaseSetting, Member, ReplicaId } from '../../raft/types.ts'
import { asReplicaId } from '../../raft/types.ts'
import { PEER_CHARS_MAX, PEER_PATTERN, URL_CHARS_MAX, URL_PATTERN } from '../addresses.ts'
import type { NodeApi, NodeStatus, Problem, ReadGrant, ReadOptions, Result } from '../node/types.ts'
import { type ApiRequest, answering, jsonAnswer, type Respond, timeLeftMs } from './answer.ts'
import { hasIdentity, readIdentity } from './idempotency-headers.ts'
import { anyOf, arrayOf, boolean, closed, integer, nothing, object, string } from './json-schema.ts'
import { ApiError, refusedByNode } from './problem.ts'
import { propose, unexpected } from './propose.ts'
import { type Route, route } from './route.ts'

const Name = { ...string, pattern: '^[a-z0-9-]{1,63}$', description: 'A label, unique in the cluster' }
const Id = { ...string, pattern: '^[1-9][0-9]{0,19}$', description: '64 bits as a decimal number' }
const Peer = {
  ...string,
  pattern: PEER_PATTERN,
  maxLength: PEER_CHARS_MAX,
  description: 'host:port of its peer listener',
}
const Url = { ...string, pattern: URL_PATTERN, maxLength: URL_CHARS_MAX, description: 'Base URL of its API' }

const newReplica = { replica_id: Id, peer: Peer, url: Url }

export const MemberSchema = object(
  {
    name: Name,
    replica_id: Id,
    role: { ...string, enum: ['voter', 'learner'] },
    peer: string,
    url: string,
  },
  { match_index: { ...integer, description: 'Known to the leader alone' } },
)

const ClusterSchema = object({
  cluster_id: Id,
  leader: anyOf(string, nothing),
  term: integer,
  joint: { ...boolean, description: 'A change of voters is under way' },
  members: arrayOf(MemberSchema),
})

const integerOf = (name: keyof Settings, description: string) => {
  const { min: minimum, max: maximum } = SETTING_RULES[name]
  return { ...integer, minimum, maximum, description }
}

const settingFields = {
  key_bytes_max: integerOf('keyBytesMax', 'Longest key'),
  value_bytes_max: integerOf('valueBytesMax', 'Largest value'),
  store_bytes_max: integerOf('storeBytesMax', 'Keys and values of the whole store'),
  idempotency_tokens_max: integerOf('idempotencyTokensMax', 'Outcomes remembered, in number'),
  idempotency_bytes_max: integerOf('idempotencyBytesMax', 'Outcomes remembered, in bytes'),
  idempotency_age_ms_max: integerOf(
    'idempotencyAgeMsMax',
    'How long an outcome is remembered, in cluster time',
  ),
  cluster_version: { ...integer, minimum: 1, maximum: CLUSTER_VERSION, description: 'Never lowered' },
  history_age_ms: integerOf('historyAgeMs', 'How long the store can be read as it was, in cluster time'),
  history_revisions_max: integerOf('historyRevisionsMax', 'Revisions at which the store can be read'),
  history_bytes_max: integerOf('historyBytesMax', 'Versions that were replaced and are kept, in bytes'),
  range_keys_max: integerOf(
    'rangeKeysMax',
    'Keys of the ranges of one transaction, or deleted at once, or of one lease',
  ),
  range_bytes_max: integerOf(
    'rangeBytesMax',
    'Bytes of keys and values that one transaction reads, and of the keys that range_keys_max limits',
  ),
  lease_checkpoint_ms: integerOf(
    'leaseCheckpointMs',
    'How much longer a lease may live after a change of leader; keep-alives need an entry that often',
  ),
  leases_max: integerOf('leasesMax', 'Leases of the whole store'),
}

const LeasesSchema = closed(
  object(
    {},
    {
      on: { ...boolean, description: 'Leader leases' },
      duration_ms: { ...integer, minimum: 10, maximum: 60_000 },
    },
  ),
)

const SettingsSchema = object({ leases: LeasesSchema }, settingFields)
const SettingsChange = closed(object({}, { ...settingFields, leases: LeasesSchema }))

export function clusterRoutes(node: NodeApi): Route[] {
  return [
    route(
      {
        method: 'GET',
        path: '/v1/cluster',
        summary: 'The members, as this node knows them',
        answers: ClusterSchema,
      },
      (_, respond) => respondCluster(node, respond),
    ),
    route(
      {
        method: 'POST',
        path: '/v1/cluster/members',
        summary: 'Add a member: a learner, promoted when it has caught up',
        body: closed(object({ name: Name, ...newReplica })),
        answers: ClusterSchema,
      },
      ({ asked, body }, respond) => {
        const { name, replica_id, peer, url } = body
        const member: Member = { id: replicaId(replica_id), name, peer, url }
        change(node, asked, () => repeated(node, member) ?? [{ kind: 'add-learner', member }], respond)
      },
    ),
    route(
      {
        method: 'DELETE',
        path: '/v1/cluster/members/:name',
        summary: 'Remove a member',
        answers: ClusterSchema,
      },
      ({ asked, params }, respond) => {
        const { name = '' } = params
        change(node, asked, () => [{ kind: 'remove', id: memberNamed(node, name).id }], respond)
      },
    ),
    route(
      {
        method: 'POST',
        path: '/v1/cluster/members/:name/replace',
        summary: 'Drop the replica of this name and add another, in one joint change',
        body: closed(object(newReplica, { name: Name })),
        answers: ClusterSchema,
      },
      ({ asked, params, body }, respond) => {
        const { name: oldName = '' } = params
        const { name = oldName, replica_id, peer, url } = body
        const member: Member = { id: replicaId(replica_id), name, peer, url }
        const steps = (): readonly ChangeStep[] => {
          // The new member alone does not prove that the old one is removed.
          const mayRepeat = name === oldName || !isNamed(node, oldName)
          const left = mayRepeat ? repeated(node, member) : undefined
          return (
            left ?? [
              { kind: 'remove', id: memberNamed(node, oldName).id },
              { kind: 'add-learner', member },
            ]
          )
        }
        change(node, asked, steps, respond)
      },
    ),
    route(
      {
        method: 'POST',
        path: '/v1/cluster/leader',
        summary: 'Hand leadership over, to a member or to the most up-to-date voter',
        body: closed(object({}, { to: Name })),
        answers: object({ leader: string }),
      },
      ({ asked, body }, respond) => {
        const { to } = body
        const done = answering(respond, (result: Result<{ readonly leader: string }>) => {
          if (!result.ok) throw refusedByNode(result.problem)
          respond(jsonAnswer(JSON.stringify({ leader: result.value.leader })))
        })
        if (to === undefined) node.transfer(undefined, timeLeftMs(asked), done)
        else
          whenNewest(node, asked, respond, () =>
            node.transfer(memberNamed(node, to).id, timeLeftMs(asked), done),
          )
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/cluster/settings',
        summary: 'The replicated settings, as this node has applied them',
        answers: SettingsSchema,
      },
      (_, respond) => respondSettings(node, respond),
    ),
    route(
      {
        method: 'POST',
        path: '/v1/cluster/settings',
        summary: 'Change replicated settings; those that are not named stay as they are',
        takesToken: true,
        body: SettingsChange,
        answers: SettingsSchema,
      },
      ({ asked, body }, respond) => {
        const { leases, ...others } = body
        const settings = settingsFrom(others)
        if (leases !== undefined && hasIdentity(asked.headers))
          throw new ApiError(
            'bad_request',
            'leases cannot be changed under an Idempotency-Key or Kv-Session: change them in a request of their own, without one',
          )
        // Two entries: the limits first, then the leases of the core.
        if (Object.keys(settings).length === 0) {
          if (leases === undefined) respondSettings(node, respond)
          else setLeases(node, asked, leases, respond, (problem) => problem)
          return
        }
        const idempotency = readIdentity(asked.headers)
        const command: Command = { kind: 'settings', settings }
        propose(node, asked, { command, idempotency }, respond, (outcome, headers) => {
          if (outcome.kind !== 'settings') throw unexpected(outcome)
          if (leases !== undefined) {
            setLeases(node, asked, leases, respond, halfWritten)
            return
          }
          // The settings of that time, which may be long ago.
          const json = settingsJson(outcome.settings, node.status().raft.leases)
          respond(jsonAnswer(json, headers, outcome.revision))
        })
      },
    ),
    route(
      {
        method: 'POST',
        path: '/v1/sessions',
        summary: 'Open a session, by whose slots changes are applied at most once (Kv-Session)',
        body: closed(object({}, {})),
        answers: object({ session: integer, age_ms: integer, slots: integer }),
      },
      ({ asked }, respond) => {
        const command: Command = { kind: 'open-session' }
        propose(node, asked, { command, idempotency: undefined }, respond, (outcome, headers) => {
          if (outcome.kind !== 'session') throw unexpected(outcome)
          const { session, ageMsMax, revision } = outcome
          const answer = { session, age_ms: ageMsMax, slots: SESSION_SLOTS_MAX }
          respond(jsonAnswer(JSON.stringify(answer), headers, revision))
        })
      },
    ),
  ]
}

const halfWritten = ({ detail }: Problem): Problem => ({
  code: 'outcome_unknown',
  detail: `the limits were changed, the leases perhaps not: ${detail}`,
  written: 'unknown',
})

const SETTING_NAMES = {
  key_bytes_max: 'keyBytesMax',
  value_bytes_max: 'valueBytesMax',
  store_bytes_max: 'storeBytesMax',
  idempotency_tokens_max: 'idempotencyTokensMax',
  idempotency_bytes_max: 'idempotencyBytesMax',
  idempotency_age_ms_max: 'idempotencyAgeMsMax',
  cluster_version: 'clusterVersion',
  history_age_ms: 'historyAgeMs',
  history_revisions_max: 'historyRevisionsMax',
  history_bytes_max: 'historyBytesMax',
  range_keys_max: 'rangeKeysMax',
  range_bytes_max: 'rangeBytesMax',
  lease_checkpoint_ms: 'leaseCheckpointMs',
  leases_max: 'leasesMax',
} as const satisfies Record<keyof typeof settingFields, keyof Settings>

const SETTING_ENTRIES = Object.entries(SETTING_NAMES)

function settingsFrom(body: Readonly<Record<string, unknown>>): Partial<Settings> {
  const given = SETTING_ENTRIES.flatMap(([field, name]) => {
    const value = body[field]
    return typeof value === 'number' ? [[name, value] as const] : []
  })
  return Object.fromEntries(given)
}

const isVoter = ({ voters, votersOutgoing }: Configuration, id: ReplicaId): boolean =>
  voters.includes(id) || votersOutgoing.includes(id)

function replicaId(text: string): ReplicaId {
  if (BigInt(text) > 0xffff_ffff_ffff_ffffn)
    throw new ApiError('bad_request', 'replica_id is larger than 64 bits')
  return asReplicaId(text)
}

const membersOf = (node: NodeApi): readonly Member[] => node.status().raft.configuration.members

/**
 * What is left to do for an existing member; undefined if there is none. A learner may have been restarted at other
 * addresses before the cluster reached it. Then only this request tells the new addresses. A voter announces its
 * addresses itself.
 */
function repeated(node: NodeApi, member: Member): readonly ChangeStep[] | undefined {
  const { id, name, peer, url } = member
  const there = membersOf(node).find((known) => known.id === id && known.name === name)
  if (there === undefined) return undefined
  if (there.peer === peer && there.url === url) return []
  if (!isVoter(node.status().raft.configuration, id)) return [{ kind: 'update', member }]
  throw new ApiError(
    'membership_refused',
    `${name} is a voter already, at ${there.peer} and ${there.url}; it announces its addresses by itself when it starts`,
  )
}

const isNamed = (node: NodeApi, name: string): boolean =>
  membersOf(node).some((member) => member.name === name)

function memberNamed(node: NodeApi, name: string): Member {
  const member = membersOf(node).find((candidate) => candidate.name === name)
  if (member === undefined) throw new ApiError('not_found', `no member is named ${JSON.stringify(name)}`)
  return member
}

/**
 * `then` sees the members and settings after all changes that were answered before, also on a node that lags behind.
 */
function whenNewest(
  node: NodeApi,
  asked: ApiRequest,
  respond: Respond,
  then: () => void,
  failed = (problem: Problem): Problem => problem,
): void {
  const newest: ReadOptions = {
    consistency: 'linearizable',
    maxStalenessMs: undefined,
    minRevision: undefined,
    timeoutMs: timeLeftMs(asked),
  }
  const granted = answering(respond, (result: Result<ReadGrant>) => {
    if (!result.ok) throw refusedByNode(failed(result.problem))
    then()
  })
  node.read(newest, granted)
}

/** `stepsNow` is called with the members of that moment. */
function change(
  node: NodeApi,
  asked: ApiRequest,
  stepsNow: () => readonly ChangeStep[],
  respond: Respond,
): void {
  whenNewest(node, asked, respond, () => {
    const steps = stepsNow()
    if (steps.length === 0) {
      // An earlier attempt of the same request did it.
      respondCluster(node, respond)
      return
    }
    const done = answering(respond, (result: Result<Configuration>) => {
      if (!result.ok) throw refusedByNode(result.problem)
      respondCluster(node, respond)
    })
    node.change({ kind: 'change', steps }, timeLeftMs(asked), done)
  })
}

/** Fields that are not given stay as they are. */
function setLeases(
  node: NodeApi,
  asked: ApiRequest,
  wanted: { readonly on?: boolean; readonly duration_ms?: number },
  respond: Respond,
  failed: (problem: Problem) => Problem,
): void {
  const done = answering(respond, (result: Result<LeaseSetting>) => {
    if (!result.ok) throw refusedByNode(failed(result.problem))
    respondSettings(node, respond)
  })
  const set = (): void => {
    const { on, durationMs } = node.status().raft.leases
    const setting: LeaseSetting = { on: wanted.on ?? on, durationMs: wanted.duration_ms ?? durationMs }
    node.setLeases(setting, timeLeftMs(asked), done)
  }
  whenNewest(node, asked, respond, set, failed)
}

function respondCluster(node: NodeApi, respond: Respond): void {
  const status = node.status()
  const { term, configuration } = status.raft
  const joint = configuration.votersOutgoing.length > 0
  const { clusterId, leaderName: leader = null } = node
  respond(
    jsonAnswer(JSON.stringify({ cluster_id: clusterId, leader, term, joint, members: membersJson(status) })),
  )
}

/** Only the leader knows the `match_index` of each member. */
export function membersJson({ raft }: NodeStatus) {
  const { configuration, progress, id: self, stableIndex, role } = raft
  return configuration.members.map(({ id, name, peer, url }) => {
    const followed = progress.find((follower) => follower.id === id)?.match
    const match = role === 'leader' && id === self ? stableIndex : followed
    return {
      name,
      replica_id: id,
      role: isVoter(configuration, id) ? 'voter' : 'learner',
      peer,
      url,
      // JSON omits undefined fields.
      match_index: match,
    }
  })
}

function respondSettings(node: NodeApi, respond: Respond): void {
  const { settings, raft } = node.status()
  respond(jsonAnswer(settingsJson(settings, raft.leases)))
}

function settingsJson(settings: Settings, { on, durationMs }: LeaseSetting): string {
  const values = Object.fromEntries(SETTING_ENTRIES.map(([field, name]) => [field, settings[name]]))
  return JSON.stringify({ ...values, leases: { on, duration_ms: durationMs } })
}
