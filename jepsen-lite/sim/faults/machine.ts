// Faults of processes, disks and clocks.

import { CLUSTER_VERSION } from '../../../src/operations/forms/settings.ts'
import { copyContent } from '../oracle/invariants.ts'
import type { CrashTrigger } from '../world/cluster.ts'
import { type Machine, STALLED } from '../world/process.ts'
import { IO, TIMER, type Time } from '../world/time.ts'
import type { Injection, Injector } from './injector.ts'
import { PATIENCE_MS } from './triggers.ts'

/** The values of a list are used in turn. */
const turn = <T>(values: readonly T[], count: number, otherwise: T): T =>
  values[count % Math.max(1, values.length)] ?? otherwise

/** The machine stays down for so long, or until the fault is healed. */
function staysDown(
  injector: Injector,
  machines: readonly Machine[],
  ms: number,
  striking = injector.striking,
) {
  const { cluster } = injector
  const restart = (): void => {
    for (const machine of machines) {
      cluster.release(machine)
      cluster.start(machine)
    }
  }
  injector.lasts(ms, restart, striking)
}

export const crash: Injection<'crash'> = (injector, fault, about) =>
  injector.one(fault.target, about, (machine) => {
    const { kind, point, skip, inFlight, silent, ms, unheard = false } = fault
    const { cluster } = injector
    if (point === 'now') {
      if (machine.process === undefined) return
      injector.tookEffect(kind)
      if (unheard) cluster.network.forget(machine.place)
      cluster.kill(machine, inFlight, silent, ms)
      staysDown(injector, [machine], ms)
      return
    }
    const striking = { fault, machines: [machine] }
    const trigger: CrashTrigger = {
      point,
      left: point === 'elected' || point === 'installing' ? 0 : skip,
      until: cluster.time.now + PATIENCE_MS,
      inFlight,
      silent,
      downMs: ms,
      onCrash: () => {
        injector.tookEffect(kind)
        if (unheard) cluster.network.forget(machine.place)
        staysDown(injector, [machine], ms, striking)
      },
    }
    cluster.crashTriggers.set(machine, trigger)
  })

export const crashMany: Injection<'crash-many'> = (injector, { kind, places, inFlight, silent, ms }) => {
  const { cluster } = injector
  const machines = cluster.machines.filter(({ place }) => places.includes(place))
  return {
    machines,
    begin: () => {
      const running = machines.filter(({ process }) => process !== undefined)
      for (const machine of running) cluster.kill(machine, turn(inFlight, machine.place, 'lost'), silent, ms)
      staysDown(injector, running, ms)
      if (running.length > 1) injector.tookEffect(kind)
    },
  }
}

export const storm: Injection<'storm'> = (injector, { kind, target, times, inFlight, ms }, about) =>
  injector.one(target, about, (machine) => {
    const { cluster } = injector
    if (machine.process === undefined) return
    injector.tookEffect(kind)
    for (let at = 0; at < times; at++)
      injector.later((at * ms) / times, () => {
        if (injector.over) return
        cluster.end(machine, turn(inFlight, at, 'lost'), false)
        cluster.start(machine)
      })
  })

export const build: Injection<'build'> = (injector, { kind, target, older, inFlight, ms }, about) =>
  injector.one(target, about, (machine) => {
    const { cluster } = injector
    const isOlder = machine.knownVersion < CLUSTER_VERSION
    if (cluster.config.clusterVersion === undefined || isOlder === older || (older && cluster.isRaised))
      return
    machine.build(older ? cluster.config.clusterVersion : CLUSTER_VERSION)
    injector.tookEffect(kind)
    cluster.probeCoverage.hit(isOlder ? 'replica upgraded' : 'replica downgraded')
    cluster.kill(machine, inFlight, false, ms)
  })

export const stop: Injection<'stop'> = (injector, fault, about) =>
  injector.one(fault.target, about, (machine) => {
    const { kind, ms } = fault
    const { cluster } = injector
    const { process } = machine
    const driver = process?.serving
    if (process === undefined || driver === undefined) return
    const led = process.role === 'leader'
    injector.tookEffect(kind)
    process.stopping = true
    driver.drain(() => {
      if (!process.live) return
      if (led && process.role !== 'leader') cluster.probeCoverage.hit('graceful stop handed over')
      // In a later turn, like a continuation of a promise.
      cluster.time.push(cluster.time.now, IO, process, () => {
        process.closing = true
        driver.close(() => {
          if (!process.live) return
          cluster.kill(machine, 'lost', false, ms)
          staysDown(injector, [machine], ms, { fault, machines: [machine] })
        })
      })
    })
  })

export const pause: Injection<'pause'> = (injector, { kind, target, ms }, about) =>
  injector.one(target, about, ({ process }) => {
    const { cluster } = injector
    if (process?.serving === undefined) return
    injector.tookEffect(kind)
    process.pause()
    cluster.say(process, { kind: 'paused' })
    injector.until(ms, () => {
      process.resume()
      if (!process.live) return
      cluster.say(process, { kind: 'resumed' })
    })
  })

export const slowApply: Injection<'slow-apply'> = (injector, { kind, target, entryMs, ms }, about) =>
  injector.one(target, about, (machine) => {
    machine.applyMs = entryMs
    machine.applyUntil = Math.max(machine.applyUntil, injector.cluster.time.now + ms)
    const ended = injector.lasts(ms, () => {
      machine.applyUntil = 0
    })
    injector.while(kind, ms, () => machine.appliedSlowly, ended)
  })

