// Prints a schedule's run: one event per line, and beside it each node's view of itself.

import type { EventObserver, RunResult } from './run.ts'
import type { Schedule } from './schedule/schedule.ts'
import { formatEvent } from './sim-event.ts'
import type { SimCluster } from './world/cluster.ts'

const COLUMN = 15
const MARKS: Readonly<Record<string, string>> = {
  leader: 'L',
  follower: 'f',
  candidate: 'c',
  'pre-candidate': 'p',
}

/** Passes each line to `print` when it is made. `run`: runs the schedule. */
export async function replay(
  schedule: Schedule,
  print: (line: string) => void,
  run: (watch: EventObserver) => RunResult | Promise<RunResult>,
): Promise<RunResult> {
  const { nodes, spares } = schedule.config
  const names = Array.from({ length: nodes + spares }, (_, at) => `n${at + 1}`)
  print(`${'ms'.padStart(10)}  ${names.map((name) => name.padEnd(COLUMN)).join(' ')} event`)
  print(`${''.padStart(10)}  ${names.map(() => 'term commit/app'.padEnd(COLUMN)).join(' ')}`)
  const watch: EventObserver = ({ atMs, node, event, cluster }) => {
    const what = formatEvent(event)
    if (what === undefined) return
    const who = node === undefined ? '' : `${node} `
    print(`${atMs.toFixed(1).padStart(10)}  ${columns(cluster)} ${who}${what}`)
  }
  const result = await run(watch)
  const { violation, trace } = result
  if (violation === undefined) print(`no rule is broken; trace ${trace}`)
  else print(`BROKEN at ${violation.atMs.toFixed(1)} ms: ${violation.detail}; trace ${trace}`)
  return result
}

/** Role, term, commit and applied index of each machine; `-` without a process, `…` if it is stopped. */
function columns(cluster: SimCluster): string {
  return cluster.machines
    .map(({ process }) => {
      if (process === undefined) return '-'.padEnd(COLUMN)
      if (process.driver === undefined) return 'opening'.padEnd(COLUMN)
      const { role, term, commit, applied } = process.driver.status().raft
      const mark = process.paused ? '…' : (MARKS[role] ?? '?')
      return `${mark} ${term} ${commit}/${applied}`.padEnd(COLUMN)
    })
    .join(' ')
}
