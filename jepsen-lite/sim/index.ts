// The simulator (README.md): what others take from it. `shrink.ts` stands apart: it brings fast-check with it.

export { type Coverage, EVENTS, type Rare, STATES } from './coverage.ts'
export { generate } from './generate.ts'
export { parseSchedule } from './parse.ts'
export { PROBES, type Probe } from './probe-coverage.ts'
export { replay } from './replay.ts'
export { type Result, runSchedule, type Watch } from './run.ts'
export type { Schedule } from './schedule.ts'
export { type Found, judged, Search } from './search.ts'
