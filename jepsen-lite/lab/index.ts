// The exports of the lab's engine (README.md). Views are in view.ts, which a page imports alone.

export { breakingMoment } from './breaking-moment.ts'
export { finishedRun } from './finished-run.ts'
export { Lab } from './lab.ts'
export { labSchedule, PLAIN_X } from './lab-schedule.ts'
export { linkMoment, withMoment } from './link-moment.ts'
export { formatRunFile, parseRunFile, type RunFile, refuseForeign } from './run-file.ts'
export { formatLink, parseLink, parseNewLine } from './schedule-link.ts'
