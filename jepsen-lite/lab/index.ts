// The exports of the lab's engine (README.md). Views are in view.ts, which a page imports alone.

export { finishedRun } from './finished-run.ts'
export { Lab } from './lab.ts'
export { labSchedule, PLAIN_X } from './lab-schedule.ts'
export { formatLink, parseLink, parseNewLine } from './schedule-link.ts'
