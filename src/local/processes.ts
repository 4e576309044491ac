// Information of the system about a process.

import { readFileSync } from 'node:fs'

/** Whether there is such a process. A zombie counts. Signal 0 only checks. */
export function processExists(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
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
