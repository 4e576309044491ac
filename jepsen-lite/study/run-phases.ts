// One round: a calm phase, the partition, and the time after it. The leader is cut off with as many followers as
// possible while the others are a majority. So the old leader is on one side, and the other side can elect a new one.

import { pause } from '../../src/client/timer.ts'
import type { LocalCluster } from '../local/cluster.ts'
import type { Recorder } from '../workload/history.ts'
import type { Random } from '../workload/random.ts'
import { type LoadOptions, StudyLoad } from './load.ts'
import type { Phase } from './measure.ts'
import { type PartitionKind, partitionBetween } from './partition.ts'

interface RoundOptions {
  readonly cluster: LocalCluster
  readonly recorder: Recorder
  readonly number: number
  readonly phaseMs: Readonly<Record<Phase, number>>
  readonly cut: PartitionKind
  readonly random: Random
  readonly load: Pick<LoadOptions, 'rate' | 'timeoutMs' | 'maxStalenessMs' | 'report'>
  readonly signal: AbortSignal
  readonly say: (line: string) => void
}

/**
 * Few keys, so that each is written several times a second, and a read of an old state is likely to show an old value.
 */
const KEYS = 8

/** Resolves to the reason why the round proves nothing, or to undefined. */
export async function playRound(options: RoundOptions): Promise<string | undefined> {
  const { cluster, recorder, number, random, signal, say } = options
  const { leader } = cluster
  if (leader === undefined) return 'there was no leader when the round should begin'
  const others = random.shuffled(cluster.members.filter((node) => node !== leader))
  const minority = [leader, ...others.slice(0, Math.floor((cluster.members.length - 1) / 2) - 1)]
  const majority = cluster.members.filter((node) => !minority.includes(node))
  const [few, many] = [minority, majority].map((side) => side.map(({ name }) => name)) as [string[], string[]]
  say(`round ${number}: ${few.join(' ')} | ${many.join(' ')}, ${leader.name} is the leader`)

  const stage = (phase: Phase | 'done'): void =>
    recorder.note('phase', { phase, round: number, leader: leader.name, minority: few, majority: many })
  const keys = Array.from({ length: KEYS }, (_, at) => `k${at}/${number}`)
  const load = new StudyLoad({
    ...options.load,
    sides: { minority, majority },
    keys,
    recorder,
    random: random.named('load'),
    name: `${number}`,
  })
  try {
    stage('before')
    await pause(options.phaseMs.before, signal)
    const stillLeads = cluster.leader === leader
    const cut = await partitionBetween(cluster.network, few, options.cut)
    recorder.note('inject', { fault: 'partition', id: number, nodes: few, groups: [few, many] })
    stage('during')
    await pause(options.phaseMs.during, signal)
    const leaked = cut.leakedBytes
    await cut.heal()
    const effect = leaked === 0 ? 'no byte passed between the sides' : null
    recorder.note('heal', { fault: 'partition', id: number, nodes: few, effect })
    stage('after')
    await pause(options.phaseMs.after, signal)
    if (!stillLeads) return `${leader.name} was no longer the leader when it was cut off`
    return leaked === 0 ? undefined : `${leaked} bytes passed between the sides`
  } finally {
    stage('done')
    await load.stop()
  }
}
