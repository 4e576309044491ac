// Faults of the network.

import type { Machine } from '../world/process.ts'
import type { Injection } from './injector.ts'

const isAmong = (places: readonly number[]) => (machine: Machine) => places.includes(machine.place)

export const partition: Injection<'partition'> = (injector, fault) => {
  const { machines } = injector.cluster
  const isInside = isAmong(fault.side)
  const inside = machines.filter(isInside)
  const minority =
    inside.length * 2 > machines.length ? machines.filter((machine) => !isInside(machine)) : inside
  return {
    machines: minority,
    begin: () => void injector.cut(fault.kind, fault, (from, to) => isInside(from) !== isInside(to)),
  }
}

export const isolate: Injection<'isolate'> = (injector, fault, about) => {
  const machine = injector.cluster.machine(fault.target, about)
  if (machine === undefined) return undefined
  const companion =
    fault.companion === undefined ? undefined : injector.cluster.machine(fault.companion, about)
  const machines = companion === undefined || companion === machine ? [machine] : [machine, companion]
  return {
    machines,
    begin: () =>
      void injector.cut(fault.kind, fault, (from, to) => machines.includes(from) !== machines.includes(to)),
  }
}

export const ring: Injection<'ring'> = (injector, fault) => {
  const { machines } = injector.cluster
  const { length: size } = machines
  const reach = Math.ceil(Math.floor(size / 2) / 2)
  const isFar = (from: Machine, to: Machine): boolean => {
    const apart = Math.abs(from.place - to.place)
    return Math.min(apart, size - apart) > reach
  }
  return { machines, begin: () => void injector.cut(fault.kind, fault, isFar) }
}

export const bridge: Injection<'bridge'> = (injector, fault, about) => {
  const isInHalf = isAmong(fault.half)
  return injector.one(
    fault.target,
    about,
    (machine) =>
      void injector.cut(
        fault.kind,
        fault,
        (from, to) => from !== machine && to !== machine && isInHalf(from) !== isInHalf(to),
      ),
  )
}

export const oneWay: Injection<'one-way'> = (injector, fault, about) => {
  const sender = injector.cluster.machine(fault.from, about)
  const receiver = injector.cluster.machine(fault.to, about)
  if (sender === undefined || receiver === undefined) return undefined
  return {
    machines: sender === receiver ? [sender] : [sender, receiver],
    begin: () => void injector.cut(fault.kind, fault, (from, to) => from === sender && to === receiver),
  }
}

export const deaf: Injection<'deaf'> = (injector, fault, about) =>
  injector.one(
    fault.target,
    about,
    (machine) =>
      void injector.cut(fault.kind, fault, (from, to) =>
        fault.direction === 'in' ? to === machine : from === machine,
      ),
  )

const TURNS_MAX = 50

export const flap: Injection<'flap'> = (injector, fault, about) => {
  const pair = findPair(injector, fault, about)
  if (pair === undefined) return undefined
  const { kind, ms, periodMs } = fault
  const { time } = injector.cluster
  return {
    machines: pair.machines,
    begin: () => {
      const end = time.now + ms
      let count = 0
      let isHealed = false
      let endCut = (): void => {}
      injector.lasts(ms, () => {
        isHealed = true
        endCut()
      })
      const next = (): void => {
        if (injector.over || isHealed || time.now >= end || count++ > TURNS_MAX) return
        endCut = injector.cut(
          kind,
          { ...fault, ms: periodMs, breaks: false },
          (from, to) => pair.isIts(from, to) || pair.isIts(to, from),
        )
        injector.later(2 * periodMs, next)
      }
      next()
    },
  }
}

/** The connections of a machine, or the one between two. */
function findPair(
  { cluster }: Parameters<Injection<'break'>>[0],
  { target, peer }: Pick<Parameters<Injection<'break'>>[1], 'target' | 'peer'>,
  about: Parameters<Injection<'break'>>[2],
) {
  const machine = cluster.machine(target, about)
  if (machine === undefined) return undefined
  const other = peer === undefined ? undefined : cluster.machine(peer, about)
  if (peer !== undefined && other === undefined) return undefined
  return {
    machines: other === undefined || other === machine ? [machine] : [machine, other],
    isIts: (one: Machine, two: Machine) => one === machine && (other === undefined || two === other),
  }
}

export const breakOnce: Injection<'break'> = (injector, fault, about) => {
  const pair = findPair(injector, fault, about)
  if (pair === undefined) return undefined
  const { machines, network } = injector.cluster
  return {
    machines: pair.machines,
    begin: () => {
      const [machine] = pair.machines
      const broke = machines.map(
        (other) =>
          machine !== undefined &&
          pair.isIts(machine, other) &&
          network.breakBetween(machine.place, other.place),
      )
      if (broke.includes(true)) injector.tookEffect(fault.kind)
    },
  }
}

