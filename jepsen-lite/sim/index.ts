// The exports of the simulator (README.md).

export { EVENTS, type Rare, STATES, StateCoverage } from './coverage.ts'
export { judged } from './judged-run.ts'
export { PROBES, type Probe } from './probe-coverage.ts'
export { type EventObserver, type RunResult, runSchedule } from './run.ts'
export { formatScheduleFile, type ScheduleFile } from './schedule/format-schedule.ts'
export { generate } from './schedule/generate.ts'
export { parseSchedule } from './schedule/parse.ts'
export { RECIPES, type Recipe, type Schedule } from './schedule/schedule.ts'
export { shrink } from './schedule/shrink.ts'
export { type FoundViolation, Search } from './search.ts'
export { Trace } from './trace.ts'
export { sentenceOfRule, WRONG_RULES, type WrongRuleName, wrongRule } from './wrong-rules.ts'
