// Writes a schedule file with one operation or fault a line, so that a person can read and edit it, and a diff shows
// which of them changed.

import type { Schedule } from './schedule.ts'

/** A schedule, with the violation that it causes if there is one. `parseSchedule` reads it. */
export interface ScheduleFile {
  readonly invariant?: string
  readonly detail?: string
  /** Hash of all events of the run. */
  readonly trace?: string
  readonly seed?: number
  /** The moment at which the lab shows it, in virtual milliseconds. */
  readonly at?: number | undefined
  readonly schedule: Schedule
}

export const formatScheduleFile = (file: ScheduleFile): string => `${formatFields(file, '')}\n`

function formatFields(value: object, indent: string): string {
  const inner = `${indent} `
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .map(([name, field]) => `${inner}${JSON.stringify(name)}: ${formatField(name, field, inner)}`)
  return `{\n${fields.join(',\n')}\n${indent}}`
}

function formatField(name: string, value: unknown, indent: string): string {
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]'
    return `[\n${value.map((one) => `${indent} ${JSON.stringify(one)}`).join(',\n')}\n${indent}]`
  }
  // The configuration is drawn, not edited: its 28 numbers stay together.
  if (typeof value !== 'object' || value === null || name === 'config') return JSON.stringify(value)
  return formatFields(value, indent)
}
