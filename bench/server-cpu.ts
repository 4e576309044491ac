// CPU time of processes as the kernel counts it, in steps of 10 ms.

import { readFileSync } from 'node:fs'

const TICKS_PER_SECOND = 100

/** User and system time in microseconds. */
export function cpuMicros(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // The name stands in parentheses and may contain anything: count from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS_PER_SECOND
}
