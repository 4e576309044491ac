// A process as the kernel counts it: CPU time in steps of 10 ms, memory, and bytes sent to the disk.

import { readFileSync } from 'node:fs'

const TICKS_PER_SECOND = 100
const BYTES_PER_MB = 1e6

export interface ProcessSample {
  /** User and system time in microseconds. */
  readonly cpuMicros: number
  /** Memory of the process itself. */
  readonly rssAnonMb: number
  /** All resident memory, with files that are mapped. */
  readonly vmRssMb: number
  /** undefined where the kernel does not report it: in some containers, or for processes of another user. */
  readonly writtenBytes: number | undefined
}

export function sample(pid: number): ProcessSample {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  const megabytes = (name: string): number => (1024 * field(status, name)) / BYTES_PER_MB
  return {
    cpuMicros: cpuMicros(pid),
    rssAnonMb: megabytes('RssAnon'),
    vmRssMb: megabytes('VmRSS'),
    writtenBytes: writtenBytes(pid),
  }
}

function cpuMicros(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // The name stands in parentheses and may contain anything: count from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS_PER_SECOND
}

function writtenBytes(pid: number): number | undefined {
  try {
    return field(readFileSync(`/proc/${pid}/io`, 'latin1'), 'write_bytes')
  } catch {
    return undefined
  }
}

const field = (text: string, name: string): number =>
  Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1])