export const wipe: Injection<'wipe'> = (injector, { kind, target }, about) =>
  injector.one(target, about, (machine) => {
    const { cluster } = injector
    if (machine.replica === undefined || machine.joining || !cluster.canLose(machine)) return
    injector.tookEffect(kind)
    cluster.join(machine)
  })

// ---- disks

export const slowDisk: Injection<'slow-disk'> = (injector, { kind, target, factor, ms }, about) =>
  injector.one(target, about, (machine) => {
    machine.slowFactor = factor
    machine.slowUntil = Math.max(machine.slowUntil, injector.cluster.time.now + ms)
    const ended = injector.lasts(ms, () => {
      machine.slowUntil = 0
    })
    injector.while(kind, ms, () => machine.writes, ended)
  })

export const stallDisk: Injection<'stall-disk'> = (injector, { kind, target, ms }, about) =>
  injector.one(target, about, (machine) => {
    const { time } = injector.cluster
    machine.stalledUntil = Math.max(machine.stalledUntil, time.now + ms)
    const ended = injector.lasts(ms, () => {
      machine.stalledUntil = 0
      const { process } = machine
      if (process !== undefined)
        time.reschedule(process, ({ detail, at }) => (detail === STALLED ? time.now : at))
    })
    injector.while(kind, ms, () => machine.writes, ended)
  })

export const failSync: Injection<'fail-sync'> = (injector, { kind, target, inFlight, ms }, about) =>
  injector.one(target, about, ({ disk }) => {
    disk.failNext = inFlight
    injector.while(
      kind,
      ms,
      () => disk.failedSyncs,
      () => {
        disk.failNext = undefined
      },
    )
  })

export const failRead: Injection<'fail-read'> = (injector, { kind, target, skip, ms }, about) =>
  injector.one(target, about, ({ disk }) => {
    disk.failReadAfter = skip
    injector.while(
      kind,
      ms,
      () => disk.failedReads,
      () => {
        disk.failReadAfter = undefined
      },
    )
  })

export const fullDisk: Injection<'full-disk'> = (injector, { kind, target, ms }, about) =>
  injector.one(target, about, (machine) => {
    const { disk } = machine
    disk.full = true
    injector.while(
      kind,
      ms,
      () => disk.refusedFull,
      () => {
        disk.full = false
        injector.cluster.start(machine)
      },
    )
  })

export const rollBack: Injection<'roll-back'> = (injector, { kind, target, ms }, about) =>
  injector.one(target, about, (machine) => {
    const { replica } = machine
    if (replica === undefined || machine.suspect || machine.joining) return
    const { cluster } = injector
    const disk = machine.disk.copy()
    const held = copyContent(replica.durable)
    injector.later(ms, () => {
      if (injector.over || machine.replica !== replica || machine.suspect || !cluster.canLose(machine)) return
      if (cluster.rollBack(machine, disk, held)) injector.tookEffect(kind)
    })
  })

export const bitFlip: Injection<'bit-flip'> = (injector, { kind, target, row, bit }, about) =>
  injector.one(target, about, (machine) => {
    const { cluster } = injector
    if (machine.suspect || machine.joining || !cluster.canLose(machine)) return
    if (!machine.disk.flip(row, bit)) return
    machine.suspect = true
    injector.tookEffect(kind)
  })

// ---- clocks

/** Skipped unless clocks may differ by more than `driftMax`: leases are not promised to survive that. */
export const jump: Injection<'jump'> = (injector, { kind, target, forwardMs }, about) =>
  injector.one(target, about, (machine) => {
    const { time, config } = injector.cluster
    if (config.clocks !== 2 && config.clocks !== 4) return
    machine.clock.jump(time.now, forwardMs)
    injector.tookEffect(kind)
    moveTimers(machine, time)
  })

/** Skipped where jumps are. */
export const skew: Injection<'skew'> = (injector, { kind, target, ms }, about) =>
  injector.one(target, about, (machine) => {
    const { time, config } = injector.cluster
    if (config.clocks !== 2 && config.clocks !== 4) return
    const setRate = (): void => {
      // The newest of several faults that last decides about the clock.
      const newest = injector.lasting.findLast(
        ({ fault, machines: [skewed] }) => fault.kind === 'skew' && skewed === machine,
      )?.fault
      const { usualRate } = machine.clock
      machine.clock.setRate(time.now, newest?.kind === 'skew' ? newest.perMille / 1000 : usualRate)
      moveTimers(machine, time)
    }
    injector.until(ms, setRate)
    setRate()
    injector.tookEffect(kind)
  })

/** Its clock has changed, so its timers are due at other times. */
function moveTimers({ clock, process }: Machine, time: Time): void {
  if (process === undefined) return
  time.reschedule(process, ({ kind, detail, at }) =>
    kind === TIMER && typeof detail === 'number' ? time.now + clock.wait(detail - clock.at(time.now)) : at,
  )
}

// ---- logs

export const compactLog: Injection<'compact-log'> = (injector, { kind, target, ms }, about) =>
  injector.one(target, about, (machine) => {
    machine.compactsUntil = Math.max(machine.compactsUntil, injector.cluster.time.now + ms)
    const ended = injector.lasts(ms, () => {
      machine.compactsUntil = 0
    })
    injector.while(kind, ms, () => machine.process?.firstIndex ?? 0, ended)
  })
