// Measures the processor time of each test file, for `npm run test:durations`: that of its process, and of the
// processes that it started and that have ended.

import { readFileSync } from 'node:fs'
import { afterAll } from 'vitest'

/** The unit of times in /proc. */
const TICK_MS = 10

function processorMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000 + endedChildrenMs()
}

/** Only Linux knows it. */
function endedChildrenMs(): number {
  if (process.platform !== 'linux') return 0
  const stat = readFileSync('/proc/self/stat', 'utf8')
  // The name of the process may hold spaces. `cutime` and `cstime` are the fields 16 and 17.
  const [, ...fields] = stat.slice(stat.lastIndexOf(')')).split(' ')
  return TICK_MS * (Number(fields[13]) + Number(fields[14]))
}

const atStart = processorMs()
// It runs last, when the file has ended its processes.
// biome-ignore lint/correctness/noEmptyPattern: Vitest demands a pattern there
afterAll(({}, { file }) => {
  Object.assign(file.meta, { processorMs: processorMs() - atStart })
})
