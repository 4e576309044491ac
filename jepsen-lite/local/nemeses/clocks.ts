// Wrong clocks of one node or several. The store promises leases, and the ages of stale answers, for clocks whose
// speeds differ by a few per cent. It must stay linearizable with every clock. So leases are never on while a clock is
// wrong, and clocks do not run slow if ages are checked. All other combinations are allowed.

import { type Nemesis, oneNode } from '../nemesis.ts'

const clock: Nemesis = {
  kind: 'clock',
  says: 'clocks too fast, too slow or ahead by a jump, and wall clocks wrong by a day',
  groups: ['clock'],
  quiet: true,
  missing({ preload, checksLeases }) {
    if (checksLeases) return 'the workload checks how long leases live: they need correct clocks'
    return 'missing' in preload ? preload.missing : undefined
  },
  async inject(world) {
    const { cluster, preload, random, conditions, checksAges } = world
    if ('missing' in preload) return preload.missing
    if (conditions.leasesMayBeOn) return 'leases may be on: they need correct clocks'
    const first = oneNode(world)
    if (first === undefined) return 'no node runs'
    const others = random.chance(0.3) ? random.shuffled(cluster.running).slice(0, 2) : []
    const names = [...new Set([first, ...others].map(({ name }) => name))]
    const rates = checksAges ? [1, 1.05, 1.5, 4] : [0.05, 0.3, 0.7, 1, 1.5, 4]
    const set = names.map((name) => ({
      name,
      clockRate: random.pick(rates),
      clockJumpMs: random.pick([0, 0, 200, 2_000, 60_000]),
      wallOffsetMs: random.pick([0, -86_400_000, 86_400_000]),
    }))
    const before = names.map((name) => preload.hits(name).wrongClockReads)
    conditions.wrongClocks++
    for (const { name, ...faults } of set) preload.set(name, faults)
    return {
      nodes: names,
      details: { set },
      effect() {
        const reads = names.map((name, at) => preload.hits(name).wrongClockReads - (before[at] ?? 0))
        const total = reads.reduce((sum, count) => sum + count, 0)
        const isWrong = set.some(({ clockRate, clockJumpMs }) => clockRate !== 1 || clockJumpMs > 0)
        return isWrong && total > 0 ? `wrong clocks were read ${total} times` : undefined
      },
      heal() {
        for (const name of names) preload.set(name, { clockRate: 1, wallOffsetMs: 0 })
        conditions.wrongClocks--
      },
    }
  },
}

export const CLOCK_NEMESES: readonly Nemesis[] = [clock]
