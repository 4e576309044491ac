// Information of the system about a process.

import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { hasErrorCode } from '../system/errors.ts'

/** Whether there is such a process, of any user. A zombie counts. Signal 0 only checks. */
export function processExists(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return hasErrorCode(error, 'EPERM')
  }
}

/**
 * Names the set of processes that the ids of this process belong to: other containers and machines have other ids. Two
 * of them that live at a time have different names. undefined: the system does not say it.
 */
export function processNamespace(): string | undefined {
  if (process.platform !== 'linux') return `${process.platform}:${hostname()}`
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    return `${boot}:${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return undefined
  }
}

/** The state letter of proc(5), such as T for stopped and Z for zombie; undefined where the system has no /proc. */
export function processState(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // "pid (name) state …": the name may contain parentheses.
    return stat.charAt(stat.lastIndexOf(')') + 2)
  } catch {
    return undefined
  }
}
