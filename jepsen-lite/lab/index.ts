// The exports of the lab's engine (README.md).

export { type FinishedRun, finishedRun } from './finished-run.ts'
export { Lab } from './lab.ts'
export { isOperation, type Line, type NewLine } from './lab-run.ts'
export { LAB_CONFIG, LAB_MS_MAX, labSchedule, PLAIN_X } from './lab-schedule.ts'
export { formatLink, parseLink, parseNewLine } from './schedule-link.ts'
export type {
  EntryView,
  LabView,
  LinkView,
  LostMessageView,
  MachineView,
  MessageView,
  NoteView,
  OperationView,
  ProcessState,
  ProgressView,
} from './view.ts'
