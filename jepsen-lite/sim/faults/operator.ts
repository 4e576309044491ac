// Requests of operators: changes of members, leadership transfers, leases.

import { CLUSTER_VERSION } from '../../../src/operations/forms/settings.ts'
import { type ChangeStep, isVoter, type RaftMember } from '../../../src/raft/index.ts'
import type { SimCluster } from '../world/cluster.ts'
import type { FaultAction } from './fault-kinds.ts'
import type { Injection, Strike } from './injector.ts'
import type { About } from './triggers.ts'

export const join: Injection<'join'> = (injector, { kind, target }, about) =>
  injector.one(target, about, (machine) => {
    if (!injector.cluster.isFree(machine)) return
    injector.tookEffect(kind)
    injector.cluster.join(machine)
  })

export const remove: Injection<'remove'> = (injector, fault, about) =>
  change(injector, fault, about, ({ id }) => [{ kind: 'remove', id }])

export const removeMany: Injection<'remove-many'> = (injector, fault, about) =>
  injector.one(fault.asked, about, ({ process }) => {
    const { cluster } = injector
    const { kind, places } = fault
    const driver = process?.serving
    if (process === undefined || driver === undefined) return
    const leaving = driver.configuration.members.filter(({ id }) =>
      places.some((place) => cluster.machine(place, about)?.replica?.id === id),
    )
    if (leaving.length === 0) return
    const steps = leaving.map(({ id }): ChangeStep => ({ kind: 'remove', id }))
    driver.change({ kind: 'change', steps }, cluster.config.timeoutMs, (result) => {
      if (!result.ok) return
      injector.tookEffect(kind)
      for (const { id } of leaving) cluster.letGo(process, id, result.value)
    })
  })

export const demote: Injection<'demote'> = (injector, fault, about) =>
  change(injector, fault, about, ({ id }) => [{ kind: 'demote', id }])

export const promote: Injection<'promote'> = (injector, fault, about) =>
  change(injector, fault, about, ({ id }) => [{ kind: 'promote', id }])

/** A spare machine takes the place of a member, in one change. */
export const replace: Injection<'replace'> = (injector, fault, about) => {
  const { cluster } = injector
  const spare = cluster.machines.find((machine) => cluster.isFree(machine))
  const strike = change(injector, fault, about, ({ id }) =>
    spare === undefined
      ? []
      : [
          { kind: 'remove', id },
          { kind: 'add-learner', member: spare.member },
        ],
  )
  return (
    strike && {
      ...strike,
      begin: () => {
        if (spare === undefined) return
        cluster.join(spare)
        spare.joining = false
        strike.begin()
      },
    }
  )
}

type Change = FaultAction<'remove' | 'demote' | 'promote' | 'replace'>

function change(
  injector: Parameters<Injection<'remove'>>[0],
  fault: Change,
  about: About | undefined,
  steps: (member: RaftMember) => readonly ChangeStep[],
): Strike | undefined {
  const { kind, evenSmall } = fault
  const { cluster } = injector
  return injector.one(fault.asked, about, ({ process }) => {
    const driver = process?.serving
    if (process === undefined || driver === undefined) return
    const member = findMember(cluster, fault, about, driver.configuration)
    if (member === undefined) return
    // A cluster without enough members tests little, so this is allowed only now and then.
    if (kind !== 'promote' && driver.configuration.voters.length <= 3 && !evenSmall) return
    const wasLeader = member.id === cluster.leader?.id
    const wasVoter = isVoter(driver.configuration, member.id)
    driver.change({ kind: 'change', steps: steps(member) }, cluster.config.timeoutMs, (result) => {
      if (!result.ok) return
      injector.tookEffect(kind)
      if (kind === 'replace') cluster.probeCoverage.hit('replaced in one joint change')
      if (kind === 'demote') cluster.probeCoverage.hit('voter demoted')
      if (wasLeader && kind !== 'promote') cluster.probeCoverage.hit('leader removed')
      // A demoted learner may have been promoted again in between.
      if (!wasVoter || isVoter(result.value, member.id)) return
      cluster.letGo(process, member.id, result.value)
      const { deletedAfterMs } = fault.kind === 'promote' ? {} : fault
      if (deletedAfterMs === undefined) return
      injector.later(deletedAfterMs, () => {
        if (!injector.over) cluster.delete(member.id)
      })
    })
  })
}

/** A number selects one of the members, or of those that can be promoted. */
function findMember(
  cluster: SimCluster,
  { kind, member }: Change,
  about: About | undefined,
  {
    members,
    learners,
  }: { readonly members: readonly RaftMember[]; readonly learners: readonly RaftMember['id'][] },
): RaftMember | undefined {
  const choice = kind === 'promote' ? members.filter(({ id }) => learners.includes(id)) : members
  if (typeof member === 'number') return choice[member % Math.max(1, choice.length)]
  const machine = member === 'leader' ? cluster.leader?.machine : cluster.machine(member, about)
  return choice.find(({ id }) => id === machine?.replica?.id)
}

export const transfer: Injection<'transfer'> = (injector, fault, about) => {
  const { cluster } = injector
  const leader = cluster.machine(fault.target, about)
  const successor = fault.to === undefined ? undefined : cluster.machine(fault.to, about)
  if (leader === undefined || (fault.to !== undefined && successor === undefined)) return undefined
  const to = successor === leader ? undefined : successor
  return {
    machines: to === undefined ? [leader] : [leader, to],
    begin: () =>
      leader.process?.serving?.transfer(to?.replica?.id, cluster.config.timeoutMs, (result) => {
        if (result.ok) injector.tookEffect(fault.kind)
        cluster.probeCoverage.hit(result.ok ? 'transfer done' : 'transfer aborted or refused')
      }),
  }
}

/** Raises the cluster version to the newest. It is refused while a member does not know it. */
export const raise: Injection<'raise'> = (injector, { kind, target }, about) =>
  injector.one(target, about, ({ process }) => {
    const { cluster } = injector
    const driver = process?.serving
    if (process === undefined || driver === undefined) return
    if (cluster.config.clusterVersion === undefined) return
    const settings = { clusterVersion: CLUSTER_VERSION }
    const command = { kind: 'settings', settings } as const
    const { members } = driver.configuration
    const request = { command, idempotency: undefined, principal: `operator ${cluster.raises}` }
    cluster.invariants.requested(request)
    cluster.raises++
    cluster.pendingRaises++
    driver.propose(request, cluster.config.timeoutMs, (result) => {
      cluster.pendingRaises--
      if (result.ok || result.problem.written !== 'no') cluster.wasProposed = true
      if (result.ok) {
        if (result.value.outcome.kind !== 'settings') return
        injector.tookEffect(kind)
        cluster.probeCoverage.hit('cluster version raised')
        cluster.raised(members, process)
      } else if (result.problem.code === 'membership_refused')
        cluster.probeCoverage.hit('raise of the cluster version refused')
    })
  })

/** Changes leader leases. Skipped when the schedule lets clocks drift beyond `driftMax`. */
export const leases: Injection<'leases'> = (injector, { kind, target, on, durationMs }, about) =>
  injector.one(target, about, ({ process }) => {
    const { config } = injector.cluster
    if (config.clocks === 2) return
    process?.serving?.setLeaderLeases({ on, durationMs }, config.timeoutMs, (result) => {
      if (result.ok) injector.tookEffect(kind)
    })
  })
