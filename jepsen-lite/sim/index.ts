// The exports of the simulator (README.md).

export { EVENTS, type Rare, STATES, StateCoverage } from './coverage.ts'
export { formatScheduleFile, type ScheduleFile } from './format-schedule.ts'
export { generate } from './generate.ts'
export { parseSchedule } from './parse.ts'
export { PROBES, type Probe } from './probe-coverage.ts'
export { type EventObserver, type RunResult, runSchedule } from './run.ts'
export { RECIPES, type Recipe, type Schedule } from './schedule.ts'
export { type FoundViolation, judged, Search } from './search.ts'
export { shrink } from './shrink.ts'
export { Trace } from './trace.ts'
