// All nemeses. A command line chooses them by kind, by group, or all.

import { CLOCK_NEMESES } from './nemeses/clocks.ts'
import { DISK_NEMESES } from './nemeses/disks.ts'
import { MEMBER_NEMESES } from './nemeses/members.ts'
import { PARTITION_NEMESES } from './nemeses/partitions.ts'
import { PROCESS_NEMESES } from './nemeses/processes.ts'
import type { Nemesis } from './nemesis.ts'

export const NEMESES: readonly Nemesis[] = [
  ...PROCESS_NEMESES,
  ...PARTITION_NEMESES,
  ...DISK_NEMESES,
  ...CLOCK_NEMESES,
  ...MEMBER_NEMESES,
]

export const GROUPS: readonly string[] = [...new Set(NEMESES.flatMap(({ groups }) => groups))]

/** Returns the error message if a name is unknown. */
export function chooseNemeses(names: readonly string[]): readonly Nemesis[] | string {
  const unknown = names.find((name) => name !== 'all' && !NEMESES.some((nemesis) => isNamed(nemesis, name)))
  if (unknown !== undefined) {
    const kinds = NEMESES.map(({ kind }) => kind).join(', ')
    return `there is no nemesis ${JSON.stringify(unknown)}. Groups: all, ${GROUPS.join(', ')}. Single ones: ${kinds}`
  }
  return NEMESES.filter((nemesis) => names.some((name) => name === 'all' || isNamed(nemesis, name)))
}

const isNamed = ({ kind, groups }: Nemesis, name: string): boolean => kind === name || groups.includes(name)

/**
 * Adds transfers of leadership if none of the chosen faults causes an election: a run without elections proves nothing.
 */
export function withElections(chosen: readonly Nemesis[]): readonly Nemesis[] {
  if (!chosen.every(({ quiet }) => quiet === true)) return chosen
  return [...chosen, ...NEMESES.filter(({ kind }) => kind === 'transfer')]
}
