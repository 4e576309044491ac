// Every nemesis there is, and how a command line chooses from them: by kind, by group, or all.

import { PARTITION_NEMESES } from './nemeses/partitions.ts'
import { PROCESS_NEMESES } from './nemeses/processes.ts'
import type { Nemesis } from './nemesis.ts'

export const NEMESES: readonly Nemesis[] = [...PROCESS_NEMESES, ...PARTITION_NEMESES]

export const GROUPS: readonly string[] = [...new Set(NEMESES.flatMap(({ groups }) => groups))]

/** A sentence when a name is unknown. */
export function chooseNemeses(names: readonly string[]): readonly Nemesis[] | string {
  const unknown = names.find((name) => name !== 'all' && !NEMESES.some((nemesis) => isNamed(nemesis, name)))
  if (unknown !== undefined) {
    const kinds = NEMESES.map(({ kind }) => kind).join(', ')
    return `there is no nemesis ${JSON.stringify(unknown)}. Groups: all, ${GROUPS.join(', ')}. Single ones: ${kinds}`
  }
  return NEMESES.filter((nemesis) => names.some((name) => name === 'all' || isNamed(nemesis, name)))
}

const isNamed = ({ kind, groups }: Nemesis, name: string): boolean => kind === name || groups.includes(name)
