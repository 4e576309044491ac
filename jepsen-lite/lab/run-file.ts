// Files of runs: a schedule as `jepsen-lite sim` and the lab write it, or any text with the address of a run.

import { isObject } from '../../src/operations/forms/decode.ts'
import { formatScheduleFile } from '../sim/schedule/format-schedule.ts'
import { parseSchedule } from '../sim/schedule/parse.ts'
import type { Schedule } from '../sim/schedule/schedule.ts'
import { linkMoment, linkOfFragment } from './link-moment.ts'
import { parseLink } from './schedule-link.ts'

export interface RunFile {
  readonly schedule: Schedule
  /** The moment at which the lab shows it, in virtual milliseconds. */
  readonly at: number | undefined
  /** The violation for which the schedule was kept. */
  readonly detail: string | undefined
}

/** Throws `RangeError` for any other text. */
export function parseRunFile(text: string): RunFile {
  const trimmed = text.trim()
  if (trimmed.startsWith('{')) return parseJson(trimmed)
  const [link = ''] = /^[^\s#]*$/.exec(trimmed) ?? /(?<=#)\S+/.exec(trimmed) ?? []
  if (link === '')
    throw new RangeError('expected a schedule of jepsen-lite, or the address of a run in the lab')
  const decoded = linkOfFragment(link)
  return { schedule: parseLink(decoded), at: linkMoment(decoded), detail: undefined }
}

function parseJson(text: string): RunFile {
  const schedule = parseSchedule(text)
  const file: unknown = JSON.parse(text)
  const { at, detail } = isObject(file) ? file : {}
  return {
    schedule,
    at: typeof at === 'number' && at >= 0 ? at : undefined,
    detail: typeof detail === 'string' ? detail : undefined,
  }
}

/** Throws `RangeError` if the lab cannot run the schedule. */
export function refuseForeign({ recipe }: Schedule): void {
  if (recipe !== undefined)
    throw new RangeError('the lab runs no clients with recipes; jepsen-lite replay shows such a schedule')
}

/** A run of the lab as a file, with the moment that is shown. */
export const formatRunFile = (schedule: Schedule, at: number): string => formatScheduleFile({ at, schedule })
