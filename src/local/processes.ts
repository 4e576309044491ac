// What the system says of a process by its number.

import { readFileSync } from 'node:fs'

/**
 * Whether there is such a process. One that has ended counts until its parent has waited for it. Signal 0 only asks.
 */
export function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Its letter in proc(5), such as T for stopped and Z for ended; undefined where the system does not tell. */
export function stateOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // "pid (name) state …": the name may hold anything, parentheses too.
    return stat.charAt(stat.lastIndexOf(')') + 2)
  } catch {
    return undefined
  }
}