export const breakStreams: Injection<'break-streams'> = (injector, { kind, target }, about) =>
  injector.one(target, about, ({ place }) => {
    if (injector.cluster.network.streams.breakAll(place)) injector.tookEffect(kind)
  })

export const dropRow: Injection<'drop-row'> = (injector, { target, ms }, about) =>
  injector.one(
    target,
    about,
    ({ place }) => void injector.until(ms, injector.cluster.network.streams.dropRowNext(place)),
  )

export const lossy: Injection<'lossy'> = (injector, { kind, perMille, ms }) => {
  const { machines, network, probeCoverage } = injector.cluster
  return {
    machines,
    begin: () => {
      network.extraLost += perMille
      injector.while(
        kind,
        ms,
        () => probeCoverage.faults['message-lost'] ?? 0,
        () => {
          network.extraLost -= perMille
        },
      )
    },
  }
}

export const message: Injection<'message'> = (injector, fault, about) => {
  const { cluster } = injector
  const [from, to] = [cluster.machine(fault.from, about), cluster.machine(fault.to, about)]
  if (cluster.config.harsh === 0 || from === undefined || to === undefined) return undefined
  const { kind, number, fate, delayMs } = fault
  return {
    machines: [from, to],
    begin: () =>
      cluster.network.decide(from.place, to.place, number, { fate, delayMs }, () =>
        injector.tookEffect(kind),
      ),
  }
}

export const slowLink: Injection<'slow-link'> = (injector, { kind, from, to, delayMs, ms }, about) => {
  const pair = findPair(injector, { target: from, ...(to === undefined ? {} : { peer: to }) }, about)
  return pair && { machines: pair.machines, begin: () => injector.slow(kind, ms, delayMs, pair.isIts) }
}

export const late: Injection<'late'> = (injector, { kind, target, senders, delayMs, ms }, about) => {
  const isSender = isAmong(senders)
  return injector.one(target, about, (machine) =>
    injector.slow(kind, ms, delayMs, (from, to) => to === machine && isSender(from)),
  )
}

export const halfDeaf: Injection<'half-deaf'> = (injector, fault, about) => {
  const hearsIt = isAmong(fault.unheardBy)
  const isHeard = isAmong(fault.deafTo)
  return injector.one(
    fault.target,
    about,
    (machine) =>
      void injector.cut(
        fault.kind,
        fault,
        (from, to) => (from === machine && hearsIt(to)) || (to === machine && isHeard(from)),
        machine,
      ),
  )
}

/**
 * A bare majority continues without the rest. It contains one given machine and excludes another. Machines that were
 * left out last time come first. So only one or two members carry the decisions of one majority into the next.
 */
export const shiftingMajority: Injection<'shifting-majority'> = (injector, fault, about) => {
  const { machines } = injector.cluster
  const machine = injector.cluster.machine(fault.target, about)
  const without = injector.cluster.machine(fault.without, about)
  if (machine === undefined || without === undefined) return undefined
  const rank = (one: Machine): number =>
    (one === machine ? -8 : one === without ? 8 : 0) +
    (!fault.fresh && injector.majority.has(one) ? 4 : 0) +
    (fault.avoid.includes(one.place) ? 1 : 0)
  return {
    machines,
    begin: () => {
      const voters = (injector.cluster.leader ?? machine.process)?.driver?.configuration.voters ?? []
      const able = machines.filter(
        (one) =>
          (one === machine || one.process !== undefined) &&
          one.replica !== undefined &&
          voters.includes(one.replica.id),
      )
      const inside = able.sort((one, two) => rank(one) - rank(two)).slice(0, (voters.length >> 1) + 1)
      injector.endShiftingMajority()
      injector.majority = new Set(inside)
      const { majority } = injector
      injector.endShiftingMajority = injector.cut(
        fault.kind,
        fault,
        (from, to) => majority.has(from) !== majority.has(to),
        machine,
      )
    },
  }
}

export const heal: Injection<'heal'> = (injector, { kind, fault, target, peer }, about) => {
  const { cluster } = injector
  const first = cluster.machine(target, about)
  const second = peer === undefined ? undefined : cluster.machine(peer, about)
  const ending = injector.lasting.filter(
    (lasting) =>
      lasting.fault.kind === fault &&
      lasting.machines[0] === first &&
      (peer === undefined || lasting.machines[1] === second),
  )
  const [one] = ending
  if (one === undefined) return undefined
  return {
    machines: one.machines,
    begin: () => {
      injector.striking = undefined
      for (const { end } of ending) end()
      injector.tookEffect(kind)
    },
  }
}
